"""A moment as clients write it: epoch milliseconds, or ISO 8601 with a zone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.moment import to_ms

_FIRST_MS, _FIRST_US, _FIRST_NS = 10**11, 10**14, 10**17
"""Epoch milliseconds of the years 1973 to 5138; smaller integers are seconds, larger ones finer."""

ClientMoment = (
    Annotated[int, Meta(extra_json_schema={"minimum": _FIRST_MS, "exclusiveMaximum": _FIRST_US})]
    | Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
)


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
