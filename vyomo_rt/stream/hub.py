"""All peers and topics: writing what is due, holding who is slow, saying goodbye."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from vyomo_rt.clockwork import Guard
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import Clock
from vyomo_rt.domain.quote import FeedState, FeedStatus, Quote
from vyomo_rt.domain.state import SessionState
from vyomo_rt.stream.audience import Slices, slices
from vyomo_rt.stream.beats import SLOT_MS, Wheel, beat_from
from vyomo_rt.stream.log import MAX_BYTES, Shelf
from vyomo_rt.stream.peer import NOTHING_DUE, Peer
from vyomo_rt.stream.pnl import BEGIN
from vyomo_rt.stream.prices import Prices
from vyomo_rt.stream.sessions import SessionAudience, SessionTopic
from vyomo_rt.stream.traffic import Traffic
from vyomo_rt.wire import messages
from vyomo_rt.wire.frame import Framing

log = logging.getLogger(__name__)

CLOSE_SHUTDOWN = 4001
CLOSE_SLOW = 4008
_DRAIN_BYTES = 64 * 1024
_RECONNECT_FROM_MS = 500
_RECONNECT_UPTO_MS = 5000


@dataclass(frozen=True)
class Sources:
    """What the streams show, as functions of the rooms that know it."""

    state: Callable[[int], SessionState | None]
    history: Callable[[int, int, int], Awaitable[Sequence[Event]]]
    quote: Callable[[str], Quote | None]
    """The price of a symbol to show."""
    confirmed: Callable[[str], Quote | None]
    """The price at which its trades are valued."""
    refusal: Callable[[str], str | None]
    """Why its ticks are refused, if the last one was."""
    demand: Demand
    knows: Callable[[str], bool]
    feed_status: Callable[[], FeedStatus]


class Hub:
    """Fans events, figures and prices out to the peers."""

    def __init__(self, sources: Sources, *, now: Clock, max_events_behind: int) -> None:
        self.sources = sources
        self.now = now
        self.peers: set[Peer] = set()
        self.paused: set[Peer] = set()
        self.traffic = Traffic(self.paused)
        for framing in Framing:
            # There from the start on: an alert on a rate needs a zero to begin with.
            self.traffic.closed[str(CLOSE_SLOW), framing] = 0
        self.prices = Prices(
            now=now, quote=sources.quote, demand=sources.demand, traffic=self.traffic
        )
        self.closing = False
        self._guard = Guard()
        self._session_wheel: Wheel[SessionAudience] = Wheel()
        self._reconnect_ms: list[int] = []
        self._max_events_behind = max_events_behind
        self._slices = Slices()
        self._shelf = Shelf(MAX_BYTES)
        self._fetching: set[Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._topics: dict[int, SessionTopic] = {}

    # -- what happens ----------------------------------------------------------

    def publish_event(self, event: Event, state: SessionState) -> None:
        """Send a stored event and the figures after it."""
        if topic := self._topics.get(event.session_id):
            topic.publish_event(event, state)

    def publish_state(self, state: SessionState) -> None:
        """Send a session's figures after the day has changed."""
        if topic := self._topics.get(state.session.session_id):
            topic.publish_state(state)

    def on_quote(self, quote: Quote) -> None:
        self.prices.on_quote(quote)

    async def publish_feed_status(self, status: FeedStatus) -> None:
        """Tell everybody who subscribed to anything how the feed is doing."""
        frame = messages.feed_status(status)
        peers = [peer for peer in self.peers if peer.subscribed]
        for part in slices(len(peers)):
            for peer in peers[part]:
                if peer.ready and not peer.closed:
                    peer.reply(frame)
                else:
                    peer.due_status = True
            await asyncio.sleep(0)

    async def beat_sessions(self) -> None:
        """Send each topic's figures to those whose interval has passed."""
        due: dict[SessionTopic, list[SessionAudience]] = {}
        for audience in self._session_wheel.turn():
            due.setdefault(audience.key.topic, []).append(audience)
        for topic, audiences in due.items():
            with self._guard(f"a beat of session {topic.session_id}"):
                await topic.beat(audiences)

    async def beat_prices(self) -> None:
        """Send prices to those whose interval has passed."""
        await self.prices.beat()

    # -- the life of a peer ----------------------------------------------------

    def enter(self, peer: Peer) -> None:
        self.peers.add(peer)
        self.traffic.opened[peer.framing] += 1

    def find(self, peer_id: str) -> Peer:
        """The peer of an id. Raises NotFound."""
        for peer in self.peers:
            if peer.id == peer_id:
                return peer
        raise NotFound(f"connection {peer_id[:40]} not found: it has ended, or was never here")

    def leave(self, peer: Peer) -> None:
        """Forget a peer; nothing is written to it any more. Idempotent."""
        peer.closed = True
        self.drop_session(peer)
        self.drop_prices(peer)
        self.paused.discard(peer)
        self.peers.discard(peer)

    def pause(self, peer: Peer) -> None:
        """The socket takes no more: the peer is owed from here on."""
        peer.paused = True
        peer.paused_at_s = monotonic()
        peer.awaiting_pong = False
        if not peer.closed:
            self.paused.add(peer)
            self._hold(peer)

    def resume(self, peer: Peer) -> None:
        """The socket takes more: pay what is due."""
        peer.paused = False
        self.paused.discard(peer)
        self.drain(peer)

    def drain(self, peer: Peer) -> None:
        """Write what is due while the socket takes it: first events, then state.

        In pieces, so that neither the loop nor the write buffer is taken up by
        one long replay.
        """
        if peer.paused or peer.closed:
            return
        if peer.topic is not None and not peer.ready and not self._drain_events(peer, peer.topic):
            return
        if peer.topic is not None and not peer.topic.send_state(peer):
            asyncio.get_running_loop().call_soon(self.drain, peer)
            return
        if peer.due_prices:
            self.prices.pay(peer)
        if peer.due_status:
            peer.due_status = False
            peer.reply(messages.feed_status(self.sources.feed_status()))
        if not peer.paused:
            self._admit(peer)

    def _drain_events(self, peer: Peer, topic: SessionTopic) -> bool:
        """Write events from the peer's place on; False if more must wait for another turn."""
        if topic.log.is_lost(peer.cursor):
            peer.close(CLOSE_SLOW, "too many events behind")
            return False
        passage = topic.read(peer.cursor, peer.types, peer.framing, _DRAIN_BYTES)
        if passage is None:
            self._fetch(peer, topic)
            return False
        peer.cursor = passage.cursor
        peer.send(passage.frames)
        if peer.cursor < topic.log.end:
            asyncio.get_running_loop().call_soon(self.drain, peer)
            return False
        return not peer.paused

    def _fetch(self, peer: Peer, topic: SessionTopic) -> None:
        """Go on with a peer once the store has given what the log no longer holds."""
        if peer not in self._fetching:
            self._fetching.add(peer)
            task = asyncio.create_task(self._fetch_then_drain(peer, topic))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fetch_then_drain(self, peer: Peer, topic: SessionTopic) -> None:
        try:
            await topic.fetch(peer.cursor)
        except Exception as error:
            log.warning("the events that %s is behind cannot be read: %s", peer.id, error)
            if peer.topic is topic:
                peer.close(CLOSE_SLOW, "the events that it is behind cannot be read now")
        finally:
            self._fetching.discard(peer)
        self.drain(peer)

    def _hold(self, peer: Peer) -> None:
        if not peer.ready:
            return
        peer.ready = False
        if peer.topic is not None:
            peer.cursor = peer.topic.log.end
        for audience in (peer.session_audience, peer.price_audience):
            if audience is not None:
                audience.hold(peer)

    def _admit(self, peer: Peer) -> None:
        if peer.ready:
            return
        peer.ready = True
        for audience in (peer.session_audience, peer.price_audience):
            if audience is not None:
                audience.admit(peer)

    # -- subscriptions ---------------------------------------------------------

    def use_topic(self, session_id: int) -> SessionTopic:
        """The topic of a session, kept until ``release_topic``. Raises NotFound."""
        topic = self._topics.get(session_id)
        if topic is None:
            state = self.sources.state(session_id)
            if state is None:
                raise NotFound(f"session {session_id} not found")
            topic = self._topics[session_id] = SessionTopic(
                state,
                now=self.now,
                quote=self.sources.confirmed,
                history=self.sources.history,
                log_limit=self._max_events_behind,
                traffic=self.traffic,
                wheel=self._session_wheel,
                slices=self._slices,
                shelf=self._shelf,
            )
        topic.users += 1
        return topic

    def release_topic(self, topic: SessionTopic) -> None:
        topic.users -= 1
        if not topic.users:
            del self._topics[topic.session_id]
            topic.end()

    def take_session(self, peer: Peer, topic: SessionTopic, cursor: int) -> None:
        """Put a peer into a topic at a place in its log; its state is due."""
        self._hold(peer)
        peer.cursor = cursor
        peer.due_session = True
        peer.owe_pnl(BEGIN)
        topic.join(peer)

    def drop_session(self, peer: Peer) -> None:
        """Leave the topic; what still waited for the peer is discarded."""
        if topic := peer.topic:
            topic.leave(peer)
            self.release_topic(topic)
        peer.forgive_session()

    def take_prices(self, peer: Peer, symbols: tuple[str, ...], named: Sequence[str]) -> None:
        """Set a peer's symbols; the last known prices of ``named`` are due.

        The beat goes on as it was unless the interval changed: who adds symbols
        often must not wait for the others' prices for ever.
        """
        due = peer.due_prices.intersection(symbols).union(named)
        beat = peer.price_beat
        if beat is None or beat.slots * SLOT_MS != peer.price_interval_ms:
            beat = beat_from(self.prices.wheel.slot, peer.price_interval_ms)
        self.drop_prices(peer)
        self._hold(peer)
        peer.symbols = symbols
        # What is named is sent in any case, also what was seen before.
        seen = {name: view for name, view in (peer.seen or {}).items() if name not in named}
        peer.seen = seen if peer.only_changes else None
        peer.due_prices = due
        if symbols:
            self.prices.join(peer, beat)

    def drop_prices(self, peer: Peer) -> None:
        self.prices.leave(peer)
        peer.symbols = ()
        peer.due_prices = NOTHING_DUE

    def owe_status(self, peer: Peer) -> None:
        """A snapshot says so while the feed is not LIVE."""
        if peer.subscribed and self.sources.feed_status().state is not FeedState.LIVE:
            peer.due_status = True

    # -- the end ---------------------------------------------------------------

    def shut_down(self) -> None:
        """Tell everybody, each with a reconnect time of its own, and close."""
        self.closing = True
        upto_ms = max(_RECONNECT_UPTO_MS, _RECONNECT_FROM_MS + 2 * len(self.peers))
        self._reconnect_ms = random.sample(range(_RECONNECT_FROM_MS, upto_ms), len(self.peers) + 1)
        for peer in list(self.peers):
            self.dismiss(peer)

    def dismiss(self, peer: Peer) -> None:
        """Tell one peer that the server shuts down, and close."""
        # Who still comes in after all were told shares the last time that is left.
        times_ms = self._reconnect_ms
        after_ms = times_ms.pop() if len(times_ms) > 1 else times_ms[0]
        if not peer.paused:
            peer.reply(messages.server_shutdown(after_ms))
        peer.close(CLOSE_SHUTDOWN, "server shutdown")
