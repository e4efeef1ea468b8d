"""The figures of one measurement, from what was observed."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from msgspec import Struct, field

from lab.bench.cases import Case
from lab.crowd.counting import Delays, Figures, Receipt, Spread
from lab.site.machine import DISTURBED_PERCENT, SATURATED_PERCENT


class Moment(NamedTuple):
    """What the server has used by then, or between two moments."""

    at_s: float
    cpu_s: float
    waited_s: float
    memory_bytes: int

    def since(self, earlier: Moment) -> Moment:
        """The difference."""
        return Moment(
            self.at_s - earlier.at_s,
            self.cpu_s - earlier.cpu_s,
            self.waited_s - earlier.waited_s,
            self.memory_bytes - earlier.memory_bytes,
        )


class Observed(NamedTuple):
    """A measurement as observed: the server phase by phase, the load side, its own trades."""

    case: Case
    empty: Moment
    """While nobody was connected."""
    ramp: Moment
    """While all connected."""
    crowd: Moment
    """From the empty server to the end of the window."""
    window: Moment
    """While messages were counted."""
    collections_ms: list[float]
    """Of generation 1, and of all."""
    load: list[Figures]
    later: Delays | None
    """On another node than that of the session, where both were observed."""
    load_cores: int
    posted_ms: list[float]
    """When the command was sent that made the event 1, 2, ..."""
    failed_trades: Counter[str]
    server_problems: list[str]
    ticks: float | None
    """Accepted in the window, where ticks were pushed."""
    producer_cpu_s: float
    """Of the program that pushed them."""


class Measurement(Struct, rename="camel"):
    """The result. Rates, delays and CPU are those of the window; None means there is none."""

    connected: int
    messages_per_s: float
    bytes_per_message: float | None
    cpu_us_per_message: float | None
    """Of the whole server process, including what it does when nobody is connected."""
    net_cpu_us_per_message: float | None
    """Without that."""
    server_cpu_percent: float
    empty_server_cpu_percent: float
    """Before anybody connected."""
    load_cpu_percent: float
    """Of the cores that the load processes have."""
    price_delays: Spread
    bytes_per_connection: float | None
    """Resident memory of the server, without the kernel's buffers."""
    connects_per_s: float | None
    cpu_us_per_connect: float | None
    collect_young_ms: float
    """A garbage collection of generation 1 in the server, with all connected."""
    collect_all_ms: float
    """A full one after it."""
    posted_to_last: Spread
    """From sending a command until the last subscriber had its event, including storing it."""
    stored_to_last: Spread
    """From the store's answer on; up to 1 ms too long, because that moment is cut to a ms."""
    ticks_per_s: float | None = None
    """Pushed ones that were accepted."""
    cpu_us_per_tick: float | None = None
    """Of the whole server process, including what its other clients cost."""
    producer_cpu_percent: float | None = None
    later: Spread | None = None
    """How much later the last subscriber on the measured node had an event than the last one on
    the node that decides about the session."""
    doubts: list[str] = field(default_factory=list)
    """Reasons to doubt the figures, in words."""


