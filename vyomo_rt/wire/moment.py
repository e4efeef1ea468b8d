"""Moments and days as clients write them."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated

from msgspec import Meta

from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.moment import to_ms

_FIRST_MS, _FIRST_US, _FIRST_NS = 10**11, 10**14, 10**17
"""Epoch milliseconds of the years 1973 to 5138; smaller integers are seconds, larger ones finer."""

LAST_MS = _FIRST_US - 1
"""The last moment that a client can name."""

_DIGITS = re.compile(r"[0-9]{1,30}")
_ZONE = re.compile(r" (\d\d:?\d\d)$", re.ASCII)

ClientMoment = (
    Annotated[int, Meta(extra_json_schema={"minimum": _FIRST_MS, "exclusiveMaximum": _FIRST_US})]
    | Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
)

ClientDay = Annotated[
    str,
    Meta(
        description="A date in Asia/Kolkata, included",
        examples=["2026-11-23"],
        extra_json_schema={"format": "date"},
    ),
]
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def looks_like_day(text: str) -> bool:
    """Whether it is written as a date, not as a moment."""
    return _DAY.fullmatch(text) is not None


def read_day(name: str, text: str | None) -> date | None:
    """The date that a client wrote as ``name``, if any. Raises BadRequest."""
    if text is None:
        return None
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadRequest(f"{name}: expected a date such as 2026-11-23, got {text[:40]!r}", name)


def query_moment_ms(text: int | str, name: str) -> int:
    """Epoch milliseconds of a parameter of a query, which is all text. Raises BadRequest.

    There the ``+`` of a zone means a space, unless it is written as ``%2B``.
    """
    if isinstance(text, str):
        text = int(text) if _DIGITS.fullmatch(text) else _ZONE.sub(r"+\1", text)
    return moment_ms(text, name)


def moment_ms(moment: int | str, name: str) -> int:
    """Epoch milliseconds of what a client wrote as ``name``. Raises BadRequest."""
    if isinstance(moment, int):
        if _FIRST_MS <= moment < _FIRST_US:
            return moment
        finer = "microseconds" if moment < _FIRST_NS else "nanoseconds"
        unit = "seconds" if moment < _FIRST_MS else finer
        text = str(moment)[:40]
        raise BadRequest(f"{name}: {text} looks like {unit}: expected epoch milliseconds", name)
    try:
        read = datetime.fromisoformat(moment) if moment.isprintable() else None
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise BadRequest(f"{name}: expected epoch milliseconds or ISO 8601 with a zone", name)
    return to_ms(read)
