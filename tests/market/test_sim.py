"""The simulated feed's loop, under a clock that only moves when the loop sleeps."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing
from itertools import pairwise

import pytest

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.domain.quote import Quote, Tick
from vyomo_rt.market.board import Board
from vyomo_rt.market.book import Book
from vyomo_rt.market.feed import Feed
from vyomo_rt.market.feeds.sim.feed import SimFeed
from vyomo_rt.market.feeds.sim.path import PricePath
from vyomo_rt.market.feeds.sim.symbols import load_symbols
from vyomo_rt.market.wanted import Wanted

START_MS = 1_770_000_000_100
SYMBOLS = {symbol.symbol for symbol in load_symbols()}


class Night:
    """A clock and its sleep; the loop is cancelled when it was awake for long enough."""

    def __init__(self, awake_ms: int, wakes_early_ms: int = 0) -> None:
        self.now_ms = START_MS
        self.awake_ms = awake_ms
        self.wakes_early_ms = wakes_early_ms
        self.jump_at_ms: int | None = None
        self.jump_ms = 0

    def now(self) -> MarketMs:
        return MarketMs(self.now_ms)

    def jump(self, at_ms: int, by_ms: int) -> None:
        """Let the clock jump, as it does when a machine slept or its time is corrected."""
        self.jump_at_ms, self.jump_ms = at_ms, by_ms

    async def sleep(self, seconds: float) -> None:
        slept_ms = round(seconds * 1000)
        if slept_ms > self.wakes_early_ms:
            slept_ms -= self.wakes_early_ms
        self.now_ms += slept_ms
        self.awake_ms -= slept_ms
        if self.jump_at_ms is not None and self.now_ms >= self.jump_at_ms:
            self.now_ms += self.jump_ms
            self.jump_at_ms = None
        if self.awake_ms < 0:
            raise asyncio.CancelledError
        await asyncio.sleep(0)


class Tape:
    """Takes ticks and keeps them by symbol as (moment, price)."""

    def __init__(self) -> None:
        self.ticks: defaultdict[str, list[tuple[int | None, int]]] = defaultdict(list)

    def take(self, tick: Tick | Quote) -> None:
        self.ticks[tick.symbol].append((tick.as_of_ms, tick.price_e4))


def sim(night: Night) -> SimFeed:
    return SimFeed(night.now, "1", load_symbols(), night.sleep)


def board_of(night: Night, on_price: Callable[[Quote], None] = lambda _: None) -> Board:
    demand = Demand()
    book = Book("sim", 2_000, demand=demand, arrived=night.now)
    return Board([book], night.now, on_price, demand=demand)


async def run(feed: SimFeed, take: Callable[[Tick], object]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        async for tick in feed.ticks(Wanted(Demand())):
            take(tick)


@pytest.mark.parametrize("wakes_early_ms", [0, 1])
async def test_every_symbol_ticks_at_once_and_then_on_each_quarter_second(
    wakes_early_ms: int,
) -> None:
    night, tape = Night(awake_ms=60_000, wakes_early_ms=wakes_early_ms), Tape()
    feed = sim(night)
    await run(feed, tape.take)
    quarters_ms = list(range(START_MS - 100, START_MS + 60_001, 250))
    assert set(tape.ticks) == SYMBOLS
    for symbol in load_symbols():
        path = PricePath(
            "1",
            symbol.symbol,
            symbol.base_price_e4,
            symbol.tick_e4,
            symbol.annual_volatility_percent,
        )
        assert tape.ticks[symbol.symbol] == [(ms, path.price_e4(ms)) for ms in quarters_ms]


async def test_after_a_pause_it_goes_on_with_the_present_and_makes_up_for_nothing() -> None:
    night, tape = Night(awake_ms=2_000), Tape()
    night.jump(at_ms=START_MS + 1_000, by_ms=7_200_000)
    await run(sim(night), tape.take)
    moments_ms = [ms for ms, _ in tape.ticks["NIFTY"] if ms is not None]
    steps_ms = [after - before for before, after in pairwise(moments_ms)]
    assert 7 <= len(moments_ms) <= 9
    assert sorted(set(steps_ms)) == [250, 7_200_250]


async def test_a_clock_that_is_set_back_stops_nothing() -> None:
    night, tape = Night(awake_ms=2_000), Tape()
    night.jump(at_ms=START_MS + 1_000, by_ms=-3_600_000)
    board = board_of(night, tape.take)
    await run(sim(night), board.accept)
    moments_ms = [ms for ms, _ in tape.ticks["NIFTY"] if ms is not None]
    steps_ms = [after - before for before, after in pairwise(moments_ms)]
    assert sorted(set(steps_ms)) == [-3_600_000 + 250, 250]


async def test_the_loop_ticks_on_a_real_clock() -> None:
    tape = Tape()
    feed = SimFeed(lambda: MarketMs(time.time_ns() // 1_000_000), "1", load_symbols())
    async with asyncio.timeout(30), aclosing(feed.ticks(Wanted(Demand()))) as ticks:
        async for tick in ticks:
            tape.take(tick)
            if len(tape.ticks["NIFTY"]) == 3:
                break
    assert set(tape.ticks) == SYMBOLS


async def test_the_board_believes_every_simulated_tick_and_holds_it_fresh() -> None:
    night = Night(awake_ms=5_000)
    feed = sim(night)
    board = board_of(night)
    refused: list[str] = []

    def accept(tick: Tick) -> None:
        reason = board.accept(tick)
        refused.extend([reason] if reason else [])

    await run(feed, accept)
    assert refused == []
    assert len(board.quotes()) == len(SYMBOLS)
    assert not any(quote.stale for quote in board.quotes())


def test_the_simulator_knows_its_symbols_and_takes_no_prices_from_outside() -> None:
    feed: Feed = sim(Night(awake_ms=0))
    assert feed.knows("NIFTY")
    assert not feed.knows("nifty")
    assert not feed.knows("GOLD")
    assert not feed.takes_posts