def figures_of(seen: Observed) -> Measurement:
    """What a reader wants to know of a measurement."""
    connected = sum(figures.started for figures in seen.load)
    measured = [figures for figures in seen.load if figures.window_s]
    messages_per_s = sum(figures.messages / figures.window_s for figures in measured)
    bytes_per_s = sum(figures.bytes / figures.window_s for figures in measured)
    cpu_share = seen.window.cpu_s / seen.window.at_s
    empty_share = seen.empty.cpu_s / seen.empty.at_s
    ramp_s = max(figures.ramp_s for figures in seen.load)
    load_share = sum(figures.cpu_s / figures.window_s for figures in measured)
    prices, posted, stored = Delays(), Delays(), Delays()
    for figures in seen.load:
        prices.merge(figures.price_delays)
    receipts = _receipts(seen.load)
    for receipt in receipts:
        if receipt.seq <= len(seen.posted_ms):
            posted.add(receipt.last_ms - seen.posted_ms[receipt.seq - 1])
        if receipt.announced_ms is not None:
            stored.add(receipt.last_ms - receipt.announced_ms)
    measurement = Measurement(
        connected=connected,
        messages_per_s=messages_per_s,
        bytes_per_message=_ratio(bytes_per_s, messages_per_s),
        cpu_us_per_message=_ratio(1e6 * cpu_share, messages_per_s),
        net_cpu_us_per_message=_ratio(1e6 * (cpu_share - empty_share), messages_per_s),
        server_cpu_percent=100 * cpu_share,
        empty_server_cpu_percent=100 * empty_share,
        load_cpu_percent=100 * load_share / min(seen.load_cores, len(seen.load)),
        price_delays=Spread.of(prices),
        bytes_per_connection=_ratio(seen.crowd.memory_bytes, connected),
        connects_per_s=_ratio(connected, ramp_s),
        cpu_us_per_connect=_ratio(
            1e6 * (seen.ramp.cpu_s - empty_share * seen.ramp.at_s), connected
        ),
        collect_young_ms=seen.collections_ms[0],
        collect_all_ms=seen.collections_ms[1],
        posted_to_last=Spread.of(posted),
        stored_to_last=Spread.of(stored),
    )
    if seen.ticks is not None:
        measurement.ticks_per_s = seen.ticks / seen.window.at_s
        measurement.cpu_us_per_tick = _ratio(1e6 * seen.window.cpu_s, seen.ticks)
        measurement.producer_cpu_percent = 100 * seen.producer_cpu_s / seen.window.at_s
    if seen.later is not None:
        measurement.later = Spread.of(seen.later)
    measurement.doubts = _doubts(seen, measurement, receipts)
    return measurement


def how_much_later(here: list[Figures], there: list[Figures]) -> Delays:
    """For each event, how much later the last subscriber here had it than the last one there."""
    last_ms = {receipt.seq: receipt.last_ms for receipt in _receipts(there)}
    later = Delays()
    for receipt in _receipts(here):
        later.add(receipt.last_ms - last_ms[receipt.seq])
    return later


def _ratio(amount: float, of: float) -> float | None:
    return amount / of if of else None


def _receipts(load: list[Figures]) -> list[Receipt]:
    """What became of each event, over all load processes."""
    merged: dict[int, Receipt] = {}
    for receipt in (receipt for figures in load for receipt in figures.receipts):
        known = merged.setdefault(receipt.seq, Receipt(receipt.seq, 0, 0.0, None))
        known.clients += receipt.clients
        known.last_ms = max(known.last_ms, receipt.last_ms)
        known.announced_ms = known.announced_ms or receipt.announced_ms
    return list(merged.values())


def _doubts(seen: Observed, measurement: Measurement, receipts: list[Receipt]) -> list[str]:
    failed: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for figures in seen.load:
        failed.update(figures.failed)
        dropped.update(figures.dropped)
    doubts = [
        *(f"{count} × not connected: {reason}" for reason, count in failed.items()),
        *(f"{count} × dropped: {reason}" for reason, count in dropped.items()),
        *(f"{count} × no trade: {reason}" for reason, count in seen.failed_trades.items()),
    ]
    due = len(seen.posted_ms) * seen.case.subscribers * (2 if seen.case.is_foreign else 1)
    if missed := due - sum(receipt.clients for receipt in receipts):
        doubts.append(f"{missed} of {due} deliveries of events are missing")
    each_percent = [100 * figures.cpu_s / figures.window_s for figures in seen.load]
    if (busiest := max(measurement.load_cpu_percent, *each_percent)) > SATURATED_PERCENT:
        doubts.append(
            f"THE LOAD SIDE WAS SATURATED ({busiest:.0f} % of a core): "
            "delays and rates are partly its own"
        )
    if (waited := 100 * seen.window.waited_s / seen.window.at_s) > DISTURBED_PERCENT:
        doubts.append(f"other programs kept the server waiting {waited:.0f} % of the time")
    if problems := seen.server_problems:
        doubts.append(f"the server logged {len(problems)} problems, the last: {problems[-1]}")
    return doubts
