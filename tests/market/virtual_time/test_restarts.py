"""When a feed that failed is begun anew; hours of it pass in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from itertools import pairwise

from tests.market.keeping import Kept
from vyomo_rt.domain.quote import FeedState, Tick
from vyomo_rt.market.feed import Feed, FeedFailed, FeedRefused
from vyomo_rt.market.wanted import Wanted


class Source(Feed):
    """Notes when it is begun, and then does what a test says."""

    source = "source"

    def __init__(self, act: Callable[[int], Coroutine[None, None, object]]) -> None:
        self._act = act
        self.begun_s: list[float] = []

    async def ticks(self, wanted: Wanted) -> AsyncGenerator[Tick, None]:
        del wanted
        self.begun_s.append(asyncio.get_running_loop().time())
        if (price_e4 := await self._act(len(self.begun_s))) is not None:
            assert isinstance(price_e4, int)
            yield Tick("NIFTY", price_e4, None, self.source)

    @property
    def pauses_s(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.begun_s)]


async def watched_for(kept: Kept, seconds: float) -> None:
    running = asyncio.create_task(kept.supervisor.run())
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.wait([running])


async def fail(_: int) -> None:
    raise ConnectionError("the source is away")


async def test_pauses_grow_to_a_minute_and_no_two_servers_keep_step() -> None:
    one, other = Source(fail), Source(fail)
    for source in (one, other):
        await watched_for(Kept(source), 3600)
        assert 40 <= len(source.pauses_s) <= 70
        for number, pause_s in enumerate(source.pauses_s):
            least_s = min(60, 2**number)
            assert least_s <= pause_s <= 1.2 * least_s
    assert one.pauses_s != other.pauses_s


async def test_a_feed_that_worked_for_more_than_a_minute_begins_with_short_pauses_again() -> None:
    async def work_once(number: int) -> None:
        if number == 8:
            await asyncio.sleep(61)
        raise ConnectionError("the source is away")

    source = Source(work_once)
    await watched_for(Kept(source), 600)
    assert source.pauses_s[6] >= 60
    assert source.pauses_s[7] - 61 <= 1.5


async def test_a_feed_that_ticks_once_and_fails_is_no_busy_loop() -> None:
    async def tick(number: int) -> int:
        return 1000 + number

    source = Source(tick)
    kept = Kept(source)
    await watched_for(kept, 600)
    assert len(source.begun_s) < 20
    assert kept.told[:3] == [1001, 1002, 1003]


async def test_a_feed_that_ends_by_itself_is_down_and_begun_anew() -> None:
    async def end(_: int) -> None: ...

    source = Source(end)
    kept = Kept(source)
    await watched_for(kept, 600)
    assert 5 < len(source.begun_s) < 20
    status = kept.monitor.status()
    assert (status.state, status.message) == (FeedState.DOWN, "the feed source ended")


async def test_what_no_retry_helps_is_down_for_good_and_says_what_to_do() -> None:
    async def refuse(_: int) -> None:
        raise FeedRefused("the key has expired: log in again and restart the server")

    source = Source(refuse)
    kept = Kept(source)
    await asyncio.wait_for(kept.supervisor.run(), 1)
    assert len(source.begun_s) == 1
    status = kept.monitor.status()
    assert status.state is FeedState.DOWN
    assert status.message == (
        "the feed source cannot go on: the key has expired: log in again and restart the server"
    )


async def test_a_source_that_asks_for_a_pause_gets_it() -> None:
    async def limit(_: int) -> None:
        raise FeedFailed("too many requests", pause_s=300)

    source = Source(limit)
    kept = Kept(source)
    await watched_for(kept, 3600)
    assert all(300 <= pause_s <= 360 for pause_s in source.pauses_s)
    assert kept.monitor.status().message == "the feed source failed: too many requests"


async def test_a_failure_is_over_once_the_feed_rests() -> None:
    """It was begun anew and has nothing to send: no tick will ever say that all is well."""
    source = Source(fail)
    kept = Kept(source)
    await watched_for(kept, 10)
    assert kept.monitor.status().state is FeedState.DOWN
    source.resting = "the market is closed"
    kept.monitor.poll()
    assert kept.monitor.status().state is FeedState.LIVE
    source.resting = None
    assert kept.monitor.status().message == "waiting for the first tick"


async def test_changes_within_a_quarter_of_a_second_are_told_as_one() -> None:
    kept = Kept(Source(fail))
    wanted = Wanted(kept.demand)
    told: list[list[str]] = []

    async def follow() -> None:
        while True:
            await wanted.changed()
            told.append(wanted.symbols())

    following = asyncio.create_task(follow())
    for symbol in ("NIFTY", "SBIN", "TCS"):
        kept.demand.wanted([symbol])
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    assert told == [["NIFTY", "SBIN", "TCS"]]
    kept.demand.wanted(["TCS"])
    await asyncio.sleep(1)
    assert len(told) == 1, "who else wants it does not matter"
    kept.demand.released(["SBIN"])
    await asyncio.sleep(1)
    assert told[1:] == [["NIFTY", "TCS"]]
    following.cancel()
    await asyncio.wait([following])


async def test_symbols_of_open_trades_are_wanted_first() -> None:
    kept = Kept(Source(fail))
    wanted = Wanted(kept.demand)
    kept.demand.wanted(["NIFTY", "SBIN"])
    kept.demand.wanted(["TCS"], held=True)
    kept.demand.wanted(["SBIN"], held=True)
    assert wanted.symbols() == ["SBIN", "TCS", "NIFTY"]
    kept.demand.released(["SBIN"], held=True)
    assert wanted.symbols() == ["TCS", "NIFTY", "SBIN"]
