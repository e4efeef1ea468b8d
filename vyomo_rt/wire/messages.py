"""Every message that the server sends, from domain values to frames."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from vyomo_rt.domain.errors import BadJson, ErrorCode, Unavailable, VyomoError
from vyomo_rt.domain.event import Event, EventKind, SessionEvent, TradeEvent
from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import FeedState, FeedStatus, Quote
from vyomo_rt.domain.session import ChangeReason, SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import ExitReason, Trade
from vyomo_rt.wire.commands import StreamType
from vyomo_rt.wire.frame import Frame, Transport, make_frame, position, without_stamp
from vyomo_rt.wire.numbers import from_e2, from_e4, from_paise
from vyomo_rt.wire.values import (
    ConnectionId,
    Count,
    Epoch,
    Id,
    IntervalMs,
    MessageId,
    Money,
    Percent,
    Price,
    Quantity,
    Seq,
    Symbol,
    Timestamp,
)

T = TypeVar("T")

RETRY_AFTER_S = 1
"""When to try again what the store, while away, could not do."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


def _json_name(name: str) -> str:
    """camelCase as the original protocol spells it: ``total_pnl`` is ``totalPnL``."""
    first, *rest = name.split("_")
    return first + "".join("PnL" if word == "pnl" else word.capitalize() for word in rest)


class Data(Struct, rename=_json_name):
    """What has its members in the spelling of the protocol."""


class Message(Struct, rename=_json_name, tag_field="type", omit_defaults=True):
    """What the server sends on a stream."""


class PriceData(Data):
    symbol: Symbol
    price: Price
    timestamp: Timestamp
    as_of: Annotated[Timestamp, Meta(description="When the source says that the price was true")]
    source: str
    stale: Annotated[bool, Meta(description="Older than the feed promises, late, or not confirmed")]


class PriceUpdate(Message, tag="price_update"):
    """The last price of a symbol."""

    data: PriceData


class TradeTerms(Data):
    """What both events of a trade's life begin with."""

    trade_id: Id
    session_id: Id
    symbol: Symbol
    side: Side
    quantity: Quantity
    entry_price: Price


class OpenedData(TradeTerms):
    stop_loss: Price | None
    target: Price | None
    status: Literal["OPEN"]
    timestamp: Timestamp


class TradeOpened(Message, tag="trade_opened"):
    """A trade was opened, and it is stored."""

    data: OpenedData
    seq: Seq


class ClosedData(TradeTerms):
    exit_price: Price
    pnl: Money
    pnl_percent: Percent
    exit_reason: ExitReason
    status: Literal["CLOSED"]
    timestamp: Timestamp


class TradeClosed(Message, tag="trade_closed"):
    """A trade was closed, and it is stored."""

    data: ClosedData
    seq: Seq


class SessionChangedData(Data, kw_only=True):
    session_id: Id
    name: str
    status: SessionStatus
    status_reason: ChangeReason | None
    reason: ChangeReason
    detail: str | None = None
    rules: dict[str, Any] = {}
    charges: str | None = None
    lock: dict[str, Any] | None = None
    waived: list[str] = []
    waived_on: str | None = None
    timestamp: Timestamp


class SessionChanged(Message, tag="session_changed"):
    """The session itself was changed, and it is stored; this is how it is now."""

    data: SessionChangedData
    seq: Seq


class SessionData(Data):
    session_id: Id
    current_capital: Money
    total_pnl: Money
    today_pnl: Money
    total_trades: Count
    win_rate: Percent
    status: SessionStatus
    status_reason: Annotated[
        ChangeReason | None, Meta(description="Why the status was last set; null since the birth")
    ]
    timestamp: Timestamp
    winning_trades: Count
    losing_trades: Count
    open_trades: Count
    unrealized_pnl: Money


class SessionUpdate(Message, tag="session_update"):
    """A session's figures as of event ``seq``; ``recovered`` only answers a ``since``."""

    data: SessionData
    seq: Seq
    recovered: bool | UnsetType = UNSET


class PnlData(Data):
    session_id: Id
    trade_id: Id
    symbol: Symbol
    side: Side
    quantity: Quantity
    current_price: Price
    entry_price: Price
    stop_loss: Price | None
    target: Price | None
    unrealized_pnl: Money
    pnl_percent: Percent
    stale: bool
    timestamp: Timestamp


