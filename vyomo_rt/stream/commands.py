"""Carries out what a client asks: subscribe, resume, unsubscribe, ping."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from vyomo_rt.domain.errors import BadRequest, LimitExceeded, NotFound, VyomoError
from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.sessions import SessionTopic
from vyomo_rt.wire import messages
from vyomo_rt.wire.commands import (
    ALL_TYPES,
    Command,
    Ping,
    SubscribePrices,
    SubscribeSession,
    UnsubscribePrices,
    UnsubscribeSession,
    message_id,
    to_command,
    to_fields,
)
from vyomo_rt.wire.frame import Frame, make_frame, position
from vyomo_rt.wire.values import MessageId


class Commands:
    """Turns a client's texts into changes of its subscription, and answers them.

    A command is first checked, then carried out in one step together with its
    ack, so that a refused one changes nothing and nothing comes in between.
    """

    def __init__(self, hub: Hub, max_symbols: int) -> None:
        self._hub = hub
        self._max_symbols = max_symbols

    # -- WebSocket ---------------------------------------------------------------

    def receive(self, peer: Peer, text: str) -> Awaitable[bool] | bool:
        """Carry out one text; True unless it was refused.

        Only a resumption that needs old events from the store has to be awaited,
        and then before the peer's next text.
        """
        id_: MessageId | None = None
        try:
            fields = to_fields(text)
            id_ = message_id(fields)
            command = to_command(fields)
            if isinstance(command, SubscribeSession):
                topic = self._hub.use_topic(command.session_id)
                if self._must_load(command, topic):
                    return self._load_then_subscribe(peer, command, topic)
                self.subscribe_session(peer, command, topic)
                self._acknowledge(peer, id_)
            else:
                self._carry_out(peer, command)
        except VyomoError as error:
            peer.reply(messages.error(error, id_))
            return False
        return True

    async def _load_then_subscribe(
        self, peer: Peer, command: SubscribeSession, topic: SessionTopic
    ) -> bool:
        taken = False
        try:
            await self.load(command, topic)
            if not peer.closed:
                taken = True
                self.subscribe_session(peer, command, topic)
                self._acknowledge(peer, command.id)
        except VyomoError as error:
            if not peer.closed:
                peer.reply(messages.error(error, command.id))
            return False
        finally:
            if not taken:
                self._hub.release_topic(topic)
        return True

    def _carry_out(self, peer: Peer, command: Command) -> None:
        match command:
            case SubscribePrices():
                unknown = self.subscribe_prices(peer, command)
                if unknown and command.id is None:
                    peer.reply(messages.error(_unknown_symbols(unknown), None))
                self._acknowledge(peer, command.id, unknown)
            case UnsubscribePrices():
                self._unsubscribe_prices(peer, command)
                self._acknowledge(peer, command.id)
            case UnsubscribeSession():
                self._hub.drop_session(peer)
                self._acknowledge(peer, command.id)
            case Ping():
                peer.reply(messages.pong(self._hub.now(), command.id))

    def _acknowledge(self, peer: Peer, id_: MessageId | None, unknown: Sequence[str] = ()) -> None:
        """Ack a command that carried an id, then send what it causes."""
        if id_ is not None:
            text = messages.ack(subscription(peer, unknown), peer.id, id_)
            peer.reply(make_frame("ack", text))
        self._hub.drain(peer)

    # -- SSE ---------------------------------------------------------------------

    def open_stream(
        self,
        peer: Peer,
        session: tuple[SubscribeSession, SessionTopic] | None,
        prices: SubscribePrices | None,
        retry_ms: int,
    ) -> None:
        """Subscribe a new SSE stream to all that its query names, and send its opening ack."""
        unknown: Sequence[str] = ()
        if session is not None:
            self.subscribe_session(peer, *session)
        if prices is not None:
            unknown = self.subscribe_prices(peer, prices)
        peer.reply(self._opening(peer, unknown, retry_ms))
        self._hub.drain(peer)

    def _opening(self, peer: Peer, unknown: Sequence[str], retry_ms: int) -> Frame:
        text = messages.ack(subscription(peer, unknown), peer.id, None)
        topic, seq = peer.topic, peer.position
        at = None if topic is None or seq is None else position(topic.session_id, seq, topic.epoch)
        return make_frame("ack", text, at, retry_ms)

    # -- both --------------------------------------------------------------------

    async def load(self, command: SubscribeSession, topic: SessionTopic) -> None:
        """Have the first events that a resumption replays at hand. Raises Unavailable."""
        if self._must_load(command, topic):
            assert command.since is not None
            await topic.fetch(command.since)

    def subscribe_session(self, peer: Peer, command: SubscribeSession, topic: SessionTopic) -> None:
        """Watch a session instead of the one before, from ``since`` on if that can be."""
        self._hub.drop_session(peer)
        peer.types = ALL_TYPES if command.types is None else frozenset(command.types)
        if command.update_interval is not None:
            peer.update_interval_ms = command.update_interval
        cursor = topic.log.end
        if command.since is not None:
            peer.recovered = self._recoverable(command, topic)
            self._hub.traffic.resumptions[peer.recovered] += 1
            if peer.recovered:
                cursor = command.since
        self._hub.take_session(peer, topic, cursor)
        self._hub.owe_status(peer)

    def subscribe_prices(self, peer: Peer, command: SubscribePrices) -> list[str]:
        """Add symbols to the peer's set; returns those that the feed does not know."""
        known, unknown = self.check_prices(peer, command)
        if command.price_interval is not None:
            peer.price_interval_ms = command.price_interval
        if command.only_changes is not None:
            peer.only_changes = command.only_changes
        self._hub.take_prices(peer, tuple(sorted({*peer.symbols, *known})), known)
        self._hub.owe_status(peer)
        return unknown

    def check_prices(
        self, peer: Peer | None, command: SubscribePrices
    ) -> tuple[list[str], list[str]]:
        """The symbols of a command that the feed knows, and the others, each once.

        Raises BadRequest or LimitExceeded.
        """
        named = list(dict.fromkeys(_parse_symbols(command.symbols)))
        knows = self._hub.sources.knows
        known = [symbol for symbol in named if knows(symbol)]
        unknown = [symbol for symbol in named if not knows(symbol)]
        present = peer.symbols if peer is not None else ()
        if max(len(named), len({*present, *known})) > self._max_symbols:
            raise LimitExceeded(
                f"symbols: at most {self._max_symbols} symbols a connection,"
                f" and it has {len(present)}"
            )
        return known, unknown

    def _unsubscribe_prices(self, peer: Peer, command: UnsubscribePrices) -> None:
        symbols: tuple[str, ...] = ()
        if isinstance(command.symbols, list):
            leaving = {symbol.strip().upper() for symbol in command.symbols}
            symbols = tuple(symbol for symbol in peer.symbols if symbol not in leaving)
        self._hub.take_prices(peer, symbols, ())

    def _must_load(self, command: SubscribeSession, topic: SessionTopic) -> bool:
        since = command.since or 0
        return self._recoverable(command, topic) and not topic.has_at_hand(since)

    def _recoverable(self, command: SubscribeSession, topic: SessionTopic) -> bool:
        """Whether ``since`` names a place in this very history that is not too far back."""
        return (
            command.since is not None
            and command.epoch in (None, topic.epoch)
            and topic.log.within_reach(command.since)
        )


def subscription(peer: Peer, unknown: Sequence[str] = ()) -> messages.Subscription:
    """The peer's whole subscription, as an ack shows it."""
    topic = peer.topic
    shown = messages.Subscription(
        session_id=None if topic is None else topic.session_id,
        seq=peer.position,
        epoch=None if topic is None else topic.epoch,
        types=sorted(peer.types),
        update_interval=peer.update_interval_ms,
        symbols=list(peer.symbols),
        price_interval=peer.price_interval_ms,
        only_changes=peer.only_changes,
        unknown=list(unknown),
    )
    if peer.recovered is not None:
        shown.recovered = peer.recovered
    return shown


def _parse_symbols(texts: Sequence[str]) -> list[str]:
    try:
        return [parse_symbol(text) for text in texts]
    except BadRequest as error:
        raise BadRequest(f"symbols: {error}", "symbols") from None


def _unknown_symbols(symbols: Sequence[str]) -> NotFound:
    return NotFound(f"unknown symbols: {', '.join(symbols)}")
