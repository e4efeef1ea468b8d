"""Bodies and documents of the REST calls; the field names are those of the streams."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from vyomo_rt.domain.errors import BadJson, BadRequest, ErrorCode, VyomoError
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import iso, to_ms
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import FeedState, Quote, Tick, parse_symbol
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import AlreadyClosed, ExitReason, Trade, TradeStatus
from vyomo_rt.wire import decoding, messages
from vyomo_rt.wire.numbers import CapitalPaise, ClosePriceE4, PriceE4, from_paise, json_kind
from vyomo_rt.wire.values import (
    Count,
    Epoch,
    Id,
    Money,
    Percent,
    Price,
    Quantity,
    Seq,
    SpelledSymbol,
    Symbol,
    Timestamp,
)

MAX_TICKS = 1000
"""Ticks in one ``POST /ticks``: larger batches would hold up the streams."""

_MAX_INT = 2**63 - 1


class Body(Struct, rename="camel"):
    """What a client sends; null members are absent ones."""


class NewSession(Body):
    starting_capital: CapitalPaise
    name: Annotated[str, Meta(max_length=200)] | None = None


class SessionChange(Body):
    """What is left out stays as it is."""

    status: SessionStatus | None = None
    name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class NewTrade(Body):
    """An order; BUY: stopLoss < entryPrice < target, SELL the reverse."""

    symbol: SpelledSymbol
    quantity: Quantity
    side: Side = Side.BUY
    entry_price: PriceE4 | None = None
    stop_loss: PriceE4 | None = None
    target: PriceE4 | None = None

    def __post_init__(self) -> None:
        try:
            self.symbol = parse_symbol(self.symbol)
        except BadRequest as error:
            raise ValueError(str(error)) from None


class ClosingOrder(Body):
    price: ClosePriceE4 | None = None


class TickRow(Body):
    """A price from outside; ``ts`` is epoch milliseconds or ISO 8601 with a zone, or now."""

    symbol: SpelledSymbol
    price: PriceE4
    ts: int | Annotated[str, Meta(extra_json_schema={"format": "date-time"})] | None = None


Ticks = TickRow | Annotated[list[TickRow], Meta(max_length=MAX_TICKS)]


class TradesQuery(Body):
    status: Annotated[str, Meta(extra_json_schema={"enum": [*TradeStatus]})] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    after: (
        Annotated[int, Meta(ge=1, le=_MAX_INT, description="``next`` of the page before")] | None
    ) = None

    def __post_init__(self) -> None:
        if self.status is not None and self.status.upper() not in TradeStatus.__members__:
            raise ValueError(f"status: expected OPEN or CLOSED, got {self.status[:40]!r}")

    @property
    def trade_status(self) -> TradeStatus | None:
        """``status``, which may be lower case."""
        return None if self.status is None else TradeStatus(self.status.upper())


class EventsQuery(Body):
    since: Annotated[int, Meta(ge=0, le=_MAX_INT)] = 0


class PricesQuery(Body):
    symbols: Annotated[list[SpelledSymbol], Meta(description="Left out: all")] | None = None


class SessionDocument(messages.SessionData):
    """``session_update.data`` plus what was fixed when the session was made."""

    name: str
    starting_capital: Money
    epoch: Epoch
    seq: Seq
    created_at: Timestamp


class SessionList(messages.Data):
    sessions: list[SessionDocument]


class TradeDocument(messages.TradeTerms):
    """The union of a trade's two events; what only a close knows is null before it."""

    stop_loss: Price | None
    target: Price | None
    status: TradeStatus
    timestamp: Timestamp
    exit_price: Price | None
    pnl: Money | None
    pnl_percent: Percent | None
    exit_reason: ExitReason | None
    opened_at: Timestamp
    closed_at: Timestamp | None


class TradePage(messages.Data):
    """Trades, newest first; ``next`` is the next page's ``after``, null on the last page."""

    trades: list[TradeDocument]
    next: Id | None


class EventList(messages.Data):
    """Stored events, byte for byte as the streams carry them."""

    events: list[messages.NumberedMessage]
    seq: Seq
    epoch: Epoch


class PriceList(messages.Data):
    prices: list[messages.PriceData]


class RejectedTick(messages.Data):
    index: Count
    symbol: str | None
    reason: str


class TicksAnswer(messages.Data):
    accepted: Count
    rejected: list[RejectedTick]
    held: Annotated[
        list[Symbol] | UnsetType,
        Meta(description="Symbols whose price jumped too far and waits to be confirmed"),
    ] = UNSET


class Problem(messages.Data):
    """An RFC 9457 problem document with the protocol's code."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    code: ErrorCode
    trade: Annotated[
        TradeDocument | UnsetType, Meta(description="The trade, if it is closed already")
    ] = UNSET


class Liveness(messages.Data):
    status: Literal["ok"]


class FeedReadiness(messages.Data):
    source: str
    state: FeedState
    message: str


class Readiness(messages.Data):
    status: Literal["ok", "loading", "unavailable"]
    store: Literal["ok", "unavailable"]
    feed: FeedReadiness


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
    tick = decoding.convert(present, TickRow)
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


def session_document(state: SessionState, unrealised_paise: int, now_ms: int) -> SessionDocument:
    session = state.session
    return SessionDocument(
        **asdict(messages.session_data(state, unrealised_paise, now_ms)),
        name=session.name,
        starting_capital=from_paise(session.starting_capital_paise),
        epoch=session.epoch,
        seq=state.seq,
        created_at=iso(session.created_at_ms),
    )


def trade_document(trade: Trade) -> TradeDocument:
    opened = asdict(messages.opened_data(trade))
    closed = (
        dict.fromkeys(("exit_price", "pnl", "pnl_percent", "exit_reason"))
        if trade.exit is None
        else asdict(messages.closed_data(trade))
    )
    return TradeDocument(
        **opened | closed,
        opened_at=iso(trade.opened_at_ms),
        closed_at=None if trade.exit is None else iso(trade.exit.at_ms),
    )


def around_events(seq: int, epoch: str) -> tuple[bytes, bytes]:
    """The JSON of an EventList before and behind its events."""
    head, hole, tail = messages.encode(EventList([], seq, epoch)).partition(b"[]")
    return head + hole[:1], hole[1:] + tail


def events_text(events: Iterable[Event]) -> bytes:
    """Events of an EventList, byte for byte as they are stored."""
    return ",".join(event.message for event in events).encode()


def around_prices() -> tuple[bytes, bytes]:
    """The JSON of a PriceList before and behind its prices."""
    head, hole, tail = messages.encode(PriceList([])).partition(b"[]")
    return head + hole[:1], hole[1:] + tail


def prices_text(quotes: Iterable[Quote], now_ms: int) -> bytes:
    """Prices of a PriceList."""
    return messages.encode([messages.price_data(quote, now_ms) for quote in quotes])[1:-1]


def problem(status: int, title: str, error: VyomoError) -> Problem:
    return Problem(
        type="about:blank",
        title=title,
        status=status,
        detail=str(error),
        code=error.code,
        trade=trade_document(error.trade) if isinstance(error, AlreadyClosed) else UNSET,
    )