class PnlUpdate(Message, tag="pnl_update"):
    """An open trade at the last price of its symbol."""

    data: PnlData


class FeedStatusData(Data):
    source: str
    state: FeedState
    message: str
    timestamp: Timestamp


class FeedStatusMessage(Message, tag="feed_status"):
    """How the price source is doing."""

    data: FeedStatusData


class ShutdownData(Data):
    reconnect_after_ms: Count


class ServerShutdown(Message, tag="server_shutdown"):
    """The server stops; come back after so many milliseconds."""

    data: ShutdownData


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
    recovered: bool | UnsetType = UNSET


class ConnectionDocument(Data):
    """What the server knows of a connection, and in words why it gets what it gets."""

    connection_id: ConnectionId
    transport: Transport
    opened_at: Timestamp
    messages: Count
    bytes: Count
    last_write_at: Timestamp | None
    paused_since: Annotated[
        Timestamp | None, Meta(description="Since when its socket takes no more, if it doesn't")
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
    id: MessageId | UnsetType = UNSET


class Pong(Message, tag="pong"):
    """The answer to a ping."""

    timestamp: Timestamp
    id: MessageId | UnsetType = UNSET


class ErrorMessage(Message, tag="error"):
    """A command was refused and changed nothing."""

    message: str
    code: ErrorCode
    detail: str | UnsetType = UNSET
    id: MessageId | UnsetType = UNSET
    retry_after_ms: Count | UnsetType = UNSET


NumberedMessage = TradeOpened | TradeClosed | SessionChanged
SessionMessage = SessionUpdate | PnlUpdate | NumberedMessage
ConnectionMessage = Ack | ErrorMessage | FeedStatusMessage | ServerShutdown
"""What every stream may carry."""


def price_data(quote: Quote, now_ms: int) -> PriceData:
    return PriceData(
        symbol=quote.symbol,
        price=from_e4(quote.price_e4),
        timestamp=iso(now_ms),
        as_of=iso(quote.as_of_ms),
        source=quote.source,
        stale=quote.stale,
    )


def price_update(quote: Quote, now_ms: int) -> Frame:
    return make_frame("price_update", _encode(PriceUpdate(data=price_data(quote, now_ms))))


def event_message(event: Event) -> str:
    """The JSON text of a numbered event, as it is stored and as clients get it.

    What older shapes of events said has not changed since, so all are written alike.
    """
    message: Message
    if isinstance(event, SessionEvent):
        message = SessionChanged(data=_changed_data(event), seq=event.seq)
    else:
        assert isinstance(event, TradeEvent)
        opened = event.kind is EventKind.OPENED
        message = (
            TradeOpened(data=opened_data(event.trade), seq=event.seq)
            if opened
            else TradeClosed(data=closed_data(event.trade), seq=event.seq)
        )
    return _encode(message).decode()


def _changed_data(event: SessionEvent) -> SessionChangedData:
    standing = event.standing
    return SessionChangedData(
        session_id=event.session_id,
        name=standing.name,
        status=standing.status,
        status_reason=standing.status_reason,
        reason=event.reason,
        timestamp=iso(event.changed_at_ms),
    )


def opened_data(trade: Trade) -> OpenedData:
    return OpenedData(
        trade_id=trade.trade_id,
        session_id=trade.session_id,
        symbol=trade.symbol,
        side=trade.side,
        quantity=trade.quantity,
        entry_price=from_e4(trade.entry_price_e4),
        stop_loss=_optional_e4(trade.stop_loss_e4),
        target=_optional_e4(trade.target_e4),
        status="OPEN",
        timestamp=iso(trade.opened_at_ms),
    )


def closed_data(trade: Trade) -> ClosedData:
    assert trade.exit is not None
    return ClosedData(
        trade_id=trade.trade_id,
        session_id=trade.session_id,
        symbol=trade.symbol,
        side=trade.side,
        quantity=trade.quantity,
        entry_price=from_e4(trade.entry_price_e4),
        exit_price=from_e4(trade.exit.price_e4),
        pnl=from_paise(trade.realised_paise),
        pnl_percent=from_e2(trade.pnl_percent_e2_at(trade.exit.price_e4)),
        exit_reason=trade.exit.reason,
        status="CLOSED",
        timestamp=iso(trade.exit.at_ms),
    )


def numbered_event(event: Event, epoch: str) -> Frame:
    """The frame of a stored event; its SSE id is the position after it."""
    event_id = position(event.session_id, event.seq, epoch)
    return make_frame(event.kind, event.message.encode(), event_id)


def session_data(state: SessionState, unrealised_paise: int, now_ms: int) -> SessionData:
    session, figures = state.session, state.figures
    return SessionData(
        session_id=session.session_id,
        current_capital=from_paise(session.starting_capital_paise + figures.realised_paise),
        total_pnl=from_paise(figures.realised_paise),
        today_pnl=from_paise(state.today_paise),
        total_trades=figures.opened,
        win_rate=from_e2(figures.win_rate_e2),
        status=session.status,
        status_reason=session.status_reason,
        timestamp=iso(now_ms),
        winning_trades=figures.wins,
        losing_trades=figures.losses,
        open_trades=len(state.open_trades),
        unrealized_pnl=from_paise(unrealised_paise),
    )


def session_update(
    state: SessionState, unrealised_paise: int, now_ms: int, recovered: bool | None = None
) -> Frame:
    """Figures as of event ``seq``; ``recovered`` only in the snapshot that answers a ``since``."""
    message = SessionUpdate(
        data=session_data(state, unrealised_paise, now_ms),
        seq=state.seq,
        recovered=_unless_none(recovered),
    )
    session = state.session
    event_id = position(session.session_id, state.seq, session.epoch)
    return make_frame("session_update", _encode(message), event_id)


def pnl_update(trade: Trade, quote: Quote) -> Frame:
    """To be kept while neither changes: it has a gap where ``with_stamps`` puts the moment."""
    data = PnlData(
        session_id=trade.session_id,
        trade_id=trade.trade_id,
        symbol=trade.symbol,
        side=trade.side,
        quantity=trade.quantity,
        current_price=from_e4(quote.price_e4),
        entry_price=from_e4(trade.entry_price_e4),
        stop_loss=_optional_e4(trade.stop_loss_e4),
        target=_optional_e4(trade.target_e4),
        unrealized_pnl=from_paise(trade.pnl_paise_at(quote.price_e4)),
        pnl_percent=from_e2(trade.pnl_percent_e2_at(quote.price_e4)),
        stale=quote.stale,
        timestamp=iso(0),
    )
    frame = make_frame("pnl_update", _encode(PnlUpdate(data=data)))
    return without_stamp(frame)


def feed_status(status: FeedStatus) -> Frame:
    data = FeedStatusData(
        source=status.source,
        state=status.state,
        message=status.message,
        timestamp=iso(status.since_ms),
    )
    return make_frame("feed_status", _encode(FeedStatusMessage(data=data)))


def server_shutdown(reconnect_after_ms: int) -> Frame:
    data = ShutdownData(reconnect_after_ms=reconnect_after_ms)
    return make_frame("server_shutdown", _encode(ServerShutdown(data=data)))


def ack(subscription: Subscription, connection_id: str, id_: MessageId | None) -> bytes:
    """The JSON text of an ack: a WebSocket answer, or the opening block of an SSE stream."""
    return _encode(Ack(result=subscription, connection_id=connection_id, id=_unless_none(id_)))


def pong(now_ms: int, id_: MessageId | None) -> Frame:
    return make_frame("pong", _encode(Pong(timestamp=iso(now_ms), id=_unless_none(id_))))


def error(error_: VyomoError, id_: MessageId | None) -> Frame:
    """An ``error``; on SSE the event is ``server_error``: ``error`` would look like a lost line."""
    message, detail = str(error_), None
    if isinstance(error_, BadJson):
        message, detail = "Invalid message format", message
    text = _encode(
        ErrorMessage(
            message=message,
            code=error_.code,
            detail=_unless_none(detail),
            id=_unless_none(id_),
            retry_after_ms=RETRY_AFTER_S * 1000 if isinstance(error_, Unavailable) else UNSET,
        )
    )
    return make_frame("server_error", text)


def _unless_none(value: T | None) -> T | UnsetType:
    """A member that is left out if there is nothing to say."""
    return UNSET if value is None else value


def _optional_e4(price_e4: int | None) -> Decimal | None:
    return None if price_e4 is None else from_e4(price_e4)


def encode(document: Any) -> bytes:
    """JSON of a document made of this package's structs."""
    return _encode(document)
