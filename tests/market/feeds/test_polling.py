"""Who is asked for, when, and how often."""

from __future__ import annotations

import asyncio

from aiohttp import web

from tests.kit.waiting import until
from tests.market.feeds.running import OPEN_MS
from tests.market.feeds.yahoo import FAST, asked_more, polling
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feeds.fetching import Pace
from vyomo_rt.market.feeds.schedule import Schedule
from vyomo_rt.market.feeds.yahoo.feed import MAX_BATCH, YahooFeed

MINUTE_MS = 60_000
CLOSE_MS = OPEN_MS + 270 * MINUTE_MS
"""15:30 in India."""


def many(count: int) -> list[str]:
    return [f"S{number:03}" for number in range(count)]


class Turns:
    """A schedule at a moment that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = OPEN_MS
        self.schedule = Schedule(
            Calendar.shipped(), lambda: MarketMs(self.now_ms), YahooFeed.delay_ms
        )

    def take(self, found: set[str] | None = None) -> list[str]:
        batch = self.schedule.due()[:MAX_BATCH]
        self.schedule.take(batch)
        self.schedule.note(batch, batch if found is None else found)
        return batch


def test_all_symbols_get_their_turn_twenty_at_a_time() -> None:
    turns = Turns()
    symbols = many(50)
    turns.schedule.keep(symbols)
    batches = [turns.take() for _ in range(5)]
    assert [len(batch) for batch in batches] == [20] * 5
    assert batches[0] + batches[1] + batches[2][:10] == symbols
    assert {symbol for batch in batches for symbol in batch} == set(symbols)


def test_a_new_symbol_comes_next_and_one_that_is_unknown_later_than_others() -> None:
    turns = Turns()
    symbols = many(40)
    turns.schedule.keep(symbols)
    turns.take(found=set(symbols[1:]))
    turns.take()
    turns.schedule.keep([*symbols, "NEW"])
    assert turns.take()[0] == "NEW"
    taken = [turns.take() for _ in range(10)]
    assert sum("S000" in batch for batch in taken) < sum("S001" in batch for batch in taken)


def test_a_symbol_that_was_known_keeps_its_turn_while_answers_lack_it() -> None:
    turns = Turns()
    symbols = many(40)
    turns.schedule.keep(symbols)
    turns.take()
    turns.take()
    assert turns.take(found=set(symbols[1:])) == symbols[:20]
    assert turns.schedule.absent() == ["S000"]
    turns.take()
    assert turns.take() == symbols[:20]
    assert turns.schedule.absent() == []


def test_after_its_close_a_symbol_is_asked_for_until_late_news_have_come_and_once_more() -> None:
    turns = Turns()
    turns.schedule.keep(["NIFTY"])
    turns.now_ms = CLOSE_MS + 15 * MINUTE_MS
    assert turns.take() == ["NIFTY"]
    assert not turns.schedule.is_any_open()
    turns.now_ms = CLOSE_MS + 60 * MINUTE_MS
    assert turns.take() == ["NIFTY"]
    assert turns.take() == []
    turns.now_ms = OPEN_MS + 24 * 60 * MINUTE_MS
    assert turns.take() == ["NIFTY"]


def test_the_last_poll_is_made_again_until_it_is_answered() -> None:
    turns = Turns()
    turns.now_ms = CLOSE_MS + 60 * MINUTE_MS
    turns.schedule.keep(["NIFTY"])
    assert turns.schedule.due() == ["NIFTY"]
    assert turns.take() == ["NIFTY"]
    assert turns.take() == []


def test_the_real_pace_is_one_request_in_five_seconds() -> None:
    assert YahooFeed.pace == Pace(5.1, 5.0, 10.0, (60, 120, 240, 300))
    assert YahooFeed.max_symbols / MAX_BATCH * YahooFeed.pace.least_s <= 60


async def test_one_poll_serves_all_clients_and_no_request_comes_too_early() -> None:
    every_s = 0.05
    async with polling(*["NIFTY"] * 50, "TCS", pace=FAST._replace(least_s=every_s)) as polled:
        polled.demand.wanted(["NIFTY"])
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        await asked_more(polled.mock, 11)
        assert loop.time() - begun_s >= 9 * every_s
        assert all(sorted(names) == ["TCS.NS", "^NSEI"] for names in polled.mock.asked)
        assert polled.mock.most_at_once == 1


async def test_the_pace_holds_after_failures_as_well() -> None:
    every_s = 0.1
    async with polling("NIFTY", pace=FAST._replace(least_s=every_s)) as polled:
        polled.mock.fails_with(500)
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        await asked_more(polled.mock, 6)
        assert loop.time() - begun_s >= 4 * every_s


async def test_an_address_that_has_moved_is_followed_at_the_same_pace() -> None:
    every_s = 0.1
    async with polling("NIFTY", pace=FAST._replace(least_s=every_s)) as polled:
        mock, hops = polled.mock, 1

        async def moved(request: web.Request) -> web.StreamResponse:
            if request.path.count("/moved") < hops:
                raise web.HTTPFound(f"/moved{request.path_qs}")
            return mock.respond(request.clone(rel_url="/v8/finance/spark?symbols=^NSEI"))

        mock.fault = moved
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        await polled.priced("NIFTY", 241_900_500)
        await asked_more(mock, 4)
        assert loop.time() - begun_s >= 4 * every_s
        assert not polled.feed.unserved
        hops = 3
        await polled.becomes(FeedState.DOWN, "sends from one address to the next")


async def test_of_more_than_200_symbols_those_of_open_trades_are_served_and_others_told() -> None:
    symbols = many(YahooFeed.max_symbols + 5)
    async with polling() as polled:
        for name in (f"{symbol}.NS" for symbol in (*symbols, "TCS")):
            polled.mock.rows[name] = polled.mock.rows["^NSEI"]
        polled.demand.wanted(symbols)
        polled.demand.wanted(["TCS"], held=True)
        told = await polled.becomes(FeedState.LIVE, "6 symbols get no price: S199, S200")
        assert told.endswith(", …")
        await until(lambda: len(polled.board) == YahooFeed.max_symbols)
        assert polled.mock.asked[0][-1] == "TCS.NS"
        assert max(map(len, polled.mock.asked)) == MAX_BATCH


async def test_what_yahoo_has_no_prices_of_is_told_and_not_asked_for() -> None:
    option = "NIFTY24NOV2624000CE"
    async with polling("NIFTY", option) as polled:
        assert not polled.feed.knows(option)
        await polled.becomes(FeedState.LIVE, f"1 symbol gets no price: {option}")
        assert polled.mock.asked[0] == ["^NSEI"]


async def test_nothing_is_asked_for_while_nobody_wants_anything() -> None:
    async with polling() as polled:
        await polled.becomes(FeedState.LIVE, "nobody watches or holds anything")
        assert polled.mock.asked == []
        polled.demand.wanted(["TCS"])
        await polled.priced("TCS", 33_001_000)


async def test_while_the_market_is_closed_there_is_one_poll_and_the_feed_is_live() -> None:
    async with polling("NIFTY", late_s=9000, now_ms=CLOSE_MS + 150 * MINUTE_MS) as polled:
        await polled.becomes(FeedState.LIVE, "outside market hours")
        assert len(polled.mock.asked) == 1
        assert polled.confirmed().stale
        polled.demand.wanted(["TCS"])
        await polled.priced("TCS", 33_001_000)
        assert polled.mock.asked[1:] == [["TCS.NS"]]
