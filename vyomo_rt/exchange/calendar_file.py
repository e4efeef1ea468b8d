"""The calendar as dated rows: the ones that ship with the package, and an operator's file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from vyomo_rt.domain.market import Segment

TimeOfDay = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
"""``HH:MM`` in Asia/Kolkata."""


class CalendarError(ValueError):
    """What is wrong with a calendar file: the row, the field and what to write instead."""


class Holiday(Struct, frozen=True, forbid_unknown_fields=True):
    """A weekday without trading, in some segments or (none named) in all of them."""

    date: date
    name: str
    segments: tuple[Segment, ...] = ()
    source: str = ""


class SpecialSession(Struct, frozen=True, forbid_unknown_fields=True):
    """Trading in all segments on a day that would have none, or at different hours.

    Without ``open`` and ``close`` it has the hours of any other day.
    """

    date: date
    name: str
    preopen: TimeOfDay | None = None
    open: TimeOfDay | None = None
    close: TimeOfDay | None = None
    source: str = ""


class Hours(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """The hours of a segment from a date on, until the next row of that segment.

    Trading is continuous from ``open`` to ``close``. Before it comes the pre-open call auction;
    after it, if there is one, the closing auction until ``auction_end``.
    """

    since: date
    segment: Segment
    open: TimeOfDay
    close: TimeOfDay
    preopen: TimeOfDay | None = None
    auction_end: TimeOfDay | None = None
    source: str = ""


class Rows(Struct, frozen=True, forbid_unknown_fields=True):
    """A calendar; ``years`` are the ones whose holidays and special sessions are complete."""

    years: tuple[Annotated[int, Meta(ge=1990, le=2100)], ...]
    holidays: tuple[Holiday, ...]
    special: tuple[SpecialSession, ...] = ()
    sessions: tuple[Hours, ...] = ()

    def overridden_by(self, other: Rows) -> Rows:
        """These rows with the other's in place of them for its years, and its hours added."""
        hours = {(row.since, row.segment): row for row in (*self.sessions, *other.sessions)}
        return Rows(
            years=tuple(sorted({*self.years, *other.years})),
            holidays=tuple(_others(self.holidays, other.years)) + other.holidays,
            special=tuple(_others(self.special, other.years)) + other.special,
            sessions=tuple(sorted(hours.values(), key=lambda row: row.since)),
        )


def _others(rows: Iterable[Any], years: Iterable[int]) -> Iterable[Any]:
    return (row for row in rows if row.date.year not in years)


# Made here, so that msgspec looks at the types now and never while a test has frozen the time.
_ROWS = msgspec.json.Decoder(Rows)


@cache
def shipped_rows() -> Rows:
    """The calendar that ships with the package."""
    return read_rows(resources.files(__package__).joinpath("calendar.json").read_bytes())


def read_rows(text: bytes) -> Rows:
    """The rows of a calendar file. Raises CalendarError."""
    try:
        rows = _ROWS.decode(text)
    except msgspec.ValidationError as error:
        raise CalendarError(_in_words(str(error), msgspec.json.decode(text))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CalendarError(f"not valid JSON: {error}") from None
    _require_sense(rows)
    return rows


# -- what no type says ---------------------------------------------------------


def _require_sense(rows: Rows) -> None:
    if not rows.years:
        raise CalendarError("years: names none; name those whose holidays are in the file")
    for name, dated in (("holidays", rows.holidays), ("special", rows.special)):
        _require_dates(name, dated, rows.years)
    for index, special in enumerate(rows.special):
        if (special.open is None) != (special.close is None):
            lacks = "open" if special.open is None else "close"
            raise _wrong("special", index, lacks, "is missing: give open and close, or neither")
        _require_order("special", index, special, ("preopen", "open", "close"))
    for index, hours in enumerate(rows.sessions):
        _require_order("sessions", index, hours, ("preopen", "open", "close", "auction_end"))
    keys = [(row.since, row.segment) for row in rows.sessions]
    if (twice := _first_twice(keys)) is not None:
        raise _wrong("sessions", twice, "from", "a row before has this date and segment: keep one")


def _require_dates(
    name: str, rows: Iterable[Holiday | SpecialSession], years: tuple[int, ...]
) -> None:
    dates = [row.date for row in rows]
    for index, day in enumerate(dates):
        if day.year not in years:
            words = f"{day} is in none of the years of this file: add {day.year} to years"
            raise _wrong(name, index, "date", words)
    if (twice := _first_twice(dates)) is not None:
        raise _wrong(name, twice, "date", f"a row before has {dates[twice]}, too: keep one")


def _first_twice(keys: list[Any]) -> int | None:
    """Where a key occurs for the second time, if one does."""
    counts: Counter[Any] = Counter()
    for index, key in enumerate(keys):
        counts[key] += 1
        if counts[key] > 1:
            return index
    return None


def _require_order(table: str, index: int, row: Struct, names: tuple[str, ...]) -> None:
    times = [(name, time) for name in names if (time := getattr(row, name)) is not None]
    for (earlier, before), (name, time) in pairwise(times):
        if time <= before:
            words = f"{time} is not after {earlier} ({before}): write a later time"
            raise _wrong(table, index, name, words)


def _wrong(table: str, index: int, field: str, words: str) -> CalendarError:
    return CalendarError(f"{table}, row {index + 1}, {field}: {words}")


# -- what a type says, in words ------------------------------------------------

_PATH = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|\.?(\w+)")
_LACKS = re.compile(r"Object missing required field `(?P<name>.*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_TYPES: dict[str, type[Struct]] = {
    "holidays": Holiday,
    "special": SpecialSession,
    "sessions": Hours,
}
_EXPECTED = {
    "years": "years, such as [2027]",
    "date": "a date, such as 2027-01-26",
    "from": "a date, such as 2027-01-26",
    "segment": f"one of {', '.join(Segment)}",
    "segments": f"a list of {', '.join(Segment)}",
    "name": "a text",
    "source": "a text",
    "holidays": "a list of rows",
    "special": "a list of rows",
    "sessions": "a list of rows",
}
_A_TIME = "a time in Asia/Kolkata, such as 09:15"


def _in_words(error: str, value: Any) -> str:
    """A validation error that begins with the table, the row and the field."""
    match = _PATH.fullmatch(error)
    assert match is not None
    steps = [index or name for index, name in _STEP.findall(match["path"] or "")]
    what = match["what"]
    table = next((step for step in steps if not step.isdigit()), None)
    if found := _LACKS.fullmatch(what):
        name = found["name"]
        where = _where([*steps, name])
        return f"{where}: is missing: write {_EXPECTED.get(name, _A_TIME)}"
    if found := _UNKNOWN.fullmatch(what):
        known = [f.encode_name for f in msgspec.structs.fields(_TYPES.get(table or "", Rows))]
        close = get_close_matches(found["name"], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
        return f"{_where([*steps, found['name'][:40]])}: unknown; {hint}"
    if not steps:
        return 'expected an object with "years" and "holidays"'
    name = next(step for step in reversed(steps) if not step.isdigit())
    expected = _EXPECTED.get(name, _A_TIME)
    if name in _TYPES and steps[-1].isdigit():
        expected = "an object with the fields of a row"
    return f"{_where(steps)}: expected {expected}, got {_at(value, steps)!r:.60}"


def _where(steps: list[str]) -> str:
    return ", ".join(f"row {int(step) + 1}" if step.isdigit() else step for step in steps)


def _at(value: Any, steps: list[str]) -> Any:
    for step in steps:
        value = value[int(step) if step.isdigit() else step]
    return value
