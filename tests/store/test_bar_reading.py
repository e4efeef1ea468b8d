"""Bars are the same wherever they are at the moment: in memory, in hours or in days."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.kit.bars import made_of
from vyomo_rt.domain.bars import Bar, Interval, starts
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import DAY_MS, MINUTE_MS, MarketMs, day_of
from vyomo_rt.domain.quote import Quote
from vyomo_rt.market.bar_keeping import BarKeeper
from vyomo_rt.market.bar_reading import BarReader, Span
from vyomo_rt.market.bars import Bars
from vyomo_rt.store.bars import SavedBars
from vyomo_rt.store.client import connect
from vyomo_rt.store.journal import MongoStore

if TYPE_CHECKING:
    from tests.store.conftest import OpenClient


@pytest.fixture
def open_client() -> OpenClient:
    """One driver is enough: this is not about the driver."""
    return connect


START_MS = day_of(1_785_200_000_000) + 22 * 60 * MINUTE_MS
EVER = Span(0, 2**50)
MOST = 1_000_000


def opening(_: str, moment_ms: int) -> int:
    return day_of(moment_ms) + (9 * 60 + 15) * MINUTE_MS


class Recorder:
    """What makes bars in a server, with a clock that is set by hand."""

    def __init__(self, store: MongoStore, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms
        self.demand = Demand()
        self.demand.wanted(["NIFTY"])
        self.bars = Bars(self.demand, self.now, is_open=lambda *_: True, most=500)
        kept = SavedBars(store)
        self.keeper = BarKeeper(self.bars, kept, self.now)
        self.reader = BarReader(self.bars, kept, opening)

    def now(self) -> MarketMs:
        return MarketMs(self.now_ms)

    def tick(self, moment_ms: int, price_e4: int) -> None:
        self.now_ms = moment_ms
        self.bars.on_quote(Quote("NIFTY", price_e4, moment_ms, "ingest", stale=False))

    async def keep(self) -> None:
        await self.keeper.save()
        await self.keeper.settle()

    async def read(self, interval: Interval) -> list[Bar]:
        bars, following = await self.reader.read("NIFTY", interval, EVER, MOST)
        assert following is None
        return bars


def ticks(seed: int, hours: int) -> list[tuple[int, int]]:
    """A price every two minutes, more or less, each with a moment of its own."""
    dice = Random(seed)
    moments = sorted(dice.sample(range(hours * 3600), hours * 30))
    return [(START_MS + second * 1000, 1_000_000 + dice.randrange(1000)) for second in moments]


async def test_bars_of_any_interval_are_those_of_the_prices_wherever_they_are(
    store: MongoStore,
) -> None:
    recorder = Recorder(store)
    await recorder.keeper.restore()
    dice, told = Random(1), ticks(seed=1, hours=30)
    for number, tick in enumerate(told):
        recorder.tick(*tick)
        if not dice.randrange(20):
            await recorder.keep()
        if number in (10, 100, 500, len(told) - 1):
            for interval in Interval:
                start_of = starts(interval, lambda moment_ms: opening("", moment_ms))
                direct = made_of(told[: number + 1], start_of)
                assert await recorder.read(interval) == direct, (number, interval)


async def test_a_restart_loses_nothing_that_was_saved_and_is_seen(store: MongoStore) -> None:
    recorder = Recorder(store)
    await recorder.keeper.restore()
    told = ticks(seed=2, hours=3)
    half = len(told) // 2
    for tick in told[:half]:
        recorder.tick(*tick)
        if not recorder.now_ms % 13_000:
            await recorder.keep()
    await recorder.keeper.save()
    again = Recorder(store, recorder.now_ms)
    await again.keeper.restore()
    for tick in told[half:]:
        again.tick(*tick)
    await again.keep()
    minutes = await again.read(Interval.MINUTE)
    direct = made_of(told, starts(Interval.MINUTE, day_of))
    assert [(bar.start_ms, bar.close_e4, bar.count) for bar in minutes] == [
        (bar.start_ms, bar.close_e4, bar.count) for bar in direct
    ]
    (day,) = [bar for bar in await again.read(Interval.DAY) if bar.is_partial]
    assert day.start_ms == opening("", told[half][0])


async def test_pages_follow_each_other_and_a_span_includes_both_its_ends(
    store: MongoStore,
) -> None:
    recorder = Recorder(store)
    await recorder.keeper.restore()
    for tick in ticks(seed=3, hours=6):
        recorder.tick(*tick)
    await recorder.keep()
    for interval in (Interval.MINUTE, Interval.QUARTER_HOUR, Interval.DAY):
        whole = await recorder.read(interval)
        paged: list[Bar] = []
        following: int | None = 0
        while following is not None:
            page, following = await recorder.reader.read(
                "NIFTY", interval, Span(following, EVER.last_ms), 7
            )
            assert len(page) == 7 or following is None
            paged += page
        assert paged == whole
        first, *_, last = (bar.start_ms for bar in whole)
        for span, expected in (
            (Span(first, last), whole),
            (Span(first + 1, last - 1), whole[1:-1]),
            (Span(last + 1, EVER.last_ms), []),
        ):
            assert await recorder.reader.read("NIFTY", interval, span, MOST) == (expected, None)


async def test_minutes_are_kept_for_thirty_days_and_days_for_ever(store: MongoStore) -> None:
    recorder = Recorder(store)
    await recorder.keeper.restore()
    for day in range(34):
        recorder.tick(START_MS + day * DAY_MS, 100 + day)
        await recorder.keep()
    await recorder.keep()
    minutes, days = await recorder.read(Interval.MINUTE), await recorder.read(Interval.DAY)
    assert [bar.open_e4 for bar in days] == list(range(100, 134))
    assert [bar.open_e4 for bar in minutes] == list(range(103, 134))


async def test_another_node_that_has_followed_goes_on_without_a_loss_or_a_minute_twice(
    store: MongoStore,
) -> None:
    first, second = Recorder(store), Recorder(store)
    for recorder in (first, second):
        await recorder.keeper.restore()
    told = ticks(seed=3, hours=5)
    half = len(told) // 2
    for number, tick in enumerate(told):
        keeps, follows = (first, second) if number < half else (second, first)
        for recorder in (first, second):
            recorder.tick(*tick)
        await keeps.keep()
        follows.keeper.follow()
    for interval in Interval:
        start_of = starts(interval, lambda moment_ms: opening("", moment_ms))
        for recorder in (first, second):
            assert await recorder.read(interval) == made_of(told, start_of), interval
    held = sum(len(hour.bars) for hour in first.bars.hours_before(first.now_ms))
    assert held <= 2 * 60, "what is settled is not held"
