"""GET /bars: of what is watched or held, from the segment's opening, as clients ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from vyomo_rt.domain.moment import iso, to_ms


class Clock:
    """The server's clock, set by a time in Kolkata."""

    def __init__(self) -> None:
        self.set("09:00")

    def set(self, ist: str) -> None:
        day = "2026-11-26T" if "T" not in ist else ""
        self.now_ms = to_ms(datetime.fromisoformat(f"{day}{ist}+05:30"))

    def __call__(self) -> int:
        return self.now_ms


class Watched:
    """A server whose clock is at each tick's moment, and a connection that watches symbols."""

    def __init__(self, rest: Rest, clock: Clock) -> None:
        self.rest = rest
        self.clock = clock

    async def tick(self, ist: str, price: float, symbol: str = "NIFTY", **more: Any) -> None:
        self.clock.set(ist)
        await self.rest.tick(symbol, price, **{"ts": self.clock.now_ms} | more)

    async def bars(self, interval: str, symbol: str = "NIFTY", **more: Any) -> dict[str, Any]:
        query = {"symbol": symbol, "interval": interval} | more.pop("span", {}) | more
        async with self.rest.http.get(f"{self.rest.url}{API}/bars", params=query) as response:
            assert response.status == 200, await response.text()
            document: dict[str, Any] = await response.json()
            return document

    async def starts(self, interval: str, symbol: str = "NIFTY") -> list[str]:
        """When bars start, in Kolkata."""
        bars = (await self.bars(interval, symbol))["bars"]
        ist = datetime.fromisoformat("2026-11-26T00:00+05:30").tzinfo
        moments = (datetime.fromisoformat(bar["start"]) for bar in bars)
        return [moment.astimezone(ist).strftime("%d %H:%M") for moment in moments]


@asynccontextmanager
async def watched(
    make_settings: MakeSettings, *symbols: str, **settings: Any
) -> AsyncIterator[Watched]:
    clock = Clock()
    settings = {"calendar": None, "stale_after_ms": 86_400_000} | settings
    command = {"type": "subscribe_prices", "symbols": symbols or ["NIFTY"], "id": 1}
    async with (
        serve_here(make_settings(str(settings), **settings), clock) as rest,
        rest.http.ws_connect(f"{rest.url}/ws/auto-trader") as socket,
    ):
        await socket.send_json(command)
        assert (await socket.receive_json())["type"] == "ack"
        yield Watched(rest, clock)


async def test_bars_are_made_of_what_is_watched_and_the_running_one_is_last(
    make_settings: MakeSettings,
) -> None:
    async with watched(make_settings) as server:
        for ist, price in (("09:15:01", 100), ("09:15:59", 99.5), ("09:16:02", 101.2575)):
            await server.tick(ist, price)
            await server.tick(ist, price, "BANKNIFTY")
        assert await server.bars("1m") == {
            "bars": [
                {"start": "2026-11-26T03:45:00.000Z", "open": 100, "high": 100, "low": 99.5,
                 "close": 99.5, "count": 2},
                {"start": "2026-11-26T03:46:00.000Z", "open": 101.2575, "high": 101.2575,
                 "low": 101.2575, "close": 101.2575, "count": 1},
            ],
            "next": None,
        }  # fmt: skip
        await server.tick("09:16:30", 100.5)
        (_, running) = (await server.bars("1m"))["bars"]
        assert (running["low"], running["close"], running["count"]) == (100.5, 100.5, 2)
        assert await server.bars("1m", "BANKNIFTY") == {"bars": [], "next": None}


async def test_what_is_held_has_bars_and_its_first_minute_is_partial(
    make_settings: MakeSettings,
) -> None:
    async with watched(make_settings) as server:
        await server.tick("10:00:10", 100, "BANKNIFTY")
        session_id = await server.rest.new_session()
        trade = await server.rest.open_trade(session_id)
        for ist in ("10:00:20", "10:01:20"):
            await server.tick(ist, 101, "BANKNIFTY")
        await server.rest.close_trade(trade["tradeId"])
        await server.tick("10:01:30", 102, "BANKNIFTY")
        bars = (await server.bars("1m", "BANKNIFTY"))["bars"]
        assert [(bar["count"], bar.get("partial")) for bar in bars] == [(1, True), (1, True)]
        (longer,) = (await server.bars("5m", "BANKNIFTY"))["bars"]
        assert (longer["count"], longer["partial"]) == (2, True)


