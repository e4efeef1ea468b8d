"""Bodies and documents of the REST calls; the field names are those of the streams."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from vyomo_rt.domain.errors import (
    BadRequest,
    ErrorCode,
    KeyReused,
    LimitExceeded,
    VyomoError,
)
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import iso, to_ms
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import SessionOrder, TradeOrder
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

MAX_VALUES = 1000
"""Commas in a body: what is wider would take long to read, and no call needs it."""

_MAX_TICK_COMMAS = 8 * MAX_TICKS
_MAX_INT = 2**63 - 1
_FIRST_MS, _FIRST_US, _FIRST_NS = 10**11, 10**14, 10**17
"""Epoch milliseconds of the years 1973 to 5138; smaller integers are seconds, larger ones finer."""


class Body(Struct, rename="camel", forbid_unknown_fields=True):
    """What a client sends; null members are absent ones, unknown ones are refused."""


class NewSession(Body):
    starting_capital: CapitalPaise
    name: Annotated[str, Meta(max_length=200)] | None = None

    def order(self) -> SessionOrder:
        return SessionOrder(starting_capital_paise=self.starting_capital, name=self.name)


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

    def order(self) -> TradeOrder:
        """The order in domain units. Raises BadRequest for what cannot be a symbol."""
        return TradeOrder(
            symbol=parse_symbol(self.symbol),
            side=self.side,
            quantity=self.quantity,
            entry_price_e4=self.entry_price,
            stop_loss_e4=self.stop_loss,
            target_e4=self.target,
        )


class ClosingOrder(Body):
    price: ClosePriceE4 | None = None


class TickRow(Body):
    """A price from outside; ``ts`` is epoch milliseconds or ISO 8601 with a zone, or now."""

    symbol: SpelledSymbol
    price: PriceE4
    ts: (
        Annotated[
            int, Meta(extra_json_schema={"minimum": _FIRST_MS, "exclusiveMaximum": _FIRST_US})
        ]
        | Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
        | None
    ) = None


Ticks = TickRow | Annotated[list[TickRow], Meta(max_length=MAX_TICKS)]


class SessionsQuery(Body):
    status: SessionStatus | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000
    after: Annotated[int, Meta(ge=0, le=_MAX_INT, description="``next`` of the page before")] = 0


class TradesQuery(Body):
    status: Annotated[str, Meta(extra_json_schema={"enum": [*TradeStatus]})] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    after: (
        Annotated[int, Meta(ge=1, le=_MAX_INT, description="``next`` of the page before")] | None
    ) = None

    def __post_init__(self) -> None:
        if self.status is not None and self.status.upper() not in TradeStatus.__members__:
            raise BadRequest(f"status: expected OPEN or CLOSED, got {self.status[:40]!r}", "status")

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
    """Sessions by id; ``next`` is the next page's ``after``, null on the last page."""

    sessions: list[SessionDocument]
    next: Id | None


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


class NoTickAccepted(BadRequest):
    """Ticks came, and each was refused."""

    def __init__(self, answer: TicksAnswer) -> None:
        first = answer.rejected[0]
        super().__init__(
            f"none of {len(answer.rejected)} ticks was accepted; the first: {first.reason}", "body"
        )
        self.answer = answer


