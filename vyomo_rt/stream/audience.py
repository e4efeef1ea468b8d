"""Peers that get the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

from vyomo_rt.stream.peer import Peer

K = TypeVar("K", bound=Hashable)


class Audience(Generic[K]):
    """The ready peers' write functions, the peers that wait, and totals per broadcast."""

    __slots__ = ("bytes", "key", "messages", "waiting", "writes", "wrote_at_s")

    def __init__(self, key: K) -> None:
        self.key = key
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
        peer.messages -= self.messages
        peer.bytes -= self.bytes

    def hold(self, peer: Peer) -> None:
        """The peer is not ready: it is told what it misses."""
        del self.writes[peer]
        self.waiting.add(peer)
        peer.messages += self.messages
        peer.bytes += self.bytes
        peer.wrote_at_s = max(peer.wrote_at_s, self.wrote_at_s)

    def leave(self, peer: Peer) -> None:
        if peer in self.writes:
            self.hold(peer)
        self.waiting.discard(peer)

    def count(self, data: bytes, messages: int) -> None:
        """Add a broadcast to the totals of everybody who is ready."""
        self.messages += messages
        self.bytes += len(data)
        self.wrote_at_s = monotonic()

    def broadcast(self, data: bytes, messages: int) -> None:
        """Write the same bytes to every ready peer in one step."""
        # Counted first: a write may pause its peer, which then banks the totals.
        self.count(data, messages)
        # A copy, because a write may pause its peer and so change the dict.
        for write in list(self.writes.values()):
            write(data)
