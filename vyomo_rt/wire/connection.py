"""A connection: its subscription, the answers to its commands, its end, its document."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from vyomo_rt.domain.moment import iso
from vyomo_rt.wire.commands import StreamType
from vyomo_rt.wire.encoding import Data, Message, encode, unless_none
from vyomo_rt.wire.frame import Frame, Transport, make_frame
from vyomo_rt.wire.health import FeedStatusMessage
from vyomo_rt.wire.refusal import ErrorMessage
from vyomo_rt.wire.values import (
    ConnectionId,
    Count,
    Epoch,
    Id,
    IntervalMs,
    MessageId,
    Seq,
    Symbol,
    Timestamp,
)


class Subscription(Data):
    """A connection's whole subscription; ``recovered`` only answers a ``since``."""

    session_id: Id | None
    seq: Seq | None
    epoch: Epoch | None
    types: list[StreamType]
    update_interval: IntervalMs
    symbols: list[Symbol]
    price_interval: IntervalMs
    only_changes: bool
    unknown: list[Symbol]
    watching: Annotated[bool, Meta(description="Whether it gets figures of all sessions")]
    watch_interval: IntervalMs
    recovered: bool | UnsetType = UNSET


class ConnectionDocument(Data):
    """What the server knows about a connection, and in words why it gets what it gets."""

    connection_id: ConnectionId
    transport: Transport
    opened_at: Timestamp
    messages: Count
    bytes: Count
    last_write_at: Timestamp | None
    paused_since: Annotated[
        Timestamp | None,
        Meta(description="Since when its socket takes no more; null if it does"),
    ]
    buffered_bytes: Count
    events_behind: Count
    conflated: Annotated[
        Count, Meta(description="Prices and figures that it missed, because newer ones follow")
    ]
    subscription: Subscription
    reasons: list[str]


class Ack(Message, tag="ack"):
    """A command was carried out."""

    result: Subscription
    connection_id: ConnectionId
    node: Annotated[
        str | UnsetType, Meta(description="The node that the stream is on, if there may be several")
    ] = UNSET
    id: MessageId | UnsetType = UNSET


class Pong(Message, tag="pong"):
    """The answer to a ping."""

    timestamp: Timestamp
    id: MessageId | UnsetType = UNSET


class ShutdownData(Data):
    reconnect_after_ms: Count


class ServerShutdown(Message, tag="server_shutdown"):
    """The server is stopping; come back after so many milliseconds."""

    data: ShutdownData


class TokenExpiringData(Data):
    expires_at: Timestamp


class TokenExpiring(Message, tag="token_expiring"):
    """The connection's token ends within half a minute: send ``auth`` with another."""

    data: TokenExpiringData


ConnectionMessage = Ack | ErrorMessage | FeedStatusMessage | ServerShutdown | TokenExpiring
"""What every stream may carry."""


def ack_text(
    subscription: Subscription, connection_id: str, node: str | None, id_: MessageId | None
) -> bytes:
    """The JSON text of an ack: a WebSocket answer, or the opening block of an SSE stream."""
    ack = Ack(
        result=subscription,
        connection_id=connection_id,
        node=unless_none(node),
        id=unless_none(id_),
    )
    return encode(ack)


def pong(now_ms: int, id_: MessageId | None) -> Frame:
    return make_frame("pong", encode(Pong(timestamp=iso(now_ms), id=unless_none(id_))))


def server_shutdown(reconnect_after_ms: int) -> Frame:
    data = ShutdownData(reconnect_after_ms=reconnect_after_ms)
    return make_frame("server_shutdown", encode(ServerShutdown(data=data)))


def token_expiring(expires_at_ms: int) -> Frame:
    data = TokenExpiringData(expires_at=iso(expires_at_ms))
    return make_frame("token_expiring", encode(TokenExpiring(data=data)))
