"""What a load test found, as figures and against a budget."""

from __future__ import annotations

from collections import Counter

import msgspec
from msgspec import Struct, field

from lab.crowd.counting import Delays, Figures, Spread
from lab.site.machine import Usage, describe


class Parameters(Struct, frozen=True, rename="camel"):
    """What was asked for."""

    url: str | None
    """None: the test's own server."""
    clients: int
    sse_clients: int
    symbols: list[str]
    interval_ms: int
    duration_s: float
    connects_per_s: float
    trades_per_s: float
    processes: int


class Trades(Struct, rename="camel"):
    """What the test itself did at the server."""

    opened: int = 0
    closed: int = 0
    failed: dict[str, int] = field(default_factory=dict)


class Server(Struct, rename="camel"):
    """What the server used; None where this machine cannot tell."""

    process: str | None = None
    """Its number and name; in front of somebody else's server it may be a proxy's."""
    cpu_percent: float | None = None
    waited_percent: float | None = None
    """The share of time in which other programs kept it waiting for a core."""
    memory_before_bytes: int | None = None
    memory_after_bytes: int | None = None
    bytes_per_connection: int | None = None
    log_problems: list[str] = field(default_factory=list)


class Events(Struct, rename="camel"):
    """Numbered events, summed over all clients."""

    stored: int
    kinds: dict[str, int]
    """How many of each kind are stored."""
    due: int
    lost: int
    doubled: int
    out_of_order: int
    altered: int
    """Texts that reached a client and differ from what the server stored."""

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
    """How far the server's clock is ahead, subtracted from the delays; None on one machine."""
    clock_uncertainty_ms: float | None = None
    interrupted: bool = False
    broken: list[str] = field(default_factory=list)
    """Which budgets were exceeded, in words."""


def make_report(
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
            kinds=dict(Counter(msgspec.json.decode(text)["type"] for text in stored or [])),
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


def _reasons(counts: dict[str, int]) -> str:
    return "; ".join(f"{count} × {reason}" for reason, count in counts.items())
