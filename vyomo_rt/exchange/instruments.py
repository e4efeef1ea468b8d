"""What is traded: the segment, lot, tick and expiry of a symbol, derived from its name."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from functools import cache, lru_cache
from importlib import resources
from typing import Literal, NamedTuple, TypeVar

from msgspec import Struct, json

from vyomo_rt.domain.market import Instrument, MarketState, Segment
from vyomo_rt.domain.moment import day_start_ms, trading_day
from vyomo_rt.exchange.calendar import Calendar

Kind = Literal["EQUITY", "INDEX", "STOCK_FUTURE", "INDEX_FUTURE", "OPTION"]
"""What ticks depend on."""

_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_RIGHT = r"[ -]?(?:(?P<strike>[1-9]\d*(?:\.\d+)?)[ -]?(?:CE|PE)|(?P<future>FUT))"
_UNDERLYING = r"(?P<underlying>[A-Z0-9&-]+?)[ -]?"
_WITH_DATE = re.compile(
    rf"{_UNDERLYING}(?P<day>\d\d)[ -]?{_MONTH}[ -]?(?:20)?(?P<year>\d\d){_RIGHT}"
)
"""``NIFTY24NOV2624000CE``, ``RELIANCE24NOV26FUT``."""
_WITH_MONTH = re.compile(rf"{_UNDERLYING}(?P<year>\d\d){_MONTH}{_RIGHT}")
"""``NIFTY26NOV24000CE``, ``RELIANCE26NOVFUT``: contracts that expire at the end of a month."""
_WEEKLY = re.compile(rf"{_UNDERLYING}(?P<year>\d\d)(?P<month>[1-9OND])(?P<day>\d\d){_RIGHT}")
"""``NIFTY26N1724000CE``, ``NIFTY2611324000CE``."""
_LEAST_DIGITS = {"INDEX": 5, "EQUITY": 3}
"""Of a strike that follows a whole date: ``26NOV25500`` could be the 26th, the year 25 and a strike
of 500, but no index has such a strike; ``26NOV2640`` is a stock's strike of 2640 rather than 40."""
_MOVED_DAYS = 4
"""How far holidays may move an expiry to an earlier date."""