class Problem(messages.Data):
    """An RFC 9457 problem document with the protocol's code."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    code: ErrorCode
    field: Annotated[
        str | None,
        Meta(
            description="The member, parameter or header that is at fault, or method, path, query,"
            " headers or body for that part of the request; null where the request is not at fault"
        ),
    ]
    trade: Annotated[
        TradeDocument | UnsetType,
        Meta(description="The trade that is closed already, or that the Idempotency-Key made"),
    ] = UNSET
    session: Annotated[
        SessionDocument | UnsetType, Meta(description="The session that the Idempotency-Key made")
    ] = UNSET
    accepted: Annotated[
        Count | UnsetType, Meta(description="As in the answer to ticks of which one was accepted")
    ] = UNSET
    rejected: list[RejectedTick] | UnsetType = UNSET
    held: list[Symbol] | UnsetType = UNSET


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


def parse_body(body: bytes) -> dict[str, Any]:
    """A body that is one JSON object. Raises BadJson, BadRequest or LimitExceeded."""
    if body.count(b",") > MAX_VALUES:
        raise LimitExceeded(f"the body has more than {MAX_VALUES} values", "body")
    return decoding.parse_object(body, unique=True)


def parse_ticks(body: bytes, *, newline_delimited: bool) -> list[Any]:
    """The rows of a ``POST /ticks``: one object, a list, or one object a line.

    Lines are counted but not parsed yet: see ``read_row``. Raises BadJson or BadRequest.
    """
    if body.count(b",") > _MAX_TICK_COMMAS:
        raise _too_many_ticks()
    if newline_delimited:
        return _lines(body)
    value, rest = decoding.parse_first(body, unique=True)
    if rest and not (isinstance(value, dict) and rest.lstrip(" \t\r").startswith("\n")):
        raise decoding.trailing(rest)
    if not isinstance(value, list | dict):
        raise BadRequest(f"expected a tick or a list of ticks, got {json_kind(value)}", "body")
    rows = value if isinstance(value, list) else [value, *_lines(rest.encode())]
    if len(rows) > MAX_TICKS:
        raise _too_many_ticks()
    return rows


def _lines(text: bytes) -> list[bytes]:
    """The lines that are not blank, of which there may be as many more."""
    lines = text.strip().split(b"\n", 2 * MAX_TICKS)
    filled = [line for line in lines if line.strip()]
    if len(lines) > 2 * MAX_TICKS or len(filled) > MAX_TICKS:
        raise _too_many_ticks()
    return filled


def _too_many_ticks() -> BadRequest:
    return BadRequest(f"at most {MAX_TICKS} ticks a request: send them in parts", "body")


def read_row(row: Any) -> Any:
    """A row as JSON; a line that is none becomes a rejected row, not the end of the batch."""
    if not isinstance(row, bytes):
        return row
    try:
        return decoding.parse_json(row, unique=True)
    except VyomoError as error:
        return error


def to_tick(row: Any, source: str) -> Tick:
    """A row as a tick of a source. Raises BadRequest or BadJson."""
    if isinstance(row, VyomoError):
        raise row
    if not isinstance(row, dict):
        raise BadRequest(f"expected an object, got {json_kind(row)}")
    present = {name: value for name, value in row.items() if value is not None}
    tick = decoding.convert(present, TickRow)
    as_of_ms = None if tick.ts is None else _to_moment_ms(tick.ts)
    return Tick(parse_symbol(tick.symbol), tick.price, as_of_ms, source)


def row_symbol(row: Any) -> str | None:
    """The symbol as the sender spelled it, to name a row that was rejected."""
    symbol = row.get("symbol") if isinstance(row, dict) else None
    return symbol[:80] if isinstance(symbol, str) else None


def _to_moment_ms(ts: int | str) -> int:
    """Epoch milliseconds, or ISO 8601 with a zone."""
    if isinstance(ts, int):
        if _FIRST_MS <= ts < _FIRST_US:
            return ts
        finer = "microseconds" if ts < _FIRST_NS else "nanoseconds"
        unit = "seconds" if ts < _FIRST_MS else finer
        text = str(ts)[:40]
        raise BadRequest(f"ts: {text} looks like {unit}: expected epoch milliseconds", "ts")
    try:
        moment = datetime.fromisoformat(ts) if ts.isprintable() else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadRequest("ts: expected epoch milliseconds or ISO 8601 with a zone", "ts")
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


def problem(
    status: int, title: str, error: VyomoError, session: SessionDocument | UnsetType = UNSET
) -> Problem:
    """An error as a document; ``session`` is what a ``KeyReused`` speaks of."""
    found = Problem(
        type="about:blank",
        title=title,
        status=status,
        detail=str(error),
        code=error.code,
        field=error.field,
        session=session,
    )
    if isinstance(error, AlreadyClosed | KeyReused) and error.trade is not None:
        found.trade = trade_document(error.trade)
    if isinstance(error, NoTickAccepted):
        found.accepted, found.rejected = error.answer.accepted, error.answer.rejected
        found.held = error.answer.held
    return found
