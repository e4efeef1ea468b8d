"""``vyomo-rt serve --feed yahoo``, from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from msgspec import structs

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching
from tests.kit.waiting import until
from tests.market.feeds.running import OPEN_MS
from tests.market.feeds.serving import serving
from tests.market.feeds.yahoo import FAST, MockYahoo
from vyomo_rt.config import Settings, load
from vyomo_rt.market.feeds.yahoo.feed import YahooFeed

Configure = Callable[..., Settings]


@pytest.fixture
async def mock(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MockYahoo]:
    monkeypatch.setattr(YahooFeed, "pace", FAST)
    mock = MockYahoo(OPEN_MS - 5000)
    async with serving(mock):
        yield mock


@pytest.fixture
def on_yahoo(make_settings: MakeSettings, mock: MockYahoo) -> Configure:
    return lambda **more: make_settings(feed=("yahoo",), yahoo_url=mock.url, **more)


def at_eleven() -> int:
    return OPEN_MS


async def price_of(server: Rest, symbol: str) -> dict[str, object]:
    """A price that somebody watches; it comes with the next poll."""

    async def known() -> dict[str, object] | None:
        _, answer = await server.call("GET", f"/prices?symbols={symbol}")
        return answer["prices"][0] if answer["prices"] else None

    return await until(known)  # type: ignore[no-any-return]


async def test_a_watched_symbol_moves_and_says_where_its_price_is_from(
    on_yahoo: Configure, mock: MockYahoo
) -> None:
    async with (
        serve_here(on_yahoo(), now=at_eleven) as server,
        watching("ws", server.url, symbols=["NIFTY"]) as watcher,
    ):
        price = (await watcher.next("price_update"))["data"]
        assert price["price"] == 24190.05
        assert (price["source"], price["stale"]) == ("yahoo", False)
        assert price["asOf"] == "2026-11-25T05:29:55.000Z"
        mock.rows["^NSEI"]["close"][-1] = 24195.5
        while (await watcher.next("price_update"))["data"]["price"] != 24195.5:
            pass
        status, problem = await server.call("POST", "/ticks", {"symbol": "NIFTY", "price": 1})
        assert status == 409
        assert "--feed ingest" in problem["detail"]


async def test_whoever_comes_later_hears_as_well_of_symbols_without_a_price(
    on_yahoo: Configure,
) -> None:
    names = "1 symbol gets no price: TYPO"
    async with (
        serve_here(on_yahoo(), now=at_eleven) as server,
        watching("ws", server.url, symbols=["NIFTY", "TYPO"]) as first,
    ):
        while names not in (await first.next("feed_status"))["data"]["message"]:
            pass
        async with watching("sse", server.url, symbols=["TYPO"]) as second:
            feed = (await second.next("feed_status"))["data"]
            assert (feed["state"], names in feed["message"]) == ("LIVE", True)


async def test_stops_wait_for_prices_that_are_late_unless_that_is_allowed(
    on_yahoo: Configure, mock: MockYahoo
) -> None:
    """The trade was opened on pushed prices, with which these share a database."""
    mock.at_ms -= 900_000
    async with serve_here(structs.replace(on_yahoo(), feed=("ingest",))) as server:
        session_id = await server.new_session()
        order = {"symbol": "TCS", "entryPrice": 3400, "stopLoss": 3350}
        trade = await server.open_trade(session_id, **order)
    async with serve_here(on_yahoo(), now=at_eleven) as server:
        assert (await price_of(server, "TCS"))["stale"]
        assert mock.asked[-1] == ["TCS.NS"], "what is held is asked for, though nobody watches"
        _, document = await server.call("GET", f"/trades/{trade['tradeId']}")
        assert document["status"] == "OPEN"
        async with watching("sse", server.url, symbols=["TCS"]) as watcher:
            feed = (await watcher.next("feed_status"))["data"]
            assert feed["state"] == "DEGRADED"
            assert feed["message"].startswith("prices are 16 minutes late: stops wait")
    async with serve_here(on_yahoo(trade_on_delayed=True), now=at_eleven) as server:
        closed = await server.closed(trade["tradeId"])
        assert (closed["exitReason"], closed["exitPrice"]) == ("SL", 3300.1)


async def test_after_the_close_nothing_triggers_not_even_late_prices_that_may(
    on_yahoo: Configure, mock: MockYahoo
) -> None:
    """Also of a stock that the data on instruments does not name."""
    mock.rows["UNNAMED.NS"] = mock.rows["TCS.NS"]
    async with serve_here(structs.replace(on_yahoo(), feed=("ingest",))) as server:
        session_id = await server.new_session()
        order = {"symbol": "UNNAMED", "entryPrice": 3400, "stopLoss": 3350}
        trade = await server.open_trade(session_id, **order)
    evening_ms = OPEN_MS + 10 * 3_600_000
    allowed = on_yahoo(trade_on_delayed=True)
    async with serve_here(allowed, now=lambda: evening_ms) as server:
        assert (await price_of(server, "UNNAMED"))["stale"]
        _, document = await server.call("GET", f"/trades/{trade['tradeId']}")
        assert document["status"] == "OPEN"
        async with server.http.get(f"{server.url}/readyz") as answer:
            feed = (await answer.json())["feed"]
        assert feed["state"] == "LIVE"
        assert feed["message"] == "outside market hours: the last prices stand"


async def test_simulated_prices_never_see_the_trades_of_real_ones(
    on_yahoo: Configure, mock: MockYahoo
) -> None:
    assert mock.asked == []
    async with serve_here(on_yahoo(), now=at_eleven) as server:
        await server.new_session()
    async with serve_here(structs.replace(on_yahoo(), feed=("sim",)), now=at_eleven) as server:
        _, answer = await server.call("GET", "/sessions")
        assert answer["sessions"] == []


async def test_a_contract_that_yahoo_has_no_price_of_is_refused(on_yahoo: Configure) -> None:
    async with serve_here(on_yahoo(), now=at_eleven) as server:
        session_id = await server.new_session()
        order = {"symbol": "NIFTY24NOV2624000CE", "quantity": 1, "entryPrice": 100}
        status, problem = await server.call("POST", f"/sessions/{session_id}/trades", order)
        assert (status, problem["field"]) == (400, "symbol")


def test_the_address_of_a_gateway_may_have_a_path_and_no_password() -> None:
    def read(text: str) -> str:
        return load({}, {"VYOMO_RT_YAHOO_URL": text})[0].yahoo_url

    assert read("https://gate.example/yahoo/") == "https://gate.example/yahoo"
    for text in ("gate.example", "ftp://gate.example", "http://", "http://u:secret@gate.example"):
        with pytest.raises(Exception, match="VYOMO_RT_YAHOO_URL: ") as refusal:
            read(text)
        assert "secret" not in str(refusal.value)
