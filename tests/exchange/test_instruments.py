"""What the name of a symbol tells: its segment, lot, tick and expiry."""

from __future__ import annotations

from datetime import date, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.moment import IST_AHEAD_MS, day_start_ms, to_ms
from vyomo_rt.domain.quote import SYMBOL
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.instruments import (
    expiry_of,
    has_expired,
    instrument,
    is_named,
    is_open,
    named_symbols,
    segment_of,
)

CALENDAR = Calendar.shipped()


def ist(text: str) -> int:
    return to_ms(datetime.fromisoformat(f"{text}+00:00")) - IST_AHEAD_MS


NOW = ist("2026-11-26 12:00")


@pytest.mark.parametrize(
    ("symbol", "segment", "named"),
    [
        ("NIFTY", "INDEX", True),
        ("INDIAVIX", "INDEX", True),
        ("RELIANCE", "EQ_FNO", True),
        ("M&M", "EQ_FNO", True),
        ("NIFTY26DEC24000CE", "FNO", True),
        ("RELIANCE26DECFUT", "FNO", True),
        ("SOMESMALLCAP", "EQ", False),
        ("USDINR", "EQ", False),
        ("CRUDEOIL26DECFUT", "EQ", False),  # of another exchange
        ("NIFTY26DEC24000XX", "EQ", False),
        ("NIFTY31NOV26FUT", "EQ", False),  # there is no such date
        ("NIFTY26DEC0CE", "EQ", False),
    ],
)
def test_the_segment_is_told_by_the_name(symbol: str, segment: str, named: bool) -> None:
    assert (segment_of(symbol), is_named(symbol)) == (segment, named)


@pytest.mark.parametrize(
    ("symbol", "expiry"),
    [
        ("NIFTY26DEC24000CE", "2026-12-29"),  # the last Tuesday
        ("NIFTY26NOV24000CE", "2026-11-23"),  # the last Tuesday is a holiday
        ("RELIANCE26MARFUT", "2026-03-30"),
        ("NIFTY26NOV25500PE", "2026-11-23"),  # no strike of 500 on the 26th of a year 25
        ("NIFTY26N1724000CE", "2026-11-17"),  # weekly
        ("NIFTY2611324000CE", "2026-01-13"),
        ("NIFTY26D0124000.5PE", "2026-12-01"),
        ("NIFTY01DEC2624000CE", "2026-12-01"),
        ("NIFTY 01DEC2026 24000 CE", "2026-12-01"),
        ("RELIANCE29DEC26FUT", "2026-12-29"),
        ("TATASTEEL29DEC26150CE", "2026-12-29"),
        ("TCS26JUN2540CE", "2026-06-30"),
        ("M&M26DEC3000PE", "2026-12-29"),
        ("BAJAJ-AUTO26DEC9000CE", "2026-12-29"),
        ("360ONE26DEC1000CE", "2026-12-29"),
        ("SENSEX26NOV85000CE", "2026-11-26"),  # BSE's last Thursday
        ("RELIANCE25AUGFUT", "2025-08-28"),  # Thursdays until then
        ("NIFTY", None),
        ("RELIANCE", None),
    ],
)
def test_the_expiry_is_told_by_the_name_of_a_contract(symbol: str, expiry: str | None) -> None:
    assert expiry_of(symbol, CALENDAR) == (None if expiry is None else date.fromisoformat(expiry))


def test_a_contract_expires_with_the_close_of_its_last_session() -> None:
    close = ist("2026-12-29 15:40")
    symbol = "NIFTY26DEC24000CE"
    assert not has_expired(symbol, close - 1, CALENDAR)
    assert is_open(symbol, close - 1, CALENDAR)
    assert has_expired(symbol, close, CALENDAR)
    assert not is_open(symbol, ist("2026-12-30 10:00"), CALENDAR)
    assert is_open("NIFTY27JAN24000CE", ist("2026-12-30 10:00"), CALENDAR)
    assert not has_expired("RELIANCE", ist("2040-01-01 10:00"), CALENDAR)


def test_a_contract_dated_on_a_holiday_expires_with_that_date() -> None:
    symbol = "NIFTY24NOV2624000CE"
    assert not has_expired(symbol, ist("2026-11-24 23:59"), CALENDAR)
    assert has_expired(symbol, ist("2026-11-25 00:00"), CALENDAR)


@pytest.mark.parametrize(
    ("symbol", "at", "open_"),
    [
        ("RELIANCE", "2026-11-26 15:14", True),
        ("RELIANCE", "2026-11-26 15:20", False),  # the closing auction
        ("SOMESMALLCAP", "2026-11-26 15:20", True),
        ("NIFTY26DEC24000CE", "2026-11-26 15:39", True),
        ("NIFTY", "2026-11-26 09:10", False),
        ("NIFTY", "2026-11-24 12:00", False),
    ],
)
def test_a_symbol_is_open_while_its_segment_trades(symbol: str, at: str, open_: bool) -> None:
    assert is_open(symbol, ist(at), CALENDAR) is open_


