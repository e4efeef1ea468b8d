"""Prices that come in by ``POST /ticks``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from vyomo_rt.domain.errors import BadRequest, VyomoError
from vyomo_rt.domain.moment import to_ms
from vyomo_rt.domain.quote import Tick, parse_symbol
from vyomo_rt.wire import decoding
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.numbers import PriceE4, json_kind
from vyomo_rt.wire.values import Count, SpelledSymbol, Symbol

MAX_TICKS = 1000
"""Ticks in one ``POST /ticks``: larger batches would hold up the streams."""

_MAX_TICK_COMMAS = 8 * MAX_TICKS
_FIRST_MS, _FIRST_US, _FIRST_NS = 10**11, 10**14, 10**17
"""Epoch milliseconds of the years 1973 to 5138; smaller integers are seconds, larger ones finer."""


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
    """The lines that are not blank; as many blank ones may be among them."""
    lines = text.strip().split(b"\n", 2 * MAX_TICKS)
    filled = [line for line in lines if line.strip()]
    if len(lines) > 2 * MAX_TICKS or len(filled) > MAX_TICKS:
        raise _too_many_ticks()
    return filled


def _too_many_ticks() -> BadRequest:
    return BadRequest(f"at most {MAX_TICKS} ticks a request: send them in parts", "body")


def read_row(row: Any) -> Any:
    """A row as JSON; an invalid line is a rejected row, not the end of the batch."""
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
