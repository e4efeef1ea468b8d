"""When the market is open: sessions, holidays, trading days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from vyomo_rt.domain.market import MarketSession, MarketState, Segment
from vyomo_rt.domain.moment import MINUTE_MS, day_of, day_start_ms, trading_day
from vyomo_rt.exchange.calendar_file import (
    Holiday,
    Hours,
    Rows,
    SpecialSession,
    read_rows,
    shipped_rows,
)

WARN_DAYS = 30
"""The calendar begins to warn this many days before its data ends."""

BEFORE_CLOSE_MS = 5 * 60_000
"""A square-off leaves the exchange so much time before the session of a symbol ends."""

_SATURDAY = 5
_DAY = timedelta(days=1)
_DAYS_KEPT = 64
_LONGEST_PAUSE_DAYS = 400
"""No market is closed for longer; in a calendar that says otherwise there is no next session."""


class Calendar:
    """The trading days of NSE, and the sessions of each segment on them.

    Dates are those of Asia/Kolkata. On a date of a year that the rows do not cover
    (`knows`) every weekday counts as a trading day, with the hours nearest in time.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._holidays = {row.date: row for row in rows.holidays}
        self._special = {row.date: row for row in rows.special}
        in_order = sorted(rows.sessions, key=lambda row: row.since)
        self._hours = {each: [row for row in in_order if row.segment is each] for each in Segment}
        self._found: dict[date, dict[Segment, MarketSession]] = {}

    @classmethod
    def shipped(cls, override: bytes | None = None) -> Calendar:
        """The calendar of the package, with an operator's file over it. Raises CalendarError."""
        rows = shipped_rows()
        return cls(rows if override is None else rows.overridden_by(read_rows(override)))

    # -- dates -----------------------------------------------------------------

    @property
    def holidays(self) -> list[Holiday]:
        """All known holidays, by date."""
        return sorted(self._holidays.values(), key=lambda row: row.date)

    def knows(self, day: date) -> bool:
        """Whether the rows cover a date; otherwise weekdays count as trading days."""
        return day.year in self._rows.years

    def warning(self, day: date) -> str | None:
        """What is wrong with the calendar on a date, for a person: its data ends, or has ended."""
        renewal = "scripts/update_calendar.py makes a file for --calendar"
        if not self.knows(day):
            return f"the calendar does not know {day.year}: every weekday counts as open; {renewal}"
        year = day.year
        while year + 1 in self._rows.years:
            year += 1
        last = date(year, 12, 31)
        if (last - day).days < WARN_DAYS:
            return f"the calendar ends on {last}: every weekday counts as open then; {renewal}"
        return None

    def is_trading_day(self, day: date) -> bool:
        """Whether any segment trades on a date."""
        return bool(self._sessions(day))

    def trading_day_after(self, day: date) -> date:
        """The next date on which any segment trades."""
        return self._search(day + _DAY, _DAY, self.is_trading_day)

    # -- sessions --------------------------------------------------------------

    def sessions(self, day: date) -> list[MarketSession]:
        """The sessions of a date; none where it is closed."""
        return list(self._sessions(day).values())

    def session(self, segment: Segment, day: date) -> MarketSession | None:
        """A segment's session of a date; None where it is closed."""
        return self._sessions(day).get(segment)

    def state(self, segment: Segment, moment_ms: int) -> MarketState:
        """What goes on in a segment at a moment."""
        session = self._sessions(trading_day(moment_ms)).get(segment)
        return MarketState.CLOSED if session is None else session.state(moment_ms)

    def next_open_ms(self, segment: Segment, moment_ms: int) -> int:
        """When a segment next opens; the given moment, if it opens then."""
        return self._next(segment, moment_ms, lambda session: session.open_ms)

    def next_close_ms(self, segment: Segment, moment_ms: int) -> int:
        """When a segment's continuous trading next ends; the given moment, if it ends then."""
        return self._next(segment, moment_ms, lambda session: session.close_ms)

    def square_off_ms(self, segment: Segment, minute: int, after_ms: int) -> int:
        """The first square-off after a moment, on a date on which a segment trades.

        It is at a minute of the day in Asia/Kolkata, or 5 minutes before the session ends if
        that is earlier.
        """

        def when(session: MarketSession) -> int:
            at_ms = day_of(session.open_ms) + minute * MINUTE_MS
            return min(at_ms, session.close_ms - BEFORE_CLOSE_MS)

        return self._next(segment, after_ms + 1, when)

    def _next(self, segment: Segment, moment_ms: int, when: Callable[[MarketSession], int]) -> int:
        def is_ahead(day: date) -> bool:
            session = self.session(segment, day)
            return session is not None and when(session) >= moment_ms

        session = self.session(segment, self._search(trading_day(moment_ms), _DAY, is_ahead))
        assert session is not None
        return when(session)

    def last_trading_day(self, segment: Segment, day: date) -> date:
        """The date itself, or the last one before it, on which a segment trades."""
        return self._search(day, -_DAY, lambda day: self.session(segment, day) is not None)

    def _search(self, day: date, step: timedelta, fits: Callable[[date], bool]) -> date:
        for _ in range(_LONGEST_PAUSE_DAYS):
            if fits(day):
                return day
            day += step
        raise LookupError(f"no session within {_LONGEST_PAUSE_DAYS} days of {day}")

    def _sessions(self, day: date) -> dict[Segment, MarketSession]:
        """The sessions of a date; asked with each tick, so those of the last dates are kept."""
        found = self._found.get(day)
        if found is None:
            if len(self._found) >= _DAYS_KEPT:
                self._found.clear()
            made = (self._make_session(segment, day) for segment in Segment)
            found = {session.segment: session for session in made if session is not None}
            self._found[day] = found
        return found

    def _make_session(self, segment: Segment, day: date) -> MarketSession | None:
        rows = self._hours[segment]
        hours = next((row for row in reversed(rows) if row.since <= day), rows[0])
        # First of all: a special session may fall on a weekend or on a holiday.
        if (special := self._special.get(day)) is not None:
            if special.open is None:
                return _session(segment, day, hours)
            return _session(segment, day, special)
        holiday = self._holidays.get(day)
        if holiday is not None and (not holiday.segments or segment in holiday.segments):
            return None
        return None if day.weekday() >= _SATURDAY else _session(segment, day, hours)


def _session(segment: Segment, day: date, hours: Hours | SpecialSession) -> MarketSession:
    start_ms = day_start_ms(day)

    def moment_ms(time: str | None, otherwise: str | None) -> int:
        hour, minute = map(int, (time or otherwise or "").split(":"))
        return start_ms + (hour * 60 + minute) * MINUTE_MS

    auction_end = hours.auction_end if isinstance(hours, Hours) else None
    return MarketSession(
        segment,
        preopen_ms=moment_ms(hours.preopen, hours.open),
        open_ms=moment_ms(hours.open, None),
        close_ms=moment_ms(hours.close, None),
        auction_end_ms=moment_ms(auction_end, hours.close),
    )
