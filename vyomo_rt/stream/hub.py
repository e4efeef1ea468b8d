"""All peers: who is connected, what everybody is told, and the goodbye."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import WallClock
from vyomo_rt.domain.quote import FeedStatus, Quote
from vyomo_rt.domain.state import SessionState
from vyomo_rt.stream.audience import Slices, slices
from vyomo_rt.stream.delivery import Delivery
from vyomo_rt.stream.overview import Overview
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.prices import Prices
from vyomo_rt.stream.sources import Sources
from vyomo_rt.stream.subscriptions import Subscriptions
from vyomo_rt.stream.topics import Topics
from vyomo_rt.stream.traffic import Traffic
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.connection import server_shutdown
from vyomo_rt.wire.frame import Framing
from vyomo_rt.wire.health import feed_status

_RECONNECT_FROM_MS = 500
_RECONNECT_UPTO_MS = 5000


class Hub:
    """Fans events, figures and prices out to the peers."""

    def __init__(
        self, sources: Sources, *, now: WallClock, max_events_behind: int, max_symbols: int
    ) -> None:
        self.sources = sources
        self.now = now
        self.peers: set[Peer] = set()
        self.closing = False
        self.paused: set[Peer] = set()
        self.traffic = Traffic(self.paused)
        for framing in Framing:
            # Present from the start: an alert on a rate needs an initial zero.
            self.traffic.closed[str(CloseCode.SLOW), framing] = 0
        self.slices = Slices()
        self.prices = Prices(
            now=now,
            quote=sources.quote,
            demand=sources.demand,
            traffic=self.traffic,
            slices=self.slices,
        )
        self.topics = Topics(
            sources,
            now=now,
            max_events_behind=max_events_behind,
            traffic=self.traffic,
            slices=self.slices,
        )
        self.overview = Overview(sources, now=now, traffic=self.traffic)
        self.delivery = Delivery(sources, self.prices, self.overview, self.paused)
        self.subscriptions = Subscriptions(
            sources,
            self.topics,
            self.prices,
            self.overview,
            self.delivery,
            traffic=self.traffic,
            max_symbols=max_symbols,
        )
        self._reconnect_ms: list[int] = []
        self.node: str | None = None
        """The name of this node; None for a server that is alone."""

    # -- what happens ----------------------------------------------------------

    def watched(self) -> set[int]:
        """The sessions that somebody watches."""
        return {*self.topics.watched(), *self.overview.watched()}

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        """Send a session's stored events and the figures after the last."""
        if topic := self.topics.find(state.session.session_id):
            topic.publish_events(events, state)
        self.overview.on_state(state)

    def publish_state(self, state: SessionState) -> None:
        """Send the figures of a session that is new, or shows another date."""
        if topic := self.topics.find(state.session.session_id):
            topic.publish_state(state)
        self.overview.on_state(state)

    def on_quote(self, quote: Quote) -> None:
        """Show a price that has changed."""
        self.prices.on_quote(quote)
        self.overview.on_quote(quote.symbol)

    async def publish_feed_status(self, status: FeedStatus) -> None:
        """Tell everybody who subscribed to anything how the feed is doing."""
        frame = feed_status(status)
        peers = [peer for peer in self.peers if peer.subscribed]
        for part in slices(len(peers)):
            for peer in peers[part]:
                if peer.ready and not peer.closed:
                    peer.reply(frame)
                else:
                    peer.due_status = True
            await asyncio.sleep(0)

    # -- the life of a peer ----------------------------------------------------

    def enter(self, peer: Peer) -> None:
        """Take in a new peer, which watches nothing yet."""
        self.peers.add(peer)
        self.traffic.opened[peer.framing] += 1

    def find(self, peer_id: str, is_in_reach: Callable[[Peer], bool] = lambda _: True) -> Peer:
        """The peer of an id. Raises NotFound, in the same words and time if it is out of reach."""
        found = [peer for peer in self.peers if peer.id == peer_id and is_in_reach(peer)]
        if found:
            return found[0]
        words = f"connection {peer_id[:40]} not found: it has ended, or was never here"
        raise NotFound(words, "connectionId")

    def leave(self, peer: Peer) -> None:
        """Forget a peer; nothing is written to it any more. Idempotent."""
        peer.closed = True
        self.subscriptions.end(peer)
        self.paused.discard(peer)
        self.peers.discard(peer)

    # -- the end ---------------------------------------------------------------

    def shut_down(self) -> None:
        """Tell everybody, each with a different reconnect time, and close."""
        self.closing = True
        upto_ms = max(_RECONNECT_UPTO_MS, _RECONNECT_FROM_MS + 2 * len(self.peers))
        self._reconnect_ms = random.sample(range(_RECONNECT_FROM_MS, upto_ms), len(self.peers) + 1)
        for peer in list(self.peers):
            self.dismiss(peer)

    def dismiss(self, peer: Peer) -> None:
        """Tell one peer that the server shuts down, and close."""
        # A peer that enters after everyone was told gets the last delay that is left.
        times_ms = self._reconnect_ms
        after_ms = times_ms.pop() if len(times_ms) > 1 else times_ms[0]
        peer.settle()
        if not peer.paused:
            peer.reply(server_shutdown(after_ms))
        peer.close(CloseCode.SHUTDOWN, "server shutdown")