async def test_longer_bars_count_from_the_opening_of_the_segment_or_else_from_midnight(
    make_settings: MakeSettings,
) -> None:
    for market_hours, hours, day in (
        (True, ["26 09:15", "26 10:15"], "26 09:15"),
        (False, ["26 09:00", "26 10:00"], "26 00:00"),
    ):
        both = ("NIFTY", "ANYTHING")
        async with watched(make_settings, *both, market_hours=market_hours) as server:
            for ist in ("09:16:00", "09:59:59", "10:16:00"):
                for symbol in both:
                    await server.tick(ist, 100 + len(ist), symbol)
            for symbol in both:  # what the data does not know is an equity
                assert await server.starts("1h", symbol) == hours
                assert await server.starts("1d", symbol) == [day]
                assert await server.starts("15m", symbol) == ["26 09:15", "26 09:45", "26 10:15"]
                assert await server.starts("5m", symbol) == ["26 09:15", "26 09:55", "26 10:15"]


async def test_outside_its_hours_a_symbol_has_no_bars(make_settings: MakeSettings) -> None:
    async with watched(make_settings, market_hours=True) as server:
        for ist in ("09:10:00", "09:15:00", "15:14:59", "15:15:00"):
            await server.tick(ist, 100)
        assert await server.starts("1m") == ["26 09:15", "26 15:14"]


async def test_a_late_price_counts_if_delayed_prices_are_traded_on(
    make_settings: MakeSettings,
) -> None:
    for trades, count in ((False, 0), (True, 1)):
        async with watched(make_settings, trade_on_delayed=trades) as server:
            server.clock.set("10:15:00")
            ts = server.clock.now_ms - 15 * 60_000
            await server.tick("10:15:00", 100 + trades, ts=ts)
            bars = (await server.bars("1m"))["bars"]
            assert [bar["start"] for bar in bars] == [iso(ts)] * count


async def test_a_span_and_a_limit_choose_bars_and_next_goes_on(
    make_settings: MakeSettings,
) -> None:
    async with watched(make_settings) as server:
        for number in range(5):
            await server.tick(f"09:2{number}:30", 100 + number)
        first = await server.bars("1m", limit=2)
        assert [bar["open"] for bar in first["bars"]] == [100, 101]
        assert first["next"] == "2026-11-26T03:52:00.000Z"
        rest = await server.bars("1m", span={"from": first["next"]})
        assert ([bar["open"] for bar in rest["bars"]], rest["next"]) == ([102, 103, 104], None)
        moment_ms = to_ms(datetime.fromisoformat(first["next"]))
        for moment in (first["next"], moment_ms, "2026-11-26T09:22+05:30"):
            one = await server.bars("1m", span={"from": moment, "to": moment})
            assert [bar["open"] for bar in one["bars"]] == [102]


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("", "symbol", "required"),
        ("symbol=NIFTY", "interval", "required"),
        ("symbol=NIFTY&interval=2m", "interval", "expected 1m, 5m, 15m, 1h or 1d, got '2m'"),
        ("symbol=!&interval=1m", "symbol", "not valid"),
        ("symbol=NIFTY&interval=1m&from=2026-11-26", "from", "ISO 8601 with a zone"),
        ("symbol=NIFTY&interval=1m&to=1700000000", "to", "looks like seconds"),
        ("symbol=NIFTY&interval=1m&limit=1501", "limit", "1500"),
        ("symbol=NIFTY&interval=1m&after=1", "after", "unknown"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_with_the_parameter(
    shared_server: Rest, query: str, field: str, words: str
) -> None:
    status, problem = await shared_server.call("GET", f"/bars?{query}")
    assert (status, problem["code"], problem["field"]) == (400, "bad_request", field)
    assert words in problem["detail"]


async def test_a_symbol_that_the_feed_does_not_have_is_not_found(
    make_settings: MakeSettings,
) -> None:
    async with serve_here(make_settings(feed=("sim",))) as rest:
        status, problem = await rest.call("GET", "/bars?symbol=NO SUCH&interval=1m")
        assert (status, problem["code"], problem["field"]) == (404, "not_found", "symbol")
        status, document = await rest.call("GET", "/bars?symbol=NIFTY&interval=1d")
        assert (status, document) == (200, {"bars": [], "next": None})
