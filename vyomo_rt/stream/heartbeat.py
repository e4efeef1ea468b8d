"""One sweep for all connections: pings, keep-alives, and clients that stopped reading."""

from __future__ import annotations

from itertools import takewhile

from vyomo_rt.clockwork import Clockwork
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.peer import Peer
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.frame import Framing

_SWEEP_MS = 1000


class Heartbeat:
    """Keeps connections alive and finds dead and stuck ones, without a timer for each."""

    def __init__(
        self,
        hub: Hub,
        clock: Clockwork,
        *,
        ping_interval_s: float,
        pong_timeout_s: float,
        sse_keep_alive_s: float,
        slow_timeout_s: float,
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._interval_s = {Framing.WS: ping_interval_s, Framing.SSE: sse_keep_alive_s}
        self._pong_timeout_s = pong_timeout_s
        self._slow_timeout_s = slow_timeout_s
        shortest_s = min(ping_interval_s, pong_timeout_s, sse_keep_alive_s, slow_timeout_s)
        self.sweep_ms = max(1, min(_SWEEP_MS, int(shortest_s * 1000 / 4)))
        # When each peer's turn comes. Equal intervals keep them in the order of these times, and
        # a pong is due before the next ping.
        self._due: dict[Framing, dict[Peer, float]] = {framing: {} for framing in Framing}
        self._pongs_due: dict[Peer, float] = {}
        self._stalls: dict[Peer, tuple[float, int, int]] = {}

    def add(self, peer: Peer) -> None:
        """Begin with a new peer."""
        self._due[peer.framing][peer] = self._clock.time_s() + self._interval_s[peer.framing]

    def remove(self, peer: Peer) -> None:
        """Forget a peer whose connection has ended."""
        self._due[peer.framing].pop(peer, None)
        self._pongs_due.pop(peer, None)

    def sweep(self) -> None:
        """Do what is due by now; call it every ``sweep_ms``."""
        now_s = self._clock.time_s()
        self._close_unanswered(now_s)
        for due in self._due.values():
            self._send_due(due, now_s)
        self._close_slow(now_s)

    def _send_due(self, due: dict[Peer, float], now_s: float) -> None:
        for peer in _take(due, now_s):
            if peer.closed:
                continue
            if not peer.paused:
                if peer.framing is Framing.WS:
                    # Before the write: it may pause the peer, which takes the ping back.
                    peer.awaiting_pong = True
                    self._pongs_due[peer] = now_s + self._pong_timeout_s
                peer.send_joined(peer.keep_alive, 0)
            self.add(peer)

    def _close_unanswered(self, now_s: float) -> None:
        for peer in _take(self._pongs_due, now_s):
            if peer.awaiting_pong and not peer.closed:
                peer.close(CloseCode.NO_PONG, "no pong")

    def _close_slow(self, now_s: float) -> None:
        """Close peers whose socket has taken nothing for too long, or that are too far behind."""
        stalls = {}
        for peer in list(self._hub.paused):
            progress = (peer.buffered_bytes(), peer.bytes)
            before = self._stalls.get(peer)
            stall = before if before is not None and before[1:] == progress else (now_s, *progress)
            if now_s - stall[0] >= self._slow_timeout_s or _is_far_behind(peer):
                peer.close(CloseCode.SLOW, "too slow")
            else:
                stalls[peer] = stall
        self._stalls = stalls


def _take(due: dict[Peer, float], now_s: float) -> list[Peer]:
    """Remove those whose time has come."""
    peers = list(takewhile(lambda peer: due[peer] <= now_s, due))
    for peer in peers:
        del due[peer]
    return peers


def _is_far_behind(peer: Peer) -> bool:
    return peer.topic is not None and not peer.topic.log.within_reach(peer.written_seq)
