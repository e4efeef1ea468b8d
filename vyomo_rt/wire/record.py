"""The lines of a record: its header, ticks in the shape in which they are pushed, and calls."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.quote import Tick, parse_symbol
from vyomo_rt.wire.encoding import Data, encode
from vyomo_rt.wire.moment import moment_ms
from vyomo_rt.wire.numbers import price_e4
from vyomo_rt.wire.values import Id

VERSION = 1


class RecordHeader(Data):
    """The first line; what it leaves out was as usual."""

    v: int = VERSION
    tz: str = "UTC"
    date: str | UnsetType = UNSET
    """The trading day, in Asia/Kolkata."""
    source: str | UnsetType = UNSET
    fresh_for_ms: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    keeps_hours: bool | UnsetType = UNSET
    """Whether all symbols follow the hours of the exchange, as those of its own feeds do."""
    market_hours: bool | UnsetType = UNSET
    trade_on_delayed: bool | UnsetType = UNSET


class CallLine(Data):
    """A call that made or changed something, at its moment of the market."""

    at: int
    call: str
    body: msgspec.Raw | UnsetType = UNSET
    key: str | UnsetType = UNSET
    made: Id | UnsetType = UNSET
    """The id of the session, trade or order that it made."""


def header_line(header: RecordHeader) -> bytes:
    return encode(header) + b"\n"


def call_line(line: CallLine) -> bytes:
    return encode(line) + b"\n"


def one_line(body: bytes) -> bytes:
    """A JSON text without what is between its values, such as line ends."""
    return msgspec.json.format(body, indent=-1)


def tick_line(symbol: str, price_e4: int, ts_ms: int, at_ms: int | None) -> str:
    """A tick; ``at_ms`` is when it came, told only where that was much later.

    A symbol holds nothing that JSON would escape, and thousands are written a second.
    """
    whole, decimals = divmod(price_e4, 10_000)
    price = f"{whole}.{decimals:04}".rstrip("0") if decimals else str(whole)
    came = "" if at_ms is None else f',"at":{at_ms}'
    return f'{{"symbol":"{symbol}","price":{price},"ts":{ts_ms}{came}}}\n'


_HEADER = re.compile(rb'\s*\{[^{}]*"v"\s*:')


def read_header(line: bytes) -> RecordHeader | None:
    """The header, if a first line is one. Raises ValueError."""
    if not _HEADER.match(line):
        return None
    try:
        return msgspec.json.decode(line, type=RecordHeader)
    except msgspec.MsgspecError as error:
        raise ValueError(f"its header cannot be read: {error}") from error


def moment_of(line: bytes) -> int | None:
    """When a line was written, in epoch milliseconds; None for an empty one. Raises ValueError."""
    if not line.strip():
        return None
    try:
        fields = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise ValueError(f"a line is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError("a line is no object")
    moment = fields.get("at", fields.get("ts"))
    if isinstance(moment, int):
        return moment
    raise ValueError("a line names no moment")


class RecordLine(Struct, gc=False):
    """Any line but the first, as it stands there."""

    symbol: str | None = None
    price: Decimal | None = None
    ts: int | str | None = None
    at: int | None = None
    call: str | None = None
    body: msgspec.Raw = msgspec.Raw()
    key: str | None = None
    made: int | None = None


_decoder = msgspec.json.Decoder(RecordLine)
_symbol = lru_cache(16_384)(parse_symbol)


def read_lines(block: bytes) -> list[RecordLine | None]:
    """The lines of a block; None for one that cannot be read."""
    try:
        return list(_decoder.decode_lines(block))
    except (msgspec.MsgspecError, ValueError):
        return [_read_line(line) for line in block.splitlines() if line.strip()]


def _read_line(line: bytes) -> RecordLine | None:
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, ValueError):
        return None


def recorded_tick(line: RecordLine, source: str) -> Tick | None:
    """The tick of a line; None if it is none."""
    if line.symbol is None or line.price is None:
        return None
    price = price_e4(line.price)
    if price is None:
        return None
    try:
        as_of_ms = None if line.ts is None else moment_ms(line.ts, "ts")
        return Tick(_symbol(line.symbol), price, as_of_ms, source)
    except BadRequest:
        return None


def line_moment(line: RecordLine) -> int | None:
    """When a line came, in epoch milliseconds; None if it names no moment."""
    if line.at is not None:
        return line.at
    tick = recorded_tick(line, "")
    return None if tick is None else tick.as_of_ms
