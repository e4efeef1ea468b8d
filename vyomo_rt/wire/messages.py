"""Every message that the server sends, from domain values to frames."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from vyomo_rt.domain.errors import BadJson, Unavailable, VyomoError
from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.quote import FeedStatus, Quote
from vyomo_rt.domain.session import SessionState
from vyomo_rt.domain.trade import EventKind, Trade, TradeEvent
from vyomo_rt.wire.commands import MessageId
from vyomo_rt.wire.frame import Frame, extended, make_frame, position
from vyomo_rt.wire.numbers import from_e2, from_e4, from_paise

RETRY_AFTER_S = 1
"""When to try again what the store, while away, could not do."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


def _json_name(name: str) -> str:
    """camelCase as the original protocol spells it: ``total_pnl`` is ``totalPnL``."""
    first, *rest = name.split("_")
    return first + "".join("PnL" if word == "pnl" else word.capitalize() for word in rest)


class _Data(Struct, rename=_json_name):
    pass


class _Message(Struct, rename=_json_name, tag_field="type", omit_defaults=True):
    pass


class PriceData(_Data):
    symbol: str
    price: Decimal
    timestamp: str
    as_of: str
    source: str
    stale: bool


class PriceUpdate(_Message, tag="price_update"):
    data: PriceData


class OpenedData(_Data):
    trade_id: int
    session_id: int
    symbol: str
    side: str
    quantity: int
    entry_price: Decimal
    stop_loss: Decimal | None
    target: Decimal | None
    status: str
    timestamp: str


class TradeOpened(_Message, tag="trade_opened"):
    data: OpenedData
    seq: int


class ClosedData(_Data):
    trade_id: int
    session_id: int
    symbol: str
    side: str
    quantity: int
    entry_price: Decimal
    exit_price: Decimal
    pnl: Decimal
    pnl_percent: Decimal
    exit_reason: str
    status: str
    timestamp: str


class TradeClosed(_Message, tag="trade_closed"):
    data: ClosedData
    seq: int


class SessionData(_Data):
    session_id: int
    current_capital: Decimal
    total_pnl: Decimal
    today_pnl: Decimal
    total_trades: int
    win_rate: Decimal
    status: str
    timestamp: str
    winning_trades: int
    losing_trades: int
    open_trades: int
    unrealized_pnl: Decimal


class SessionUpdate(_Message, tag="session_update"):
    data: SessionData
    seq: int


class PnlData(_Data):
    session_id: int
    trade_id: int
    symbol: str
    side: str
    quantity: int
    current_price: Decimal
    entry_price: Decimal
    stop_loss: Decimal | None
    target: Decimal | None
    unrealized_pnl: Decimal
    pnl_percent: Decimal
    stale: bool
    timestamp: str


class PnlUpdate(_Message, tag="pnl_update"):
    data: PnlData


class FeedStatusData(_Data):
    source: str
    state: str
    message: str
    timestamp: str


class FeedStatusMessage(_Message, tag="feed_status"):
    data: FeedStatusData


class ShutdownData(_Data):
    reconnect_after_ms: int


class ServerShutdown(_Message, tag="server_shutdown"):
    data: ShutdownData


class Subscription(_Data):
    """A connection's whole subscription; ``recovered`` only answers a ``since``."""

    session_id: int | None
    seq: int | None
    epoch: str | None
    types: list[str]
    update_interval: int
    symbols: list[str]
    price_interval: int
    only_changes: bool
    unknown: list[str]
    recovered: bool | UnsetType = UNSET


class ConnectionDocument(_Data):
    """What the server knows of a connection, and in words why it gets what it gets."""

    connection_id: str
    transport: str
    opened_at: str
    messages: int
    bytes: int
    last_write_at: str | None
    paused_since: str | None
    buffered_bytes: int
    events_behind: int
    conflated: int
    subscription: Subscription
    reasons: list[str]


class Ack(_Message, tag="ack"):
    result: Subscription
    connection_id: str
    id: MessageId | None = None


class Pong(_Message, tag="pong"):
    timestamp: str
    id: MessageId | None = None


class ErrorMessage(_Message, tag="error"):
    message: str
    code: str
    detail: str | None = None
    id: MessageId | None = None
    retry_after_ms: int | None = None


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


def trade_event_message(kind: EventKind, trade: Trade, seq: int) -> str:
    """The JSON text of a numbered trade event, as it is stored and as clients get it."""
    message = (
        TradeOpened(data=opened_data(trade), seq=seq)
        if kind is EventKind.OPENED
        else TradeClosed(data=closed_data(trade), seq=seq)
    )
    return _encode(message).decode()


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


def trade_event(event: TradeEvent, epoch: str) -> Frame:
    """The frame of a stored event; its SSE id is the position after it."""
    event_id = position(event.session_id, event.seq, epoch)
    return make_frame(event.kind, event.message.encode(), event_id)


def session_data(state: SessionState, unrealized_paise: int, now_ms: int) -> SessionData:
    session, figures = state.session, state.figures
    return SessionData(
        session_id=session.session_id,
        current_capital=from_paise(session.starting_capital_paise + figures.realised_paise),
        total_pnl=from_paise(figures.realised_paise),
        today_pnl=from_paise(figures.today_paise),
        total_trades=figures.opened,
        win_rate=from_e2(figures.win_rate_e2),
        status=session.status,
        timestamp=iso(now_ms),
        winning_trades=figures.wins,
        losing_trades=figures.losses,
        open_trades=len(state.open_trades),
        unrealized_pnl=from_paise(unrealized_paise),
    )


def session_update(
    state: SessionState, unrealized_paise: int, now_ms: int, recovered: bool | None = None
) -> Frame:
    """Figures as of event ``seq``; ``recovered`` only in the snapshot that answers a ``since``."""
    data = session_data(state, unrealized_paise, now_ms)
    text = _encode(SessionUpdate(data=data, seq=state.seq))
    if recovered is not None:
        text = extended(text, b'"recovered":' + _encode(recovered))
    session = state.session
    event_id = position(session.session_id, state.seq, session.epoch)
    return make_frame("session_update", text, event_id)


def pnl_update(trade: Trade, quote: Quote, now_ms: int) -> Frame:
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
        timestamp=iso(now_ms),
    )
    return make_frame("pnl_update", _encode(PnlUpdate(data=data)))


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
    return _encode(Ack(result=subscription, connection_id=connection_id, id=id_))


def pong(now_ms: int, id_: MessageId | None) -> Frame:
    return make_frame("pong", _encode(Pong(timestamp=iso(now_ms), id=id_)))


def error(error_: VyomoError, id_: MessageId | None) -> Frame:
    """An ``error``; on SSE the event is ``server_error``: ``error`` would look like a lost line."""
    message, detail = str(error_), None
    if isinstance(error_, BadJson):
        message, detail = "Invalid message format", message
    text = _encode(
        ErrorMessage(
            message=message,
            code=error_.code,
            detail=detail,
            id=id_,
            retry_after_ms=RETRY_AFTER_S * 1000 if isinstance(error_, Unavailable) else None,
        )
    )
    return make_frame("server_error", text)


def _optional_e4(price_e4: int | None) -> Decimal | None:
    return None if price_e4 is None else from_e4(price_e4)


def encode(document: Any) -> bytes:
    """JSON of a document made of this package's structs."""
    return _encode(document)
