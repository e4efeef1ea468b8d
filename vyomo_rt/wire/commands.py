"""What a client may ask of its connection, over WebSocket or in an SSE query."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.inspect import IntType

from vyomo_rt.domain.errors import BadJson, BadRequest, UnknownType
from vyomo_rt.domain.grant import Need
from vyomo_rt.wire import decoding
from vyomo_rt.wire.numbers import json_kind
from vyomo_rt.wire.values import Epoch, Id, IntervalMs, MessageId, SpelledSymbol

StreamType = Literal[
    "session_update",
    "pnl_update",
    "trade_opened",
    "trade_closed",
    "trade_reduced",
    "trade_changed",
    "order_placed",
    "order_ended",
    "session_changed",
]
ALL_TYPES: frozenset[StreamType] = frozenset(get_args(StreamType))

_DIGITS = re.compile(r"-?[0-9]{1,100}")

MIN_INTERVAL_MS = 100
MAX_INTERVAL_MS = 60_000


def clamp_interval_ms(interval_ms: int) -> int:
    """Into 100…60000, rounded down to a multiple of 100."""
    return max(MIN_INTERVAL_MS, min(MAX_INTERVAL_MS, interval_ms)) // 100 * 100


class _Command(Struct, rename="camel", kw_only=True, tag_field="type"):
    needs: ClassVar[Need]
    """What the client's grant is asked for, before anything is looked up."""

    id: MessageId | None = None


class SubscribeSession(_Command, tag="subscribe_session"):
    """Watch a session instead of the previous one; with ``since``, go on after that event."""

    needs = Need.SEE

    session_id: Id
    since: (
        Annotated[int, Meta(ge=0, description="Send all events after this number first")] | None
    ) = None
    epoch: Epoch | None = None
    update_interval: IntervalMs | None = None
    types: Annotated[list[StreamType], Meta(description="Left out: all")] | None = None

    def __post_init__(self) -> None:
        if self.update_interval is not None:
            self.update_interval = clamp_interval_ms(self.update_interval)


class SubscribePrices(_Command, tag="subscribe_prices"):
    """Add symbols; the interval and ``onlyChanges`` hold for the whole connection."""

    needs = Need.SEE

    symbols: list[SpelledSymbol]
    price_interval: IntervalMs | None = None
    only_changes: (
        Annotated[bool, Meta(description="Only when a price or its staleness changes")] | None
    ) = None

    def __post_init__(self) -> None:
        if self.price_interval is not None:
            self.price_interval = clamp_interval_ms(self.price_interval)


class UnsubscribeSession(_Command, tag="unsubscribe_session"):
    """No more session, P&L and trade messages."""

    needs = Need.SEE


class UnsubscribePrices(_Command, tag="unsubscribe_prices"):
    """No more prices of these symbols, or, without ``symbols``, of any."""

    needs = Need.SEE

    symbols: list[SpelledSymbol] | UnsetType = UNSET


class WatchSessions(_Command, tag="watch_sessions"):
    """Figures of all sessions that the client may see, as they change."""

    needs = Need.SEE

    update_interval: IntervalMs | None = None

    def __post_init__(self) -> None:
        if self.update_interval is not None:
            self.update_interval = clamp_interval_ms(self.update_interval)


class UnwatchSessions(_Command, tag="unwatch_sessions"):
    """No more figures of sessions, but for those of the subscribed one."""

    needs = Need.SEE


class Ping(_Command, tag="ping"):
    """Answered by a pong."""

    needs = Need.SEE


class Auth(_Command, tag="auth"):
    """Say who you are, by the first message, or again before the token expires.

    Another token may extend the connection and change its rights, but not whose it is. Without
    access control it is ignored.
    """

    needs = Need.ENTER

    token: str


Command = (
    SubscribeSession
    | SubscribePrices
    | UnsubscribeSession
    | UnsubscribePrices
    | WatchSessions
    | UnwatchSessions
    | Ping
    | Auth
)
_BY_TYPE = {command.__struct_config__.tag: command for command in get_args(Command)}


def to_fields(text: str) -> dict[str, Any]:
    """The members of a client's message. Raises BadJson."""
    try:
        return decoding.parse_object(text)
    except BadJson:
        if text.strip(' "').lower() == "ping":
            raise BadJson('to ping, send {"type":"ping"}') from None
        raise


def message_id(fields: dict[str, Any]) -> MessageId | None:
    """The ``id`` to echo, if it is one that the protocol allows."""
    value = fields.get("id")
    if isinstance(value, str) and len(value) <= 64:
        return value
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def command_type(fields: dict[str, Any]) -> type[Command]:
    """Which command a client's message is. Raises UnknownType or BadRequest."""
    kind = fields.get("type")
    if kind is None:
        raise BadRequest("type is required", "type")
    if not isinstance(kind, str):
        raise BadRequest(f"type: expected a string, got {json_kind(kind)}", "type")
    if kind not in _BY_TYPE:
        raise UnknownType(f"Unknown message type: {kind[:80]}")
    found: type[Command] = _BY_TYPE[kind]
    return found


def to_command(fields: dict[str, Any]) -> Command:
    """The command in a client's message. Raises UnknownType or BadRequest."""
    # Not as the union, which msgspec would resolve anew for each message.
    type_ = command_type(fields)
    return decoding.convert(with_integers(fields, type_), type_)


def session_named(fields: dict[str, Any]) -> int | None:
    """The session that a client's message is about, however wrong the rest of it is."""
    named = with_integers(fields, SubscribeSession).get("sessionId")
    return named if isinstance(named, int) and not isinstance(named, bool) else None


def with_integers(fields: dict[str, Any], *types: type[Struct]) -> dict[str, Any]:
    """The same fields, with digit strings as integers where these types expect one."""
    digits = {
        name: int(text)
        for type_ in types
        for name in decoding.members_of(type_, IntType)
        if isinstance(text := fields.get(name), str) and _DIGITS.fullmatch(text)
    }
    return fields | digits
