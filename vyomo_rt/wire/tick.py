"""Prices that come in by ``POST /ticks`` or over ``/ws/ingest``, one by one."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal

from msgspec import UNSET, DecodeError, Meta, Raw, Struct, UnsetType
from msgspec.json import Decoder

from vyomo_rt.domain.errors import BadRequest, VyomoError
from vyomo_rt.domain.quote import Tick, parse_symbol
from vyomo_rt.wire import decoding
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, encode
from vyomo_rt.wire.frame import Frame, make_frame
from vyomo_rt.wire.moment import ClientMoment, moment_ms
from vyomo_rt.wire.numbers import PriceE4, json_kind, price_e4
from vyomo_rt.wire.values import Count, MessageId, SpelledSymbol, Symbol

MAX_TICKS = 1000
"""Ticks in one ``POST /ticks``: programs that push more use ``/ws/ingest``."""

MAX_FRAME_TICKS = 5000
"""Ticks in one frame of ``/ws/ingest``."""

_LONGEST_SYMBOL = 64
_SYMBOLS_REMEMBERED = 16_384


class TickRow(Body):
    """A price from outside; ``ts`` is epoch milliseconds or ISO 8601 with a zone, or now."""

    symbol: SpelledSymbol
    price: PriceE4
    ts: ClientMoment | None = None


Ticks = TickRow | Annotated[list[TickRow], Meta(max_length=MAX_TICKS)]


class TicksFrame(Body):
    """Ticks of which the server says under ``id`` what became of them."""

    ticks: Annotated[list[TickRow], Meta(max_length=MAX_FRAME_TICKS)]
    id: MessageId | None = None


class RejectedTick(Data):
    index: Count
    symbol: str | None
    reason: str


class TicksAnswer(Data):
    accepted: Count
    rejected: list[RejectedTick]
    held: Annotated[
        list[Symbol] | UnsetType,
        Meta(description="Symbols whose price jumped too far and is not yet confirmed"),
    ] = UNSET


class NoTickAccepted(BadRequest):
    """Ticks came, and all of them were refused."""

    def __init__(self, answer: TicksAnswer) -> None:
        first = answer.rejected[0]
        super().__init__(
            f"none of {len(answer.rejected)} ticks was accepted; the first: {first.reason}", "body"
        )
        self.answer = answer


class TicksAck(Data):
    """What became of the ticks of one frame: the accepted and rejected ones are all of them.

    Fewer only if the server closed the connection meanwhile: it took the first ones.
    """

    type: Literal["ack"]
    result: TicksAnswer
    id: MessageId


def ticks_ack(answer: TicksAnswer, id_: MessageId) -> Frame:
    if answer.held is UNSET:
        answer.held = []
    return make_frame("ack", encode(TicksAck("ack", answer, id_)))


class _Plain(Struct, forbid_unknown_fields=True, gc=False):
    """A row as nearly all are; msgspec reads it at once."""

    symbol: str
    price: Decimal
    ts: int | str | None = None


_plain = Decoder(_Plain).decode
_remembered = lru_cache(_SYMBOLS_REMEMBERED)(parse_symbol)


def quick_tick(row: Any, source: str) -> Tick | None:
    """A row that is still text as a tick, if it is a plain one.

    Otherwise None: then `read_row` and `to_tick` find the tick, or what is wrong with the row.
    """
    if isinstance(row, Raw):
        row = bytes(row)
    elif not isinstance(row, bytes):
        return None
    try:
        plain = _plain(row)
        symbol, ts = plain.symbol, plain.ts
        # Of a member that comes twice msgspec takes the last, and a price may be a string for
        # it: more quotes than these give it away.
        texts = 2 if isinstance(ts, str) else 1
        if row.count(b'"') != 2 * (texts + (2 if ts is None else 3)):
            return None
        price = price_e4(plain.price)
        if price is None or len(symbol) > _LONGEST_SYMBOL:
            return None
        as_of_ms = None if ts is None else moment_ms(ts, "ts")
        return Tick(_remembered(symbol), price, as_of_ms, source)
    except (DecodeError, VyomoError):
        return None


def read_row(row: Any) -> Any:
    """A row as JSON; an invalid one is rejected, and not the end of the batch."""
    if not isinstance(row, bytes | Raw):
        return row
    try:
        return decoding.parse_json(bytes(row), unique=True)
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
    as_of_ms = None if tick.ts is None else moment_ms(tick.ts, "ts")
    # A plain int: msgspec, which takes ticks to other nodes, encodes no class derived from it.
    return Tick(parse_symbol(tick.symbol), int(tick.price), as_of_ms, source)


def row_symbol(row: Any) -> str | None:
    """The symbol as the sender spelled it, to name a row that was rejected."""
    symbol = row.get("symbol") if isinstance(row, dict) else None
    return symbol[:80] if isinstance(symbol, str) else None
