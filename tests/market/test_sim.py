"""The simulated feed's loop, under a clock that only moves when the loop sleeps."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

import pytest

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.domain.quote import FeedState, Quote
from vyomo_rt.market.book import PriceBook
from vyomo_rt.market.feed import Accept, Feed, FeedMonitor
from vyomo_rt.market.path import PricePath
from vyomo_rt.market.sim import SimFeed
from vyomo_rt.market.symbols import load_symbols

START_MS = 1_770_000_000_100


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

    def accept(self, symbol: str, price_e4: int, as_of_ms: int | None) -> str | None:
        self.ticks[symbol].append((as_of_ms, price_e4))
        return None

    def heard(self, quote: Quote) -> None:
        self.accept(quote.symbol, quote.price_e4, quote.as_of_ms)


def sim(night: Night) -> SimFeed:
    return SimFeed(night.now, "1", load_symbols(), night.sleep)


def book_of(night: Night, on_price: Callable[[Quote], None] = lambda _: None) -> PriceBook:
    return PriceBook(night.now, "sim", 2_000, on_price, demand=Demand(), arrived=night.now)


async def run(feed: Feed, accept: Accept) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await feed.run(accept)


@pytest.mark.parametrize("wakes_early_ms", [0, 1])
async def test_every_symbol_ticks_at_once_and_then_on_each_quarter_second(
    wakes_early_ms: int,
) -> None:
    night, tape = Night(awake_ms=60_000, wakes_early_ms=wakes_early_ms), Tape()
    feed = sim(night)
    await run(feed, tape.accept)
    quarters_ms = list(range(START_MS - 100, START_MS + 60_001, 250))
    assert set(tape.ticks) == set(feed.symbols)
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
    await run(sim(night), tape.accept)
    moments_ms = [ms for ms, _ in tape.ticks["NIFTY"] if ms is not None]
    steps_ms = [after - before for before, after in pairwise(moments_ms)]
    assert 7 <= len(moments_ms) <= 9
    assert sorted(set(steps_ms)) == [250, 7_200_250]


async def test_a_clock_that_is_set_back_stops_nothing() -> None:
    night, tape = Night(awake_ms=2_000), Tape()
    night.jump(at_ms=START_MS + 1_000, by_ms=-3_600_000)
    book = book_of(night, tape.heard)
    await run(sim(night), book.accept)
    moments_ms = [ms for ms, _ in tape.ticks["NIFTY"] if ms is not None]
    steps_ms = [after - before for before, after in pairwise(moments_ms)]
    assert sorted(set(steps_ms)) == [-3_600_000 + 250, 250]


async def test_the_loop_ticks_on_a_real_clock() -> None:
    ticked_twice = asyncio.Event()
    tape = Tape()

    def accept(symbol: str, price_e4: int, as_of_ms: int | None) -> str | None:
        if len(tape.ticks["NIFTY"]) == 2:
            ticked_twice.set()
        return tape.accept(symbol, price_e4, as_of_ms)

    feed = SimFeed(lambda: MarketMs(time.time_ns() // 1_000_000), "1", load_symbols())
    loop = asyncio.create_task(feed.run(accept))
    await asyncio.wait_for(ticked_twice.wait(), timeout=30)
    loop.cancel()
    assert set(tape.ticks) == set(feed.symbols)


async def test_the_book_believes_every_simulated_tick_and_holds_it_fresh() -> None:
    night = Night(awake_ms=5_000)
    feed = sim(night)
    book = book_of(night)
    refused: list[str] = []

    def accept(symbol: str, price_e4: int, as_of_ms: int | None) -> str | None:
        reason = book.accept(symbol, price_e4, as_of_ms)
        refused.extend([reason] if reason else [])
        return reason

    await run(feed, accept)
    assert refused == []
    assert len(book.quotes()) == len(feed.symbols)
    assert not any(quote.stale for quote in book.quotes())


async def test_a_simulator_whose_loop_fails_is_down_until_it_runs_again() -> None:
    night = Night(awake_ms=1_000)
    feed = sim(night)
    book = book_of(night)
    monitor = FeedMonitor(feed, book, night.now)

    def fail(_symbol: str, _price_e4: int, _as_of_ms: int | None) -> str | None:
        raise RuntimeError("the desk is on fire")

    with pytest.raises(RuntimeError):
        await feed.run(fail)
    status = monitor.poll()
    assert status is not None
    assert status.state is FeedState.DOWN
    assert "the desk is on fire" in status.message
    await run(feed, book.accept)
    assert (monitor.poll() or status).state is FeedState.LIVE


def test_the_simulator_knows_its_symbols_and_takes_no_prices_from_outside() -> None:
    feed: Feed = sim(Night(awake_ms=0))
    assert feed.knows("NIFTY")
    assert not feed.knows("nifty")
    assert not feed.knows("GOLD")
    assert not feed.takes_posts
