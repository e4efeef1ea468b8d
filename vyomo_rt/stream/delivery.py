"""Pays peers what they are owed: holds them while the socket takes nothing, then drains them."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

from vyomo_rt.stream.overview import Overview
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.prices import Prices
from vyomo_rt.stream.sessions import SessionTopic
from vyomo_rt.stream.sources import Sources
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.health import feed_status

log = logging.getLogger(__name__)

_DRAIN_BYTES = 64 * 1024


class Delivery:
    """Moves peers between *ready* (written to directly) and *waiting* (owed)."""

    def __init__(
        self, sources: Sources, prices: Prices, overview: Overview, paused: set[Peer]
    ) -> None:
        self._paused = paused
        self._sources = sources
        self._prices = prices
        self._overview = overview
        self._fetching: set[Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def pause(self, peer: Peer) -> None:
        """The socket takes no more: from here on messages are owed to the peer."""
        peer.paused = True
        peer.paused_at_s = monotonic()
        peer.awaiting_pong = False
        if not peer.closed:
            self._paused.add(peer)
            self.hold(peer)

    def resume(self, peer: Peer) -> None:
        """The socket takes more: pay what is due."""
        peer.paused = False
        self._paused.discard(peer)
        self.drain(peer)

    def hold(self, peer: Peer) -> None:
        """Owe a peer whatever comes, until it is drained."""
        if not peer.ready:
            return
        peer.ready = False
        if peer.topic is not None:
            peer.written_seq = peer.topic.log.end
        for audience in peer.audiences:
            audience.hold(peer)

    def drain(self, peer: Peer) -> None:
        """Write what is due while the socket takes it: first events, then state.

        It writes in pieces, so that one long replay fills neither the loop's time nor
        the write buffer.
        """
        if peer.paused or peer.closed:
            return
        if peer.topic is not None and not peer.ready and not self._drain_events(peer, peer.topic):
            return
        if peer.topic is not None and not peer.topic.send_state(peer):
            asyncio.get_running_loop().call_soon(self.drain, peer)
            return
        if peer.due_prices:
            self._prices.pay(peer)
        if peer.due_status:
            peer.due_status = False
            peer.reply(feed_status(self._sources.feed_status()))
        if peer.watch_audience is not None and not peer.ready and not self._overview.pay(peer):
            asyncio.get_running_loop().call_soon(self.drain, peer)
            return
        if not peer.paused:
            self._admit(peer)

    def _drain_events(self, peer: Peer, topic: SessionTopic) -> bool:
        """Write events from the peer's place on; False if some have to wait."""
        if topic.log.is_lost(peer.written_seq):
            peer.close(CloseCode.SLOW, "too many events behind")
            return False
        passage = topic.read(peer.written_seq, peer.types, peer.framing, _DRAIN_BYTES)
        if passage is None:
            self._fetch(peer, topic)
            return False
        peer.written_seq = passage.seq
        peer.send(passage.frames)
        if peer.written_seq < topic.log.end:
            asyncio.get_running_loop().call_soon(self.drain, peer)
            return False
        return not peer.paused

    def _fetch(self, peer: Peer, topic: SessionTopic) -> None:
        """Drain the peer once the store has returned what the log no longer holds."""
        if peer not in self._fetching:
            self._fetching.add(peer)
            task = asyncio.create_task(self._fetch_then_drain(peer, topic))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fetch_then_drain(self, peer: Peer, topic: SessionTopic) -> None:
        try:
            await topic.fetch(peer.written_seq)
        except Exception as error:
            log.warning("the events that %s is behind cannot be read: %s", peer.id, error)
            if peer.topic is topic:
                peer.close(CloseCode.SLOW, "the events that it is behind cannot be read now")
        finally:
            self._fetching.discard(peer)
        self.drain(peer)

    def _admit(self, peer: Peer) -> None:
        if peer.ready:
            return
        peer.ready = True
        for audience in peer.audiences:
            audience.admit(peer)
