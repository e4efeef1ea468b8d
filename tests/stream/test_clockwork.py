"""What comes round by itself, and what is known of a process that stood still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.stream.virtual import VirtualLoop, turns
from vyomo_rt.clockwork import Clockwork
from vyomo_rt.domain.moment import MarketMs

START_MS = 1_790_000_000_000


def market_now() -> MarketMs:
    return MarketMs(START_MS + round(asyncio.get_running_loop().time() * 1000))


@asynccontextmanager
async def running(clock: Clockwork) -> AsyncIterator[VirtualLoop]:
    task = asyncio.create_task(clock.run())
    await turns(2)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    yield loop
    assert not task.done(), "the clock stopped"
    task.cancel()
    await asyncio.wait([task])


async def test_a_row_that_fails_is_tried_again_at_each_turn_and_told_once_until_it_succeeds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    calls: list[str] = []

    def fail() -> None:
        calls.append("failing")
        if len(calls) in {5, 6}:
            raise KeyError(len(calls))
        if len(calls) != 10:
            raise ValueError(f"a text that differs each time: {len(calls)}")

    def other() -> None:
        calls_of_other.append(1)

    calls_of_other: list[int] = []
    clock = Clockwork(market_now)
    clock.add("the failing one", 100, fail)
    clock.add("the other", 100, other)
    async with running(clock):
        await asyncio.sleep(1.25)
    assert len(calls) == len(calls_of_other) == 12
    told = [record.getMessage().removeprefix("the failing one ") for record in caplog.records]
    failed = "failed; it is tried again"
    assert told == [failed, failed, failed, "succeeds again", failed]


async def test_a_row_that_takes_long_holds_up_no_other_and_its_missed_turns_become_one() -> None:
    clock = Clockwork(market_now)
    slow, quick = [], []

    async def wait() -> None:
        slow.append(1)
        await asyncio.sleep(0.35)

    clock.add("slow", 100, wait)
    clock.add("quick", 100, lambda: quick.append(1))
    async with running(clock):
        await asyncio.sleep(2.05)
    assert len(quick) == 20
    assert len(slow) == 6


async def test_after_a_standstill_each_row_comes_once_and_not_for_every_turn_it_missed() -> None:
    clock = Clockwork(market_now)
    calls: list[int] = []
    clock.add("row", 100, lambda: calls.append(1))
    async with running(clock) as loop:
        loop.now_s += 60
        await asyncio.sleep(0.01)
        assert len(calls) == 1


@pytest.mark.parametrize("ticks_between", [0, 30])
async def test_its_time_stands_still_while_the_process_does_also_before_the_clock_has_ticked(
    ticks_between: int,
) -> None:
    clock = Clockwork(market_now)
    before_s = clock.time_s()
    async with running(clock) as loop:
        await asyncio.sleep(5)
        assert clock.time_s() - before_s == pytest.approx(5)
        for _ in range(3):
            asleep_s = clock.time_s()
            loop.now_s += 600
            await turns(ticks_between)
            assert 0 <= clock.time_s() - asleep_s < 0.7
            await asyncio.sleep(1)
            assert 1 <= clock.time_s() - asleep_s < 1.7


async def test_a_loop_that_is_only_busy_has_not_stood_still() -> None:
    clock = Clockwork(market_now)
    async with running(clock) as loop:
        before_s = clock.time_s()
        for _ in range(10):
            loop.now_s += 0.4
            assert clock.last_on_time_ms == market_now()
            await turns(5)
        assert clock.time_s() - before_s == pytest.approx(4)


async def test_what_is_read_after_a_standstill_may_be_older_until_the_clock_is_on_time() -> None:
    clock = Clockwork(market_now)
    async with running(clock) as loop:
        await asyncio.sleep(3)
        assert clock.last_on_time_ms == market_now()
        asleep_ms = market_now()
        loop.now_s += 20
        assert asleep_ms - 100 <= clock.last_on_time_ms <= asleep_ms
        await turns(10)
        assert asleep_ms - 100 <= clock.last_on_time_ms <= asleep_ms, "it still reads"
        await asyncio.sleep(0.3)
        assert clock.last_on_time_ms == market_now()


def test_it_ticks_ten_times_a_second_and_not_more() -> None:
    """On the real clock of the loop that users run, whose time is cut to milliseconds."""
    uvloop = pytest.importorskip("uvloop")

    async def ticks() -> float:
        clock = Clockwork(lambda: MarketMs(0))
        task = asyncio.create_task(clock.run())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        [metric] = clock.lag.collect()
        return next(s.value for s in metric.samples if s.name.endswith("_count"))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert 1 <= runner.run(ticks()) <= 12


async def test_a_callback_that_blocks_the_loop_counts_as_a_standstill_at_once() -> None:
    """uvloop reads the time once a turn: it would not show before the next one."""
    now_ms = 1000
    clock = Clockwork(lambda: MarketMs(now_ms))
    task = asyncio.create_task(clock.run())
    await turns(3)
    time.sleep(0.8)  # noqa: ASYNC251 (that is what is tested)
    now_ms = 1800
    assert clock.last_on_time_ms == 1000
    task.cancel()
    await asyncio.wait([task])
