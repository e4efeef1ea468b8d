"""Bars in the store: hours of minutes, days of hours, and what is newer than both."""

from __future__ import annotations

import pytest

from vyomo_rt.domain.bars import Bar, Standing, SymbolHour, SymbolMinute
from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.domain.moment import DAY_MS, HOUR_MS, MINUTE_MS, day_of, hour_of
from vyomo_rt.store.bars import SavedBars
from vyomo_rt.store.journal import MongoStore

HOUR = hour_of(1_785_200_000_000)
DAY = day_of(HOUR)


def bars(*minutes: int, price_e4: int = 100, count: int = 1, hour_ms: int = HOUR) -> list[Bar]:
    return [
        Bar(hour_ms + minute * MINUTE_MS, price_e4, price_e4 + 9, price_e4 - 9, price_e4, count)
        for minute in minutes
    ]


async def hours_of(saved: SavedBars, symbol: str = "NIFTY") -> list[SymbolHour]:
    return [hour async for page in saved.hours(symbol, 0, 2**62) for hour in page]


async def days_of(saved: SavedBars, symbol: str = "NIFTY") -> dict[int, dict[int, Bar]]:
    return {day: hours async for page in saved.days(symbol, 0, 2**62) for day, hours in page}


async def test_the_newest_minutes_come_back_each_as_it_was_last(store: MongoStore) -> None:
    saved = SavedBars(store)
    assert await saved.load() == (0, [], [])
    first, second = bars(1, 2)
    second.is_partial = True
    await saved.save_standings([Standing("NIFTY", first, 0, is_followed=True)], 1)
    await saved.add_minutes([SymbolMinute("NIFTY", first)])
    standing = Standing("M&M", second, 900, is_followed=False)
    await saved.save_standings([standing], 2)
    assert await SavedBars(store).load() == (2, [standing], [SymbolMinute("NIFTY", first)])
    await saved.forget_minutes(HOUR)
    assert (await saved.load()).minutes
    await saved.forget_minutes(HOUR + HOUR_MS)
    assert await saved.load() == (2, [standing], [])


async def test_minutes_are_put_into_the_documents_of_their_hours_and_days(
    store: MongoStore,
) -> None:
    saved, later = SavedBars(store), HOUR + HOUR_MS
    await saved.settle([SymbolHour("NIFTY", HOUR, bars(1, 2)), SymbolHour("M&M", HOUR, bars(7))])
    await saved.settle([SymbolHour("NIFTY", later, bars(0, price_e4=300, hour_ms=later))])
    assert await hours_of(saved) == [
        ("NIFTY", HOUR, bars(1, 2)),
        ("NIFTY", later, bars(0, price_e4=300, hour_ms=later)),
    ]
    assert await days_of(saved) == {
        DAY: {HOUR: Bar(HOUR, 100, 109, 91, 100, 2), later: Bar(later, 300, 309, 291, 300, 1)}
    }
    assert await store.database["bars"].count_documents({"symbol": "M&M"}) == 1


async def test_minutes_that_are_settled_again_change_nothing_and_late_ones_are_added(
    store: MongoStore,
) -> None:
    saved = SavedBars(store)
    for minutes in (bars(1, 2, count=5), bars(1, 2, count=5), bars(2, count=4), bars(0, 2)):
        await saved.settle([SymbolHour("NIFTY", HOUR, minutes)])
    assert await hours_of(saved) == [("NIFTY", HOUR, bars(0) + bars(1, 2, count=5))]
    assert (await days_of(saved))[DAY][HOUR].count == 11


async def test_old_hours_expire_and_days_stay(store: MongoStore) -> None:
    saved = SavedBars(store)
    hours = [HOUR + number * HOUR_MS for number in range(60)]
    await saved.settle([SymbolHour("NIFTY", at, bars(3, hour_ms=at)) for at in hours])
    removals = 1
    while await saved.expire(HOUR + 2 * DAY_MS):
        removals += 1
    assert [hour.hour_ms for hour in await hours_of(saved)] == hours[48:]
    assert removals == 3
    assert sum(len(day) for day in (await days_of(saved)).values()) == 60


async def test_a_former_owner_of_the_database_overwrites_no_bars(store: MongoStore) -> None:
    saved = SavedBars(store)
    store.fence.term = 7
    await saved.save_standings([Standing("NIFTY", bars(1)[0], 0, is_followed=True)], 7)
    store.fence.term = 6
    with pytest.raises(VyomoError):
        await saved.save_standings([], 6)
    store.fence.close()
    with pytest.raises(VyomoError):
        await saved.settle([SymbolHour("NIFTY", HOUR, bars(2))])
    assert await hours_of(saved) == []
    assert (await saved.load()).saved_ms == 7
