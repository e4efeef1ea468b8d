"""The hours that symbols follow: those of their segment, if the data names them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from vyomo_rt.domain.market import MarketSession, MarketState, Segment
from vyomo_rt.domain.moment import DAY_MS, MINUTE_MS, day_of, day_start_ms, trading_day
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.instruments import expiry_of, has_expired, is_named, segment_of

_SYMBOLS_KEPT = 20_000
_DAY = timedelta(days=1)
_EVER_MS = 2**62


class _Hours(NamedTuple):
    """When a symbol is open, valid between two moments."""

    known_from_ms: int
    known_to_ms: int
    open_ms: int
    close_ms: int


_ALWAYS = _Hours(-_EVER_MS, _EVER_MS, -_EVER_MS, _EVER_MS)


class MarketHours:
    """Named symbols are open while their segment trades continuously, all others day and night.

    With ``all_symbols`` the others are open with the other stocks of the exchange.
    """

    def __init__(self, calendar: Calendar, *, all_symbols: bool = False) -> None:
        self._calendar = calendar
        self._all_symbols = all_symbols
        self._hours: dict[str, _Hours] = {}
        self._square_offs: dict[tuple[str, int, date], int] = {}

    def in_session(self, symbol: str, first_ms: int, last_ms: int) -> bool:
        """Whether two moments lie in one session of a symbol; asked with each tick and quote."""
        hours = self._hours.get(symbol)
        if hours is None or not hours.known_from_ms <= last_ms < hours.known_to_ms:
            hours = self._look_up(symbol, last_ms)
        return hours.open_ms <= first_ms < hours.close_ms and (
            hours.open_ms <= last_ms < hours.close_ms
        )

    def has_expired(self, symbol: str, moment_ms: int) -> bool:
        """Whether a contract's last session is over at a moment."""
        return has_expired(symbol, moment_ms, self._calendar)

    def state(self, moment_ms: int) -> MarketState:
        """What goes on in the index segment, which stands for the market."""
        return self._calendar.state(Segment.INDEX, moment_ms)

    def last_close_ms(self, symbol: str, moment_ms: int) -> int:
        """When the last session of a named symbol ended, as of a moment."""
        segment, day = segment_of(symbol), trading_day(moment_ms)
        if (expiry := expiry_of(symbol, self._calendar)) is not None:
            day = min(day, expiry)
        day = self._calendar.last_trading_day(segment, day)
        session = self._calendar.session(segment, day)
        if session is not None and session.close_ms > moment_ms:
            day = self._calendar.last_trading_day(segment, day - _DAY)
            session = self._calendar.session(segment, day)
        assert session is not None
        return session.close_ms

    def session_end_ms(self, symbol: str, moment_ms: int) -> int:
        """When a symbol's next session after a moment ends; day and night end at midnight."""
        if not self._follows(symbol):
            return next_midnight_ms(symbol, moment_ms)
        return self._calendar.next_close_ms(segment_of(symbol), moment_ms + 1)

    def opening_ms(self, symbol: str, moment_ms: int) -> int:
        """When a symbol's session opens on the date of a moment; at midnight if there is none.

        An unknown symbol counts as an equity.
        """
        day = trading_day(moment_ms)
        session = self._calendar.session(segment_of(symbol), day)
        return day_start_ms(day) if session is None else session.open_ms

    def square_off_ms(self, symbol: str, minute: int, after_ms: int) -> int:
        """When the trades in a symbol are squared off first after a moment.

        ``minute`` is that of the day in Asia/Kolkata; a session that ends soon after it, or
        before it, makes it earlier. Day and night have it on every date.
        """
        if not self._follows(symbol):
            return next_minute_ms(symbol, minute, after_ms)
        day = trading_day(after_ms)
        due_ms = self._square_off_since(symbol, minute, day)
        return due_ms if due_ms > after_ms else self._square_off_since(symbol, minute, day + _DAY)

    def _square_off_since(self, symbol: str, minute: int, day: date) -> int:
        """The first square-off on a date or later; asked for each trade, so they are kept."""
        key = (symbol, minute, day)
        due_ms = self._square_offs.get(key)
        if due_ms is None:
            if len(self._square_offs) >= _SYMBOLS_KEPT:
                self._square_offs.clear()
            before_ms = day_start_ms(day) - 1
            due_ms = self._calendar.square_off_ms(segment_of(symbol), minute, before_ms)
            self._square_offs[key] = due_ms
        return due_ms

    def new_day_ms(self, moment_ms: int) -> int:
        """When the next trading date after a moment begins."""
        return day_start_ms(self._calendar.trading_day_after(trading_day(moment_ms)))

    def _follows(self, symbol: str) -> bool:
        return self._all_symbols or is_named(symbol)

    def _look_up(self, symbol: str, moment_ms: int) -> _Hours:
        if len(self._hours) >= _SYMBOLS_KEPT:
            self._hours.clear()
        hours = _ALWAYS
        if self._follows(symbol):
            day = trading_day(moment_ms)
            session = self._calendar.session(segment_of(symbol), day)
            times = (0, 0) if session is None else self._times(symbol, session)
            hours = _Hours(day_start_ms(day), day_start_ms(day + _DAY), *times)
        self._hours[symbol] = hours
        return hours

    def _times(self, symbol: str, session: MarketSession) -> tuple[int, int]:
        """The start and end of a symbol's trading in a session; none once it has expired."""
        expired = has_expired(symbol, session.open_ms, self._calendar)
        return (0, 0) if expired else (session.open_ms, session.close_ms)


def midnight_ms(_symbol: str, moment_ms: int) -> int:
    """When the day in Asia/Kolkata began: the opening of what is open day and night."""
    return day_of(moment_ms)


def next_midnight_ms(_symbol: str, moment_ms: int) -> int:
    """When the day in Asia/Kolkata ends: the session of what is open day and night."""
    return day_of(moment_ms) + DAY_MS


def next_minute_ms(_symbol: str, minute: int, after_ms: int) -> int:
    """The first time after a moment that it is a minute of the day in Asia/Kolkata."""
    at_ms = day_of(after_ms) + minute * MINUTE_MS
    return at_ms if at_ms > after_ms else at_ms + DAY_MS