class _Dated(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    since: date
    source: str


class _Lot(_Dated, frozen=True, forbid_unknown_fields=True):
    symbol: str
    lot: int


class _Band(Struct, frozen=True, forbid_unknown_fields=True):
    """The tick of prices up to and including a limit; without a limit, of all others."""

    tick_e4: int
    up_to_e4: int | None = None


class _Ticks(_Dated, frozen=True, forbid_unknown_fields=True):
    kinds: tuple[Kind, ...]
    bands: tuple[_Band, ...]


class _ExpiryDay(_Dated, frozen=True, forbid_unknown_fields=True):
    """The weekday on which contracts expire; without ``underlyings``, those of all others."""

    weekday: Literal["MON", "TUE", "WED", "THU", "FRI"]
    underlyings: tuple[str, ...] = ()


class _Data(Struct, frozen=True, forbid_unknown_fields=True):
    indices_source: str
    indices: tuple[str, ...]
    stocks_source: str
    stocks: frozenset[str]
    """Those that futures and options exist on."""
    lots: tuple[_Lot, ...]
    ticks: tuple[_Ticks, ...]
    expiries: tuple[_ExpiryDay, ...]


_Row = TypeVar("_Row", bound=_Dated)


class _Contract(NamedTuple):
    """The parts of a contract's name."""

    underlying: str
    year: int
    month: int
    day: int | None
    """None for the contract that expires at the month's end."""
    is_future: bool


@cache
def _data() -> _Data:
    text = resources.files(__package__).joinpath("instruments.json").read_bytes()
    return json.decode(text, type=_Data)


def named_symbols() -> list[str]:
    """The indices and stocks that the data names; contracts are recognised by their form."""
    data = _data()
    return [*data.indices, *sorted(data.stocks)]


def is_named(symbol: str) -> bool:
    """Whether the data knows a symbol; an unknown one counts as an equity."""
    return _is_underlying(symbol) or _contract(symbol) is not None


def segment_of(symbol: str) -> Segment:
    """The segment of a symbol."""
    data = _data()
    if symbol in data.indices:
        return Segment.INDEX
    if symbol in data.stocks:
        return Segment.EQ_FNO
    return Segment.EQ if _contract(symbol) is None else Segment.FNO


def is_open(symbol: str, moment_ms: int, calendar: Calendar) -> bool:
    """Whether a symbol is traded continuously at a moment; no longer after its expiry."""
    if calendar.state(segment_of(symbol), moment_ms) is not MarketState.OPEN:
        return False
    return not has_expired(symbol, moment_ms, calendar)


def expiry_of(symbol: str, calendar: Calendar) -> date | None:
    """The date on which a contract expires; None for any other symbol.

    An expiry that would fall on a holiday comes earlier, if the calendar knows the holiday.
    """
    contract = _contract(symbol)
    if contract is None:
        return None
    if contract.day is not None:
        return date(contract.year, contract.month, contract.day)
    due = _month_end_expiry(contract.underlying, contract.year, contract.month)
    return calendar.last_trading_day(Segment.FNO, due)


def has_expired(symbol: str, moment_ms: int, calendar: Calendar) -> bool:
    """Whether a contract's last session is over at a moment."""
    expiry = expiry_of(symbol, calendar)
    if expiry is None:
        return False
    session = calendar.session(Segment.FNO, expiry)
    end_ms = day_start_ms(expiry + timedelta(days=1)) if session is None else session.close_ms
    return moment_ms >= end_ms


def instrument(
    symbol: str, moment_ms: int, calendar: Calendar, price_e4: int | None = None
) -> Instrument:
    """What is known of a symbol at a moment; its tick may depend on its last price."""
    day = trading_day(moment_ms)
    expiry = expiry_of(symbol, calendar)
    return Instrument(
        symbol,
        segment_of(symbol),
        lot=_lot(symbol, expiry or day),
        tick_e4=_tick_e4(_kind(symbol), day, price_e4),
        expiry=expiry,
    )


# -- lots and ticks ------------------------------------------------------------


def _kind(symbol: str) -> Kind:
    contract = _contract(symbol)
    if contract is None:
        return "INDEX" if symbol in _data().indices else "EQUITY"
    if not contract.is_future:
        return "OPTION"
    return "INDEX_FUTURE" if contract.underlying in _data().indices else "STOCK_FUTURE"


def _lot(symbol: str, day: date) -> int | None:
    """The lot in force on a date; for contracts, on their expiry. Shares are traded singly."""
    contract = _contract(symbol)
    traded = symbol if contract is None else contract.underlying
    if contract is None and traded not in _data().indices:
        return 1
    row = _in_force((row for row in _data().lots if row.symbol == traded), day)
    return None if row is None else row.lot


def _tick_e4(kind: Kind, day: date, price_e4: int | None) -> int | None:
    row = _in_force((row for row in _data().ticks if kind in row.kinds), day)
    if row is None:
        return None
    if price_e4 is None:
        return row.bands[0].tick_e4 if len(row.bands) == 1 else None
    fitting = (b for b in row.bands if b.up_to_e4 is None or price_e4 <= b.up_to_e4)
    return next(fitting).tick_e4


def _in_force(rows: Iterable[_Row], day: date) -> _Row | None:
    """The row with the latest start that is not after a date; otherwise the first one."""
    in_order = sorted(rows, key=lambda row: row.since)
    begun = [row for row in in_order if row.since <= day]
    return next(iter(begun[-1:] or in_order), None)


# -- names of contracts --------------------------------------------------------


def _is_underlying(symbol: str) -> bool:
    return symbol in _data().indices or symbol in _data().stocks


@lru_cache(maxsize=20_000)
def _contract(symbol: str) -> _Contract | None:
    """The contract that a name means; None for any other name."""
    return next(_readings(symbol), None)


def _readings(symbol: str) -> Iterator[_Contract]:
    """What a name may mean, the most likely first."""
    if (match := _WITH_DATE.fullmatch(symbol)) and _is_likely(match):
        yield from _read(match, _MONTHS.index(match["month"]) + 1, int(match["day"]))
    if match := _WITH_MONTH.fullmatch(symbol):
        yield from _read(match, _MONTHS.index(match["month"]) + 1, None)
    if (match := _WEEKLY.fullmatch(symbol)) and match["underlying"] in _data().indices:
        yield from _read(match, "123456789OND".index(match["month"]) + 1, int(match["day"]))


def _read(match: re.Match[str], month: int, day: int | None) -> Iterator[_Contract]:
    """The contract, if its underlying is known and the date exists."""
    underlying, year = match["underlying"], 2000 + int(match["year"])
    if _is_underlying(underlying) and (day is None or 1 <= day <= monthrange(year, month)[1]):
        yield _Contract(underlying, year, month, day, match["future"] is not None)


def _is_likely(match: re.Match[str]) -> bool:
    """Whether a date in a name is a date, not a year followed by the start of a strike."""
    if match["strike"] is None:
        return True
    underlying, year = match["underlying"], 2000 + int(match["year"])
    is_index = underlying in _data().indices
    if len(match["strike"].partition(".")[0]) < _LEAST_DIGITS["INDEX" if is_index else "EQUITY"]:
        return False
    if is_index:
        return True
    month = _MONTHS.index(match["month"]) + 1
    return 0 <= _month_end_expiry(underlying, year, month).day - int(match["day"]) <= _MOVED_DAYS


def _month_end_expiry(underlying: str, year: int, month: int) -> date:
    """The last expiry day of a month, whether it is a holiday or not."""
    of_it = [row for row in _data().expiries if underlying in row.underlyings]
    rows = of_it or [row for row in _data().expiries if not row.underlyings]
    row = _in_force(rows, date(year, month, 1))
    assert row is not None
    last = date(year, month, monthrange(year, month)[1])
    return last - timedelta(days=(last.weekday() - _WEEKDAYS.index(row.weekday)) % 7)
