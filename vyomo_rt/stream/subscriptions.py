"""What each peer watches: the one place where that changes."""

from __future__ import annotations

from collections.abc import Sequence

from vyomo_rt.domain.errors import BadRequest, LimitExceeded
from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.stream.delivery import Delivery
from vyomo_rt.stream.overview import Overview
from vyomo_rt.stream.peer import NOTHING_DUE, Peer
from vyomo_rt.stream.pnl import BEGIN
from vyomo_rt.stream.prices import Prices
from vyomo_rt.stream.sessions import SessionTopic
from vyomo_rt.stream.sources import Sources
from vyomo_rt.stream.topics import Topics
from vyomo_rt.stream.traffic import Traffic
from vyomo_rt.stream.wheel import SLOT_MS, beat_from
from vyomo_rt.wire.commands import (
    ALL_TYPES,
    SubscribePrices,
    SubscribeSession,
    UnsubscribePrices,
    WatchSessions,
)
from vyomo_rt.wire.connection import Subscription


class Subscriptions:
    """Puts peers into topics and price audiences, and takes them out.

    A change only makes messages due: the caller answers first, then drains the peer.
    """

    def __init__(
        self,
        sources: Sources,
        topics: Topics,
        prices: Prices,
        overview: Overview,
        delivery: Delivery,
        *,
        traffic: Traffic,
        max_symbols: int,
    ) -> None:
        self._sources = sources
        self._topics = topics
        self._prices = prices
        self._overview = overview
        self._delivery = delivery
        self._traffic = traffic
        self._max_symbols = max_symbols

    # -- a session ---------------------------------------------------------------

    def must_load(self, command: SubscribeSession, topic: SessionTopic) -> bool:
        """Whether a resumption needs events that only the store has."""
        return _is_recoverable(command, topic) and not topic.has_at_hand(command.since or 0)

    async def load(self, command: SubscribeSession, topic: SessionTopic) -> None:
        """Fetch the first events that a resumption replays. Raises Unavailable."""
        if self.must_load(command, topic):
            assert command.since is not None
            await topic.fetch(command.since)

    def watch_session(self, peer: Peer, command: SubscribeSession, topic: SessionTopic) -> None:
        """Watch a session instead of the previous one, from ``since`` on if possible."""
        self.leave_session(peer)
        peer.types = ALL_TYPES if command.types is None else frozenset(command.types)
        if command.update_interval is not None:
            peer.update_interval_ms = command.update_interval
        seq = topic.log.end
        if command.since is not None:
            peer.recovered = _is_recoverable(command, topic)
            self._traffic.resumptions[peer.recovered] += 1
            if peer.recovered:
                seq = command.since
        self._delivery.hold(peer)
        peer.written_seq = seq
        peer.due_session = True
        peer.owe_pnl(BEGIN)
        self._topics.keep(topic)
        topic.join(peer)
        self._owe_status(peer)

    def leave_session(self, peer: Peer) -> None:
        """Leave the topic; discard what was still due to the peer."""
        if topic := peer.topic:
            topic.leave(peer)
            self._topics.release(topic)
            if peer.watch_audience is not None:
                self._delivery.hold(peer)
                peer.due_watched |= {topic.session_id}
        peer.forgive_session()

    # -- prices ------------------------------------------------------------------

    def sort_symbols(
        self, peer: Peer | None, command: SubscribePrices
    ) -> tuple[list[str], list[str]]:
        """The symbols of a command that the feed knows, and the others, each once.

        Raises BadRequest or LimitExceeded.
        """
        named = list(dict.fromkeys(_parse_symbols(command.symbols)))
        knows = self._sources.knows
        known = [symbol for symbol in named if knows(symbol)]
        unknown = [symbol for symbol in named if not knows(symbol)]
        present = peer.symbols if peer is not None else ()
        if max(len(named), len({*present, *known})) > self._max_symbols:
            raise LimitExceeded(
                f"symbols: at most {self._max_symbols} symbols per connection,"
                f" and it has {len(present)}",
                "symbols",
            )
        return known, unknown

    def watch_prices(self, peer: Peer, command: SubscribePrices) -> list[str]:
        """Add symbols to the peer's set; returns those that the feed does not know."""
        known, unknown = self.sort_symbols(peer, command)
        if command.price_interval is not None:
            peer.price_interval_ms = command.price_interval
        if command.only_changes is not None:
            peer.only_changes = command.only_changes
        self._set_symbols(peer, tuple(sorted({*peer.symbols, *known})), known)
        self._owe_status(peer)
        return unknown

    def leave_prices(self, peer: Peer, command: UnsubscribePrices) -> None:
        """Take the named symbols, or all, out of the peer's set."""
        symbols: tuple[str, ...] = ()
        if isinstance(command.symbols, list):
            leaving = {symbol.strip().upper() for symbol in command.symbols}
            symbols = tuple(symbol for symbol in peer.symbols if symbol not in leaving)
        self._set_symbols(peer, symbols, ())

    def _set_symbols(self, peer: Peer, symbols: tuple[str, ...], named: Sequence[str]) -> None:
        """Set a peer's symbols; the last known prices of ``named`` are due.

        The beat goes on as it was unless the interval changed: a peer that adds symbols
        often must not wait for the others' prices for ever.
        """
        due = peer.due_prices.intersection(symbols).union(named)
        beat = peer.price_beat
        if beat is None or beat.slots * SLOT_MS != peer.price_interval_ms:
            beat = beat_from(self._prices.wheel.slot, peer.price_interval_ms)
        self._drop_prices(peer)
        self._delivery.hold(peer)
        peer.symbols = symbols
        # Named symbols are sent in any case, even if they were seen before.
        seen = {name: view for name, view in (peer.seen or {}).items() if name not in named}
        peer.seen = seen if peer.only_changes else None
        peer.due_prices = due
        if symbols:
            self._prices.join(peer, beat)

    def _drop_prices(self, peer: Peer) -> None:
        self._prices.leave(peer)
        peer.symbols = ()
        peer.due_prices = NOTHING_DUE

    # -- all sessions ------------------------------------------------------------

    def watch_all(self, peer: Peer, command: WatchSessions) -> None:
        """Watch all sessions that the peer may see; the figures of each are due."""
        self.leave_all(peer)
        if command.update_interval is not None:
            peer.watch_interval_ms = command.update_interval
        self._delivery.hold(peer)
        self._overview.join(peer)
        self._owe_status(peer)

    def leave_all(self, peer: Peer) -> None:
        """Watch no sessions but the subscribed one."""
        self._overview.leave(peer)

    def follow_rights(self, peer: Peer) -> None:
        """Watch what the peer's grant reaches now, if that is not the same as before."""
        if not self._overview.has_right_view(peer):
            self.watch_all(peer, WatchSessions())

    # -- all ---------------------------------------------------------------------

    def end(self, peer: Peer) -> None:
        """The peer watches nothing any more."""
        self.leave_all(peer)
        self.leave_session(peer)
        self._drop_prices(peer)

    def _owe_status(self, peer: Peer) -> None:
        """A snapshot says so while the feed is not LIVE."""
        if peer.subscribed and self._sources.feed_status().is_news:
            peer.due_status = True


def subscription(peer: Peer, unknown: Sequence[str] = ()) -> Subscription:
    """The peer's whole subscription, as an ack shows it."""
    topic = peer.topic
    shown = Subscription(
        session_id=None if topic is None else topic.session_id,
        seq=peer.seq,
        epoch=None if topic is None else topic.epoch,
        types=sorted(peer.types),
        update_interval=peer.update_interval_ms,
        symbols=list(peer.symbols),
        price_interval=peer.price_interval_ms,
        only_changes=peer.only_changes,
        unknown=list(unknown),
        watching=peer.watch_audience is not None,
        watch_interval=peer.watch_interval_ms,
    )
    if peer.recovered is not None:
        shown.recovered = peer.recovered
    return shown


def _is_recoverable(command: SubscribeSession, topic: SessionTopic) -> bool:
    """Whether ``since`` is in this very history and not too far back."""
    return (
        command.since is not None
        and command.epoch in (None, topic.epoch)
        and topic.log.within_reach(command.since)
    )


def _parse_symbols(texts: Sequence[str]) -> list[str]:
    try:
        return [parse_symbol(text) for text in texts]
    except BadRequest as error:
        raise BadRequest(f"symbols: {error}", "symbols") from None