@pytest.mark.parametrize(
    ("symbol", "at", "lot"),
    [
        ("NIFTY", "2026-11-26 12:00", 65),
        ("NIFTY", "2025-12-31 12:00", 75),
        ("NIFTY25DEC24000CE", "2025-12-01 12:00", 75),
        ("NIFTY26JAN24000CE", "2025-12-01 12:00", 65),  # that of its expiry
        ("BANKNIFTY", "2026-11-26 12:00", 30),
        ("FINNIFTY26DECFUT", "2026-11-26 12:00", 60),
        ("MIDCPNIFTY", "2026-11-26 12:00", 120),
        ("NIFTYNXT50", "2026-11-26 12:00", 25),
        ("RELIANCE", "2026-11-26 12:00", 1),
        ("SOMESMALLCAP", "2026-11-26 12:00", 1),
        ("RELIANCE26DECFUT", "2026-11-26 12:00", None),
        ("INDIAVIX", "2026-11-26 12:00", None),
    ],
)
def test_lots_are_dated(symbol: str, at: str, lot: int | None) -> None:
    assert instrument(symbol, ist(at), CALENDAR).lot == lot


@pytest.mark.parametrize(
    ("symbol", "price", "tick_e4"),
    [
        ("RELIANCE", 1300, 1000),
        ("SBIN", 850, 500),
        ("SOMESMALLCAP", 249.99, 100),
        ("SOMESMALLCAP", 250, 500),
        ("SOMESMALLCAP", 1000, 500),
        ("SOMESMALLCAP", 1000.1, 1000),
        ("SOMESMALLCAP", 5000.5, 5000),
        ("SOMESMALLCAP", 20000, 10000),
        ("SOMESMALLCAP", 20005, 50000),
        ("RELIANCE26DECFUT", 1300, 1000),
        ("NIFTY26DECFUT", 24000, 1000),
        ("BANKNIFTY26DECFUT", 52000, 2000),
        ("FINNIFTY26DECFUT", 15000, 500),
        ("NIFTY26DEC24000CE", 220, 500),
        ("NIFTY26DEC24000CE", None, 500),
        ("NIFTY", 24000.55, 100),
        ("RELIANCE", None, None),
    ],
)
def test_ticks_depend_on_kind_and_price(
    symbol: str, price: float | None, tick_e4: int | None
) -> None:
    price_e4 = None if price is None else round(price * 10_000)
    assert instrument(symbol, NOW, CALENDAR, price_e4).tick_e4 == tick_e4


@given(st.from_regex(SYMBOL, fullmatch=True), st.integers(0, 4_000_000_000_000))
def test_every_symbol_is_some_instrument(symbol: str, moment_ms: int) -> None:
    found = instrument(symbol, moment_ms, CALENDAR, 1_000_000)
    assert (found.segment == "FNO") == (found.expiry is not None)
    if found.expiry is not None:
        assert has_expired(symbol, day_start_ms(found.expiry) + 86_400_000, CALENDAR)


UNDERLYINGS = st.sampled_from(["NIFTY", "BANKNIFTY", "RELIANCE", "M&M", "360ONE", "BAJAJ-AUTO"])
DATES = st.dates(date(2026, 1, 1), date(2030, 12, 31))


@given(UNDERLYINGS, DATES, st.sampled_from(["CE", "PE"]))
def test_a_month_names_the_last_session_before_or_on_its_last_tuesday(
    underlying: str, day: date, right: str
) -> None:
    strike = 24000 if underlying.endswith("NIFTY") else 1400
    expiry = expiry_of(f"{underlying}{day:%y%b}{strike}{right}".upper(), CALENDAR)
    assert expiry is not None
    assert (expiry.year, expiry.month) == (day.year, day.month)
    assert CALENDAR.is_trading_day(expiry)
    assert expiry.weekday() in (0, 1)
    assert expiry_of(f"{underlying}{day:%y%b}FUT".upper(), CALENDAR) == expiry
    dated = f"{underlying}{expiry:%d%b%y}{strike}{right}".upper()
    assert expiry_of(dated, CALENDAR) == expiry


def test_no_stock_is_mistaken_for_a_contract() -> None:
    names = named_symbols()
    assert len(names) == len(set(names)) > 200
    assert not [name for name in names if expiry_of(name, CALENDAR)]
    for name, ending in product(names, ("26DECFUT", "29DEC26FUT")):
        assert expiry_of(name + ending, CALENDAR) is not None
