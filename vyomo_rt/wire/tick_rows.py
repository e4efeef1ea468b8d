"""Batches of ticks as rows: the body of ``POST /ticks``, a frame of ``/ws/ingest``."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from vyomo_rt.domain.errors import BadRequest, VyomoError
from vyomo_rt.wire import decoding
from vyomo_rt.wire.commands import message_id
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.numbers import json_kind
from vyomo_rt.wire.tick import MAX_FRAME_TICKS
from vyomo_rt.wire.values import MessageId

Rows = list[Any]
"""Each a text that `quick_tick` and `read_row` read, or a value of JSON."""

_COMMAS_A_TICK = 8
_BLANK = b" \t\r\n"


class TickFrame(NamedTuple):
    """A frame of ticks: its rows, or why it is refused as a whole."""

    rows: Rows | VyomoError
    id: MessageId | None = None


class _QuickFrame(Struct, forbid_unknown_fields=True):
    ticks: Raw
    id: MessageId | None = None


class _Frame(Body):
    ticks: list[Any]
    id: MessageId | None = None


_one = Decoder(Raw).decode
_list = Decoder(list[Raw]).decode
_quick_frame = Decoder(_QuickFrame).decode


def parse_ticks(body: bytes, most: int, *, newline_delimited: bool = False) -> Rows:
    """The rows of a body: of one object, a list, or one object a line.

    Raises BadJson, or BadRequest, if there are more than ``most``, too.
    """
    quick = split_ticks(body, most, newline_delimited=newline_delimited)
    if quick is not None:
        return quick
    value, rest = decoding.parse_first(body, unique=True)
    return _rows(value, rest, most)


def split_ticks(body: bytes, most: int, *, newline_delimited: bool = False) -> Rows | None:
    """As `parse_ticks`, at once; None if that is needed, which may take long.

    Raises BadRequest if there are too many.
    """
    _ask_for_commas(body, most)
    if newline_delimited:
        return _lines(body, most)
    body = body.strip(_BLANK)
    try:
        if body.startswith(b"["):
            return _at_most(_list(body), most)
        return [_one(body)] if body.startswith(b"{") else None
    except (DecodeError, RecursionError):
        return None


def split_frame(text: bytes) -> TickFrame | None:
    """A frame, at once; None if only `parse_frame` finds what it is, which may take long."""
    text = text.strip(_BLANK)
    id_ = None
    try:
        if b'"ticks"' in text:
            if (quick := _split_envelope(text)) is None:
                return None
            text, id_ = quick
        rows = split_ticks(text, MAX_FRAME_TICKS)
        if rows is None and b"\n" in text and not text.startswith(b"["):
            rows = split_ticks(text, MAX_FRAME_TICKS, newline_delimited=True)
        return None if rows is None else TickFrame(rows, id_)
    except BadRequest as error:
        return TickFrame(error, id_)


def _split_envelope(text: bytes) -> tuple[bytes, MessageId | None] | None:
    """The list in ``{"ticks":[…],"id":…}``, and the id; None unless it is plainly that."""
    if text.count(b'"ticks"') > 1 or text.count(b'"id"') > 1:
        return None
    try:
        frame = _quick_frame(text)
    except (DecodeError, RecursionError):
        return None
    ticks = bytes(frame.ticks)
    return (ticks, frame.id) if ticks.startswith(b"[") else None


def parse_frame(text: bytes) -> TickFrame:
    """A frame of which `split_frame` makes nothing."""
    id_ = None
    try:
        value, rest = decoding.parse_first(text, unique=True)
        if not isinstance(value, dict) or "ticks" not in value:
            return TickFrame(_rows(value, rest, MAX_FRAME_TICKS))
        id_ = message_id(value)
        if rest:
            raise decoding.trailing(rest)
        present = {name: member for name, member in value.items() if member is not None}
        return TickFrame(_at_most(decoding.convert(present, _Frame).ticks, MAX_FRAME_TICKS), id_)
    except VyomoError as error:
        return TickFrame(error, id_)


def _rows(value: Any, rest: str, most: int) -> Rows:
    """The rows of a parsed body, and of the lines after it."""
    if rest and not (isinstance(value, dict) and rest.lstrip(" \t\r").startswith("\n")):
        raise decoding.trailing(rest)
    if not isinstance(value, list | dict):
        raise BadRequest(f"expected a tick or a list of ticks, got {json_kind(value)}", "body")
    return _at_most(
        value if isinstance(value, list) else [value, *_lines(rest.encode(), most)], most
    )


def _lines(text: bytes, most: int) -> Rows:
    """The lines that are not blank; as many blank ones may be among them."""
    lines = text.strip().split(b"\n", 2 * most)
    filled = [line for line in lines if line.strip()]
    if len(lines) > 2 * most:
        raise _too_many(most)
    return _at_most(filled, most)


def _ask_for_commas(body: bytes, most: int) -> None:
    """Refuse what has too many rows, or too wide ones, before it is parsed."""
    if body.count(b",") > _COMMAS_A_TICK * most:
        raise _too_many(most)


def _at_most(rows: Rows, most: int) -> Rows:
    if len(rows) > most:
        raise _too_many(most)
    return rows


def _too_many(most: int) -> BadRequest:
    return BadRequest(f"at most {most} ticks at once: send them in parts", "body")
