"""What a load test found: as figures, as a table to read, and against a budget."""

from __future__ import annotations

import textwrap
from collections import Counter

from counting import Delays, Figures
from machine import Usage, describe
from msgspec import Struct, field

SATURATED_PERCENT = 90.0
DISTURBED_PERCENT = 5.0
_WIDTH = 96
_WHAT_IS_MEASURED = (
    "Delays run from a message's timestamp to its receipt, a trade's with its storing. They are up "
    "to 1 ms too long by its rounding, and contain the lateness of the load side. All clients "
    "watch the same symbols. The server's figures are without its store's process and without "
    "the kernel's socket buffers."
)


class Parameters(Struct, frozen=True, rename="camel"):
    """What was asked for."""

    url: str | None
    """None: a server of the test's own."""
    clients: int
    sse_clients: int
    symbols: list[str]
    interval_ms: int
    duration_s: float
    connects_per_s: float
    trades_per_s: float
    processes: int


class Spread(Struct, rename="camel"):
    """Delays in short."""

    samples: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None

    @classmethod
    def of(cls, delays: Delays) -> Spread:
        return cls(delays.samples, *(delays.percentile_ms(percent) for percent in (50, 99, 100)))


class Trades(Struct, rename="camel"):
    """What the test itself did at the server."""

    opened: int = 0
    closed: int = 0
    failed: dict[str, int] = field(default_factory=dict)


class Server(Struct, rename="camel"):
    """What the server used; None where this machine cannot tell."""

    process: str | None = None
    """Its number and name: before a server of somebody else's it may be a proxy's."""
    cpu_percent: float | None = None
    waited_percent: float | None = None
    """Of the time it was kept waiting for a core by other programs."""
    memory_before_bytes: int | None = None
    memory_after_bytes: int | None = None
    bytes_per_connection: int | None = None
    log_problems: list[str] = field(default_factory=list)


class Events(Struct, rename="camel"):
    """Trade events, summed over all clients."""

    stored: int
    due: int
    lost: int
    doubled: int
    out_of_order: int
    altered: int
    """Texts that reached a client and are not what the server stored."""

    @property
    def wrong(self) -> int:
        return self.lost + self.doubled + self.out_of_order + self.altered


class Report(Struct, rename="camel"):
    """All of it. Rates, delays and CPU are those of the measured window."""

    started_at: str
    parameters: Parameters
    machine: dict[str, str | int]
    window_s: float
    connected: int
    failed: dict[str, int]
    dropped: dict[str, int]
    connects: Spread
    messages_per_s: float
    prices_per_s: float
    prices_due_per_s: float
    bytes_per_s: float
    price_delays: Spread
    event_delays: Spread
    events: Events
    load_lag: Spread
    """How late the load processes themselves were: that much of a delay may be theirs."""
    load_cpu_percent: list[float]
    """Of each load process."""
    load_waited_percent: list[float]
    """How long each of them was kept waiting for a core by other programs."""
    trades: Trades = field(default_factory=Trades)
    server: Server = field(default_factory=Server)
    clock_offset_ms: float | None = None
    """How far the server's clock is ahead, taken out of the delays; None on one machine."""
    clock_uncertainty_ms: float | None = None
    interrupted: bool = False
    broken: list[str] = field(default_factory=list)
    """Which budgets were exceeded, in words."""


def make(
    all_figures: list[Figures], stored: list[str] | None, parameters: Parameters, started_at: str
) -> Report:
    """A report of what the clients measured, and of the events that the server has stored."""
    failed: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    starts, prices, events, lags = Delays(), Delays(), Delays(), Delays()
    for figures in all_figures:
        failed.update(figures.failed)
        dropped.update(figures.dropped)
        starts.merge(figures.start_delays)
        lags.merge(figures.lags)
        prices.merge(figures.price_delays)
        events.merge(figures.event_delays)
    connected = sum(figures.started for figures in all_figures)
    seen = {text for figures in all_figures for text in figures.event_texts}
    measured = [figures for figures in all_figures if figures.window_s]
    return Report(
        started_at=started_at,
        parameters=parameters,
        machine=describe(),
        window_s=max(figures.window_s for figures in all_figures),
        connected=connected,
        failed=dict(failed),
        dropped=dict(dropped),
        connects=Spread.of(starts),
        messages_per_s=sum(figures.messages / figures.window_s for figures in measured),
        prices_per_s=sum(figures.prices / figures.window_s for figures in measured),
        prices_due_per_s=connected * len(parameters.symbols) * 1000 / parameters.interval_ms,
        bytes_per_s=sum(figures.bytes / figures.window_s for figures in measured),
        price_delays=Spread.of(prices),
        event_delays=Spread.of(events),
        events=Events(
            stored=len(stored or []),
            due=sum(figures.events_due for figures in all_figures),
            lost=sum(figures.lost for figures in all_figures),
            doubled=sum(figures.doubled for figures in all_figures),
            out_of_order=sum(figures.disordered for figures in all_figures),
            altered=0 if stored is None else len(seen.difference(stored)),
        ),
        load_lag=Spread.of(lags),
        load_cpu_percent=[100 * figures.cpu_s / figures.window_s for figures in measured],
        load_waited_percent=[100 * figures.waited_s / figures.window_s for figures in measured],
    )


def server_use(
    process: str | None,
    uses: tuple[Usage | None, Usage | None, Usage | None],
    window_s: float,
    connected: int,
    problems: list[str],
) -> Server:
    """What the server used, from its usage before the clients, at the window's start and end."""
    before, begun, ended = uses
    if before is None or begun is None or ended is None:
        return Server(log_problems=problems)
    grown_bytes = ended.memory_bytes - before.memory_bytes
    return Server(
        process=process,
        cpu_percent=100 * (ended.cpu_s - begun.cpu_s) / window_s,
        waited_percent=100 * (ended.waited_s - begun.waited_s) / window_s,
        memory_before_bytes=before.memory_bytes,
        memory_after_bytes=ended.memory_bytes,
        bytes_per_connection=grown_bytes // connected if connected else None,
        log_problems=problems,
    )


def broken_budgets(report: Report, p99_ms: float | None, lost: int) -> list[str]:
    """The budgets that a report exceeds, in words."""
    broken = []
    if report.failed:
        broken.append(f"not connected: {_reasons(report.failed)}")
    if report.dropped:
        broken.append(f"dropped by the server: {_reasons(report.dropped)}")
    if report.trades.failed:
        broken.append(f"trades that failed: {_reasons(report.trades.failed)}")
    if report.events.wrong > lost:
        broken.append(
            f"{report.events.wrong} events lost, doubled, out of order or altered, "
            f"with {lost} allowed (--lost)"
        )
    if p99_ms is not None:
        for what, delays in (("prices", report.price_delays), ("trades", report.event_delays)):
            if delays.p99_ms is not None and delays.p99_ms > p99_ms:
                broken.append(
                    f"the p99 delay of {what} is {delays.p99_ms:.1f} ms, "
                    f"with {p99_ms:g} ms allowed (--p99-ms)"
                )
        if report.price_delays.p99_ms is None:
            broken.append("no price arrived, so there is no delay to hold against --p99-ms")
    return broken


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


def _reasons(counts: dict[str, int]) -> str:
    return "; ".join(f"{count} × {reason}" for reason, count in counts.items())
