"""Carries out what a client asks for: subscribe, resume, unsubscribe, ping."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from vyomo_rt.domain.errors import NotFound, RateLimited, Unauthorized, Unavailable, VyomoError
from vyomo_rt.domain.grant import Grant
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.rights import Rights
from vyomo_rt.stream.sessions import SessionTopic
from vyomo_rt.stream.subscriptions import subscription
from vyomo_rt.wire.commands import (
    Auth,
    Command,
    Ping,
    SubscribePrices,
    SubscribeSession,
    UnsubscribePrices,
    UnsubscribeSession,
    UnwatchSessions,
    WatchSessions,
    command_type,
    message_id,
    session_named,
    to_command,
    to_fields,
)
from vyomo_rt.wire.connection import ack_text, pong
from vyomo_rt.wire.frame import Frame, make_frame
from vyomo_rt.wire.position import spell_position
from vyomo_rt.wire.refusal import error_frame
from vyomo_rt.wire.values import MessageId


class Commands:
    """Turns a client's texts into changes of its subscription, and answers them.

    A command is first checked, then carried out in one step together with its
    ack, so a refused command changes nothing and nothing comes in between.
    """

    def __init__(self, hub: Hub, rights: Rights) -> None:
        self._hub = hub
        self._rights = rights
        self._sources = hub.sources
        self._topics = hub.topics
        self._subscriptions = hub.subscriptions

    # -- WebSocket ---------------------------------------------------------------

    def receive(self, peer: Peer, text: str) -> Awaitable[bool] | bool:
        """Carry out one text; True unless it was refused.

        Only what needs the store or a token's key is awaited, before the peer's next text: a
        session that rests there, a resumption from old events, rights that are not known yet.
        """
        id_: MessageId | None = None
        try:
            fields = to_fields(text)
            id_ = message_id(fields)
            type_ = command_type(fields)
            if type_ is Auth:
                return self._authenticate(peer, fields.get("token"), id_)
            peer.grant.ask(type_.needs)
            if type_ is SubscribeSession and (session_id := session_named(fields)) is not None:
                asking = self._sources.ask_for_session(peer.grant, type_.needs, session_id)
                if asking is not None:
                    return self._ask_then_subscribe(peer, fields, asking)
            command = to_command(fields)
            if isinstance(command, SubscribeSession):
                return self._subscribe(peer, command)
            self._carry_out(peer, command)
        except VyomoError as error:
            return self._refuse(peer, error, id_)
        return True

    def _subscribe(self, peer: Peer, command: SubscribeSession) -> Awaitable[bool] | bool:
        """Watch a session that is in reach. Raises NotFound."""
        if (fetching := self._topics.fetch(command.session_id, command.since)) is not None:
            return self._load_then_subscribe(peer, command, fetching)
        with self._topics.using(command.session_id) as topic:
            if self._subscriptions.must_load(command, topic):
                return self._load_then_subscribe(peer, command)
            self._subscriptions.watch_session(peer, command, topic)
            self._acknowledge(peer, command.id)
        return True

    async def _ask_then_subscribe(
        self, peer: Peer, fields: dict[str, Any], asking: Awaitable[None]
    ) -> bool:
        try:
            await asking
            command = to_command(fields)
            assert isinstance(command, SubscribeSession)
            if peer.closed:
                return False
            subscribing = self._subscribe(peer, command)
        except VyomoError as error:
            return self._refuse(peer, error, message_id(fields))
        return subscribing if isinstance(subscribing, bool) else await subscribing

    async def _load_then_subscribe(
        self, peer: Peer, command: SubscribeSession, fetching: Awaitable[object] | None = None
    ) -> bool:
        try:
            if fetching is not None:
                await fetching
            with self._topics.using(command.session_id) as topic:
                await self._subscriptions.load(command, topic)
                if not peer.closed:
                    self._subscriptions.watch_session(peer, command, topic)
                    self._acknowledge(peer, command.id)
        except VyomoError as error:
            return self._refuse(peer, error, command.id)
        return True

    def _authenticate(
        self, peer: Peer, token: object, id_: MessageId | None
    ) -> Awaitable[bool] | bool:
        if self._rights.are_asked:
            return self._change_rights(peer, token, id_)
        self._acknowledge(peer, id_)
        return True

    async def _change_rights(self, peer: Peer, token: object, id_: MessageId | None) -> bool:
        try:
            tell_what_is_lost = await self._rights.authenticate(peer, token)
        except VyomoError as error:
            self._refuse(peer, error, id_)
            self._rights.end_if_lost(peer, error)
            return False
        if not peer.closed:
            self._acknowledge(peer, id_)
            tell_what_is_lost()
        return True

    def _refuse(self, peer: Peer, error: VyomoError, id_: MessageId | None) -> bool:
        """Say why a text is refused: to strangers, only that they have to say who they are."""
        if peer.grant is Grant.NOTHING and not isinstance(
            error, Unauthorized | Unavailable | RateLimited
        ):
            error = Unauthorized("say who you are first: send auth with a token")
        if not peer.closed:
            peer.reply(error_frame(error, id_))
        return False

    def _carry_out(self, peer: Peer, command: Command) -> None:
        match command:
            case SubscribePrices():
                unknown = self._subscriptions.watch_prices(peer, command)
                if unknown and command.id is None:
                    peer.reply(error_frame(_unknown_symbols(unknown), None))
                self._acknowledge(peer, command.id, unknown)
            case UnsubscribePrices():
                self._subscriptions.leave_prices(peer, command)
                self._acknowledge(peer, command.id)
            case UnsubscribeSession():
                self._subscriptions.leave_session(peer)
                self._acknowledge(peer, command.id)
            case WatchSessions():
                self._subscriptions.watch_all(peer, command)
                self._acknowledge(peer, command.id)
            case UnwatchSessions():
                self._subscriptions.leave_all(peer)
                self._acknowledge(peer, command.id)
            case Ping():
                peer.reply(pong(self._hub.now(), command.id))

    def _acknowledge(self, peer: Peer, id_: MessageId | None, unknown: Sequence[str] = ()) -> None:
        """Ack a command that carried an id, then send what it causes."""
        if id_ is not None:
            text = ack_text(subscription(peer, unknown), peer.id, self._hub.node, id_)
            peer.reply(make_frame("ack", text))
        self._hub.delivery.drain(peer)

    # -- SSE ---------------------------------------------------------------------

    def open_stream(
        self,
        peer: Peer,
        session: tuple[SubscribeSession, SessionTopic] | None,
        prices: SubscribePrices | None,
        retry_ms: int,
        watch: WatchSessions | None = None,
    ) -> None:
        """Subscribe a new SSE stream to all that its query names, and send its opening ack."""
        unknown: Sequence[str] = ()
        if session is not None:
            self._subscriptions.watch_session(peer, *session)
        if prices is not None:
            unknown = self._subscriptions.watch_prices(peer, prices)
        if watch is not None:
            self._subscriptions.watch_all(peer, watch)
        peer.reply(self._opening(peer, unknown, retry_ms))
        self._hub.delivery.drain(peer)

    def _opening(self, peer: Peer, unknown: Sequence[str], retry_ms: int) -> Frame:
        text = ack_text(subscription(peer, unknown), peer.id, self._hub.node, None)
        event_id = None
        if peer.topic is not None and peer.seq is not None:
            event_id = spell_position(peer.topic.session_id, peer.seq, peer.topic.epoch)
        return make_frame("ack", text, event_id, retry_ms)


def _unknown_symbols(symbols: Sequence[str]) -> NotFound:
    return NotFound(f"unknown symbols: {', '.join(symbols)}", "symbols")
