"""Peers that get the same bytes at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, ValuesView
from contextlib import contextmanager
from time import monotonic
from typing import Generic, NamedTuple, Protocol, TypeVar

from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.wheel import Beat, Wheel

SLICE = 64
"""Writes before the loop may run, so that trade events do not wait behind a beat."""


class Key(Protocol):
    """What the peers of an audience have in common, such as when their bytes are due."""

    @property
    def beat(self) -> Beat: ...

    def __hash__(self) -> int: ...


K = TypeVar("K", bound=Key)


class Roll(NamedTuple):
    """The ready peers and, in the same order, their write functions."""

    peers: Sequence[Peer]
    writes: Sequence[Callable[[bytes], None]]


def slices(count: int) -> Iterator[slice]:
    """Slices over so many peers; the loop may run after each."""
    return (slice(start, start + SLICE) for start in range(0, count, SLICE))


class Slices:
    """How much was done since the loop last ran, and whether more is to come, for all audiences."""

    def __init__(self) -> None:
        self._done = 0
        self._beats = 0

    def go_on(self) -> bool:
        """Whether a beat has not yet been written to everybody."""
        return self._beats > 0

    @contextmanager
    def of_beat(self) -> Iterator[None]:
        """Write a beat inside this block."""
        self._beats += 1
        try:
            yield
        finally:
            self._beats -= 1

    def fill(self, work: int) -> bool:
        """Count writes, or work that takes as long; True if the loop has to run now."""
        self._done += work
        if self._done < SLICE:
            return False
        self._done = 0
        return True


class Audience(Generic[K]):
    """The ready peers' write functions, the peers that wait, and totals per broadcast."""

    __slots__ = ("_roll", "bytes", "key", "messages", "waiting", "writes", "wrote_at_s")

    def __init__(self, key: K) -> None:
        self.key = key
        self._roll: Roll | None = None
        self.writes: dict[Peer, Callable[[bytes], None]] = {}
        self.waiting: set[Peer] = set()
        self.messages = 0
        self.bytes = 0
        self.wrote_at_s = 0.0

    def __bool__(self) -> bool:
        return bool(self.writes or self.waiting)

    def join(self, peer: Peer) -> None:
        if peer.ready:
            self.admit(peer)
        else:
            self.waiting.add(peer)

    def admit(self, peer: Peer) -> None:
        """The peer is ready: write to it directly from now on."""
        self.waiting.discard(peer)
        self.writes[peer] = peer.write
        self._roll = None
        peer.messages -= self.messages
        peer.bytes -= self.bytes

    def hold(self, peer: Peer) -> None:
        """The peer is not ready: it waits, and is owed what it misses."""
        del self.writes[peer]
        self._roll = None
        self.waiting.add(peer)
        peer.messages += self.messages
        peer.bytes += self.bytes
        peer.wrote_at_s = max(peer.wrote_at_s, self.wrote_at_s)

    def leave(self, peer: Peer) -> None:
        if peer in self.writes:
            self.hold(peer)
        self.waiting.discard(peer)

    def roll(self) -> Roll:
        """The ready peers: the same object as before if nothing has changed since.

        Then no peer needs to be looked at: among thousands each look is a cache miss,
        which costs more than everything else that one write needs.
        """
        if self._roll is None:
            self._roll = Roll(list(self.writes), list(self.writes.values()))
        return self._roll

    def forget_roll(self) -> None:
        """A peer was written to separately: a beat under way must look at each peer."""
        self._roll = None

    def count(self, data: bytes, messages: int) -> None:
        """Add a broadcast to the totals of all ready peers."""
        self.messages += messages
        self.bytes += len(data)
        self.wrote_at_s = monotonic()

    def broadcast(self, data: bytes, messages: int) -> None:
        """Write the same bytes to every ready peer in one step."""
        # Counted first: a write may pause its peer, which then banks the totals.
        self.count(data, messages)
        # Not the dict, because a write may pause its peer and so change it.
        for write in self.roll().writes:
            write(data)


class Audiences(Generic[K]):
    """Audiences by what their peers have in common; each has its place on a wheel."""

    __slots__ = ("_by_key", "_wheel")

    def __init__(self, wheel: Wheel[Audience[K]]) -> None:
        self._wheel = wheel
        self._by_key: dict[K, Audience[K]] = {}

    def join(self, key: K, peer: Peer) -> tuple[Audience[K], bool]:
        """Add a peer to the audience of a key; also says whether that is new."""
        audience = self._by_key.get(key)
        is_new = audience is None
        if audience is None:
            audience = self._by_key[key] = Audience(key)
            self._wheel.add(key.beat, audience)
        audience.join(peer)
        return audience, is_new

    def leave(self, audience: Audience[K], peer: Peer) -> bool:
        """Take a peer out of its audience; True if that was the last one, and it has ended."""
        audience.leave(peer)
        if audience:
            return False
        del self._by_key[audience.key]
        self._wheel.remove(audience.key.beat, audience)
        return True

    def all(self) -> ValuesView[Audience[K]]:
        return self._by_key.values()
