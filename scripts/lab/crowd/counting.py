"""What clients count: messages, delays, and whether each event came once and in order."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct, field


class Delays(Struct):
    """Durations, counted by tenths of a millisecond: small, exact enough, and they add up."""

    counts: dict[int, int] = field(default_factory=dict)

    def add(self, delay_ms: float) -> None:
        tenths = round(delay_ms * 10)
        self.counts[tenths] = self.counts.get(tenths, 0) + 1

    def merge(self, other: Delays) -> None:
        for tenths, count in other.counts.items():
            self.counts[tenths] = self.counts.get(tenths, 0) + count

    @property
    def samples(self) -> int:
        return sum(self.counts.values())

    def percentile_ms(self, percent: float) -> float | None:
        """The smallest delay that at least so many per cent do not exceed; None without samples."""
        wanted = self.samples * percent / 100
        passed = 0
        for tenths in sorted(self.counts):
            passed += self.counts[tenths]
            if passed >= wanted:
                return tenths / 10
        return None


class SeqCheck:
    """One client's view of a session's events: which are missing, doubled, out of order."""

    __slots__ = ("disordered", "doubled", "first_seq", "missing", "next_seq")

    def __init__(self, last_seq: int) -> None:
        self.first_seq = last_seq + 1
        self.next_seq = last_seq + 1
        self.missing: set[int] = set()
        self.doubled = 0
        self.disordered = 0

    def see(self, seq: int) -> None:
        if seq >= self.next_seq:
            self.missing.update(range(self.next_seq, seq))
            self.next_seq = seq + 1
        elif seq in self.missing:
            self.missing.remove(seq)
            self.disordered += 1
        else:
            self.doubled += 1

    def lost(self, newest_seq: int) -> int:
        """How many events up to the session's newest one never came."""
        return len(self.missing) + max(0, newest_seq + 1 - self.next_seq)


class Event:
    """A trade event as the clients of a swarm got it."""

    __slots__ = ("last_ms", "receipts", "seq", "stored_ms")

    def __init__(self, seq: int, stored_ms: float) -> None:
        self.seq = seq
        self.stored_ms = stored_ms
        self.receipts = 0
        self.last_ms = 0.0
        """When the newest of them came in, by the server's clock."""


class Spread(Struct, rename="camel"):
    """Delays in short."""

    samples: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None

    @classmethod
    def of(cls, delays: Delays) -> Spread:
        return cls(delays.samples, *(delays.percentile_ms(percent) for percent in (50, 99, 100)))


class Chunk(NamedTuple):
    """Bytes of whole messages, and what is in them; most clients get the very same ones."""

    data: bytes = b""
    messages: int = 0
    prices: int = 0
    events: tuple[Event, ...] = ()


class Tally:
    """What all watchers of a swarm have counted so far."""

    def __init__(self) -> None:
        self.measuring = False
        self.messages = 0
        self.prices = 0
        self.bytes = 0
        self.price_delays = Delays()
        self.event_delays = Delays()
        self.events: dict[bytes, Event] = {}
        """By its text, each event that anybody got."""
        self.announced_ms: dict[int, float] = {}
        """By seq, the timestamp of the figures that follow an event: when the store had it."""
        self.newest: dict[type, Chunk] = {}
        """By kind of watcher, what was read last: not to be taken apart again for each."""


class Progress(Struct, tag="progress"):
    """How far a swarm is."""

    started: int = 0
    failed: int = 0
    dropped: int = 0
    messages: int = 0
    ramped: bool = False


class Receipt(Struct):
    """What became of one trade event in a swarm."""

    seq: int
    clients: int
    last_ms: float
    """When the last client had it, in epoch milliseconds of the server's clock."""
    announced_ms: float | None
    """When the server sent it, which it does once the store has answered; cut to a whole ms."""


class Figures(Struct, tag="figures"):
    """What a swarm has measured. The rates' counts are those of the window ``window_s``."""

    started: int
    failed: dict[str, int]
    """Clients that the server did not take, by reason."""
    dropped: dict[str, int]
    """Clients that lost their connection later, by reason."""
    start_delays: Delays
    """From connecting to the last ack."""
    ramp_s: float = 0.0
    """From the first connecting to the last client that started."""
    window_s: float = 0.0
    messages: int = 0
    prices: int = 0
    bytes: int = 0
    cpu_s: float = 0.0
    waited_s: float = 0.0
    """How long other programs kept the swarm's process from a core."""
    lags: Delays = field(default_factory=Delays)
    """How much later than due the swarm's process did what was due: its own part of the delays."""
    price_delays: Delays = field(default_factory=Delays)
    event_delays: Delays = field(default_factory=Delays)
    events_due: int = 0
    """Events stored after a client had subscribed, summed over the clients still there."""
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    event_texts: list[str] = []
    """Each different text of an event that anybody got."""
    receipts: list[Receipt] = []
