"""Bodies and documents of the REST calls; the field names are those of the streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from vyomo_rt.domain.errors import BadJson, BadRequest, VyomoError
from vyomo_rt.domain.moment import iso, to_ms
from vyomo_rt.domain.money import MAX_QUANTITY, Side
from vyomo_rt.domain.quote import Quote, Tick, parse_symbol
from vyomo_rt.domain.session import SessionState, SessionStatus
from vyomo_rt.domain.trade import AlreadyClosed, Trade, TradeEvent
from vyomo_rt.wire import decoding, messages
from vyomo_rt.wire.numbers import CapitalPaise, ClosePriceE4, PriceE4, from_paise, json_kind

MAX_TICKS = 1000
"""Ticks in one ``POST /ticks``: larger batches would hold up the streams."""


class _Body(Struct, rename="camel"):
    pass


class NewSession(_Body):
    starting_capital: CapitalPaise
    name: Annotated[str, Meta(max_length=200)] | None = None


class SessionChange(_Body):
    status: SessionStatus


class NewTrade(_Body):
    symbol: str
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
    side: Side = Side.BUY
    entry_price: PriceE4 | None = None
    stop_loss: PriceE4 | None = None
    target: PriceE4 | None = None

    def __post_init__(self) -> None:
        try:
            self.symbol = parse_symbol(self.symbol)
        except BadRequest as error:
            raise ValueError(str(error)) from None


class ClosingOrder(_Body):
    price: ClosePriceE4 | None = None


class _TickRow(_Body):
    symbol: str
    price: PriceE4
    ts: int | str | None = None


class RejectedTick(_Body):
    index: int
    symbol: str | None
    reason: str


def parse_ticks(body: bytes, *, newline_delimited: bool) -> list[Any]:
    """The rows of a ``POST /ticks``: one object, a list, or one object a line."""
    if newline_delimited or _looks_newline_delimited(body):
        rows = [_parse_line(line) for line in body.splitlines() if line.strip()]
    else:
        value = decoding.parse_json(body)
        rows = value if isinstance(value, list) else [value]
        if not isinstance(value, list | dict):
            raise BadRequest(f"expected a tick or a list of ticks, got {json_kind(value)}")
    if len(rows) > MAX_TICKS:
        raise BadRequest(
            f"at most {MAX_TICKS} ticks a request, got {len(rows)}: send them in parts"
        )
    return rows


def _looks_newline_delimited(body: bytes) -> bool:
    """Several lines of which the first is an object by itself: no JSON text looks so."""
    first, _, rest = body.strip().partition(b"\n")
    return bool(rest) and isinstance(_parse_line(first), dict)


def _parse_line(line: bytes) -> Any:
    """A line that is not JSON is a rejected row, not the end of the batch."""
    try:
        return decoding.parse_json(line)
    except BadJson as error:
        return error


def to_tick(row: Any) -> Tick:
    """A row as a tick. Raises BadRequest or BadJson."""
    if isinstance(row, BadJson):
        raise row
    if not isinstance(row, dict):
        raise BadRequest(f"expected an object, got {json_kind(row)}")
    present = {name: value for name, value in row.items() if value is not None}
    tick = decoding.convert(present, _TickRow)
    as_of_ms = None if tick.ts is None else _to_moment_ms(tick.ts)
    return Tick(parse_symbol(tick.symbol), tick.price, as_of_ms)


def row_symbol(row: Any) -> str | None:
    """The symbol as the sender spelled it, to name a row that was rejected."""
    symbol = row.get("symbol") if isinstance(row, dict) else None
    return symbol[:80] if isinstance(symbol, str) else None


def _to_moment_ms(ts: int | str) -> int:
    """Epoch milliseconds, or ISO 8601 with a zone."""
    if isinstance(ts, int):
        return ts
    try:
        moment = datetime.fromisoformat(ts) if ts.isprintable() else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadRequest("ts: expected epoch milliseconds or ISO 8601 with a zone")
    return to_ms(moment)


def session_document(state: SessionState, unrealized_paise: int, now_ms: int) -> dict[str, Any]:
    """``session_update.data`` plus what was fixed when the session was made."""
    session = state.session
    data = _members(messages.session_data(state, unrealized_paise, now_ms))
    return data | {
        "name": session.name,
        "startingCapital": from_paise(session.starting_capital_paise),
        "epoch": session.epoch,
        "seq": state.seq,
        "createdAt": iso(session.created_at_ms),
    }


def trade_document(trade: Trade) -> dict[str, Any]:
    """The union of a trade's two events; what only a close knows is null before it."""
    opened = _members(messages.opened_data(trade))
    closed = (
        dict.fromkeys(("exitPrice", "pnl", "pnlPercent", "exitReason"))
        if trade.exit is None
        else _members(messages.closed_data(trade))
    )
    return (
        opened
        | closed
        | {
            "openedAt": iso(trade.opened_at_ms),
            "closedAt": None if trade.exit is None else iso(trade.exit.at_ms),
        }
    )


def price_document(quote: Quote, now_ms: int) -> dict[str, Any]:
    """A price as in ``price_update.data``."""
    return _members(messages.price_data(quote, now_ms))


def events_document(events: Iterable[TradeEvent], seq: int, epoch: str) -> dict[str, Any]:
    """Stored events, byte for byte as the streams carry them."""
    return {
        "events": [msgspec.Raw(event.message.encode()) for event in events],
        "seq": seq,
        "epoch": epoch,
    }


def problem(status: int, title: str, error: VyomoError) -> dict[str, Any]:
    """An RFC 9457 problem document with the protocol's code."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": str(error),
        "code": error.code,
    }
    if isinstance(error, AlreadyClosed):
        document["trade"] = trade_document(error.trade)
    return document


def encode(document: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """JSON with exact numbers."""
    return messages.encode(document)


def _members(data: Struct) -> dict[str, Any]:
    names = data.__struct_encode_fields__
    return dict(zip(names, msgspec.structs.astuple(data), strict=True))
