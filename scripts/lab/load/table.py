"""What a load test found, for a reader at a terminal."""

from __future__ import annotations

import textwrap

from lab.crowd.counting import Spread
from lab.load.report import Report, Server
from lab.site.machine import DISTURBED_PERCENT, SATURATED_PERCENT

_WIDTH = 96
_WHAT_IS_MEASURED = (
    "Delays run from a message's timestamp to its receipt, a trade's with its storing. They are up "
    "to 1 ms too long by its rounding, and contain the lateness of the load side. All clients "
    "watch the same symbols. The server's figures are without its store's process and without "
    "the kernel's socket buffers."
)


def table(report: Report) -> str:
    """The report for a reader at a terminal."""
    asked, server, events = report.parameters, report.server, report.events
    wrong = (
        f"{events.lost} lost, {events.doubled} doubled, {events.out_of_order} out of order, "
        f"{events.altered} altered"
    )
    rows = [
        ("connected", f"{report.connected:,} of {asked.clients:,}"),
        ("to subscribe", _spread(report.connects)),
        ("messages", f"{report.messages_per_s:,.0f}/s, {report.bytes_per_s / 1e6:,.2f} MB/s"),
        ("prices", f"{report.prices_per_s:,.0f}/s of {report.prices_due_per_s:,.0f}/s due"),
        ("delay of prices", _spread(report.price_delays)),
        ("delay of trades", _spread(report.event_delays)),
        ("trade events", f"{events.stored} stored, {events.due:,} owed to all clients together"),
        ("of the kinds", ", ".join(f"{n} {kind}" for kind, n in sorted(events.kinds.items()))),
        ("of those", wrong),
        ("server CPU", _or_na(server.cpu_percent, "{:.1f} % of a core")),
        ("server memory", _memory(server, report.connected)),
        ("load side CPU", ", ".join(f"{p:.0f} %" for p in report.load_cpu_percent) or "n/a"),
        ("load side late", _spread(report.load_lag)),
    ]
    lines = [
        f"{asked.clients - asked.sse_clients} WebSocket and {asked.sse_clients} SSE clients, "
        f"{', '.join(asked.symbols)} every {asked.interval_ms} ms, "
        f"measured for {report.window_s:.1f} s" + (" (interrupted)" * report.interrupted),
        "",
        *(f"  {name:<16} {text}" for name, text in rows),
        "",
        *(line for note in _notes(report) for line in textwrap.wrap(note, _WIDTH)),
        *(f"OVER BUDGET: {reason}" for reason in report.broken),
    ]
    return "\n".join(lines)


def _notes(report: Report) -> list[str]:
    notes = [_WHAT_IS_MEASURED]
    if max(report.load_cpu_percent, default=0.0) > SATURATED_PERCENT:
        notes.append(
            f"THE LOAD SIDE IS SATURATED (over {SATURATED_PERCENT:g} % of a core): delays and "
            "rates are partly its own. Use more --processes, or fewer clients."
        )
    waited = report.server.waited_percent or 0.0, max(report.load_waited_percent, default=0.0)
    if max(waited) > DISTURBED_PERCENT:
        notes.append(
            "THE MACHINE IS BUSY WITH OTHER THINGS, and the delays show it: the server had to "
            f"wait for a core {waited[0]:.0f} % of the time, the load side {waited[1]:.0f} %."
        )
    if report.server.cpu_percent is None:
        notes.append("n/a: the server's process cannot be seen from here.")
    elif report.parameters.url:
        notes.append(f"Taken for the server: process {report.server.process}, which listens there.")
    if report.clock_offset_ms is not None:
        notes.append(
            f"The server's clock is {report.clock_offset_ms:+.1f} ms off this one, give or take "
            f"{report.clock_uncertainty_ms:.1f} ms; the delays are corrected by that."
        )
    if report.server.log_problems:
        count, last = len(report.server.log_problems), report.server.log_problems[-1]
        notes.append(f"The server logged {count} warnings or errors, the last: {last}")
    return notes


def _spread(spread: Spread) -> str:
    if not spread.samples:
        return "n/a"
    return (
        f"p50 {spread.p50_ms:.1f} ms, p99 {spread.p99_ms:.1f} ms, max {spread.max_ms:.1f} ms "
        f"({spread.samples:,} samples)"
    )


def _memory(server: Server, connected: int) -> str:
    if server.memory_before_bytes is None or server.memory_after_bytes is None:
        return "n/a"
    before, after = server.memory_before_bytes / 1e6, server.memory_after_bytes / 1e6
    each = _or_na(server.bytes_per_connection, "{:,} bytes a connection")
    coarse = ", coarse with so few" * (connected < 1000)
    return f"{before:.1f} MB, {after:.1f} MB with the clients: {each}{coarse}"


def _or_na(value: float | None, form: str) -> str:
    return "n/a" if value is None else form.format(value)
