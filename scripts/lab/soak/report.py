"""The result of a soak, as figures and for people."""

from __future__ import annotations

from msgspec import Struct, field

from lab.site.machine import describe


class Report(Struct, rename="camel"):
    """The result of a soak."""

    seed: str
    ran_s: float = 0.0
    interrupted: bool = False
    violated: list[str] = []
    warnings: list[str] = []
    faults: dict[str, int] = {}
    seen: dict[str, int] = {}
    events: int = 0
    opened: int = 0
    closed: int = 0
    checks: int = 0
    refusals: int = 0
    """Calls that were answered by 503."""
    slowest_refusal_s: float = 0.0
    judged: int = 0
    """Events that came to somebody who watched while nothing but the bus disturbed."""
    slowest_event_s: float = 0.0
    bus: dict[str, int] = {}
    """With several nodes: what was told wrongly, and what they made of it."""
    slowest_start_s: float = 0.0
    slowest_stop_s: float = 0.0
    most_memory_bytes: int = 0
    most_memory_growth_bytes: int = 0
    most_files: int = 0
    verified: str = "not there"
    folder: str | None = None
    """Data and log of the server, kept when an invariant was violated or it logged an error."""
    machine: dict[str, str | int] = field(default_factory=describe)


def table(report: Report) -> str:
    """A report for people."""
    faults = ", ".join(f"{count} × {name}" for name, count in report.faults.items())
    seen = ", ".join(f"{count:,} {name}" for name, count in report.seen.items())
    bus = ", ".join(f"{count:,} {name}" for name, count in report.bus.items())
    memory_mb, growth_mb = report.most_memory_bytes / 1e6, report.most_memory_growth_bytes / 1e6
    lines = [
        f"soaked for {report.ran_s:g} s with seed {report.seed}"
        + (" (interrupted)" if report.interrupted else ""),
        "",
        f"  faults     {faults or 'none'}",
        f"  trades     {report.opened:,} opened, {report.closed:,} closed, acknowledged",
        f"  events     {report.events:,} stored",
        f"  watchers   {seen or 'none'}",
        f"  refusals   {report.refusals} × 503, the slowest after {report.slowest_refusal_s:g} s",
        f"  promptness {report.judged:,} events, the slowest after {report.slowest_event_s:g} s",
        *([f"  bus        {bus}"] if bus else []),
        f"  checks     {report.checks}, vyomo-rt verify: {report.verified}",
        f"  starts     {report.slowest_start_s:g} s at most; SIGTERM {report.slowest_stop_s:g} s",
        f"  memory     {memory_mb:.1f} MB at most, {growth_mb:.1f} MB more than after its start",
        f"  files      {report.most_files} open at most",
        *(f"warning: {warning}" for warning in report.warnings),
        *(f"VIOLATED (seed {report.seed}): {what}" for what in report.violated),
    ]
    if report.folder:
        lines.append(f"data and log of the server: {report.folder}")
    if not report.violated:
        lines.append("every invariant held" + (" so far" if report.interrupted else ""))
    return "\n".join(lines)
