"""OpenAlgo's words, and its key."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.kit.waiting import until
from tests.market.feeds.openalgo import MockOpenAlgo
from tests.market.feeds.running import OPEN_MS, running
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feed import FeedContext
from vyomo_rt.market.feeds.openalgo import feed as feed_module
from vyomo_rt.market.feeds.openalgo.feed import OpenAlgoFeed

DOWN = FeedState.DOWN
SUBSCRIPTION = {"action": "subscribe", "mode": 1, "depth": 5}


def mock_openalgo() -> MockOpenAlgo:
    return MockOpenAlgo(OPEN_MS - 5000)


def feed(**settings: Any) -> OpenAlgoFeed:
    made = Settings(**{"openalgo_api_key": "k"} | settings)
    return OpenAlgoFeed.made_for(FeedContext(made, lambda: MarketMs(0), Calendar.shipped()))


async def test_the_key_is_confirmed_first_and_then_what_is_wanted_is_followed() -> None:
    mock = mock_openalgo()
    async with running(mock, "NIFTY") as market:
        await market.priced("NIFTY", 241_900_500)
        assert mock.messages == [
            {"action": "authenticate", "api_key": "the-key"},
            {**SUBSCRIPTION, "symbol": "NIFTY", "exchange": "NSE_INDEX"},
        ]
        mock.messages.clear()
        market.demand.wanted(["TCS"])
        market.demand.released(["NIFTY"])
        await market.priced("TCS", 33_001_000)
        assert mock.messages == [
            {"action": "unsubscribe", "symbol": "NIFTY", "exchange": "NSE_INDEX", "mode": 1},
            {**SUBSCRIPTION, "symbol": "TCS", "exchange": "NSE"},
        ]


@pytest.mark.parametrize(
    ("symbol", "key"),
    [
        ("NIFTY", "NSE_INDEX:NIFTY"),
        ("SENSEX", "BSE_INDEX:SENSEX"),
        ("M&M", "NSE:M&M"),
        ("NIFTY24NOV2624000CE", "NFO:NIFTY24NOV2624000CE"),
        ("SENSEX26NOV2680000CE", "BFO:SENSEX26NOV2680000CE"),
        ("RELIANCE24NOV26FUT", "NFO:RELIANCE24NOV26FUT"),
        ("NIFTY BANK", None),
    ],
)
def test_symbols_have_exchanges(symbol: str, key: str | None) -> None:
    assert feed().key(symbol) == key


async def test_a_thousand_symbols_are_served_and_more_are_told() -> None:
    mock = mock_openalgo()
    mock.prices = {}
    symbols = [f"S{number:04}" for number in range(OpenAlgoFeed.max_symbols + 2)]
    async with running(mock, *symbols) as market:
        await until(lambda: len(mock.messages) == 1 + OpenAlgoFeed.max_symbols)
        assert market.feed.unserved[:2] == ["S1000", "S1001"]


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": "error", "code": "AUTHENTICATION_ERROR", "message": "Invalid API key"},
        {"type": "auth", "status": "error", "message": "Authentication failed"},
        {"type": "error", "message": "Invalid API key"},
        {"type": "error", "message": f"Invalid API key {MockOpenAlgo.key}"},
        4401,
        1008,
    ],
    ids=str,
)
async def test_a_key_that_is_refused_ends_the_feed_and_the_message_says_what_to_do(
    refusal: dict[str, str] | int, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(MockOpenAlgo):
        async def on_message(self, socket: Any, message: dict[str, Any]) -> None:
            del message
            if isinstance(refusal, int):
                await socket.close(code=refusal)
            else:
                await self.send(socket, json.dumps(refusal))

    mock = Refusing(OPEN_MS)
    async with running(mock, "NIFTY") as market:
        told = await market.becomes(DOWN, "OpenAlgo refuses the key")
        assert "put the API key that its page shows into VYOMO_RT_OPENALGO_API_KEY" in told
        await until(market.task.done)
        assert mock.connections == 1
        assert mock.key not in told + caplog.text


async def test_a_broker_that_lets_openalgo_not_in_is_tried_again() -> None:
    class LoggedOut(MockOpenAlgo):
        is_out = True

        async def on_message(self, socket: Any, message: dict[str, Any]) -> None:
            if self.is_out:
                error = {"status": "error", "code": "BROKER_INIT_ERROR", "message": "no session"}
                await self.send(socket, json.dumps(error))
            else:
                await super().on_message(socket, message)

    mock = LoggedOut(OPEN_MS - 5000)
    async with running(mock, "NIFTY") as market:
        words = "OpenAlgo is not logged in to its broker: BROKER_INIT_ERROR, no session"
        await market.becomes(DOWN, words)
        mock.is_out = False
        await market.priced("NIFTY", 241_900_500)


async def test_a_key_that_is_never_confirmed_is_tried_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(MockOpenAlgo):
        async def on_message(self, socket: Any, message: dict[str, Any]) -> None:
            self.known.add(socket)
            if message["action"] != "authenticate":
                await super().on_message(socket, message)

    monkeypatch.setattr(feed_module, "_CONFIRMED_WITHIN_S", 0.1)
    async with running(Silent(OPEN_MS - 5000), "NIFTY") as market:
        await market.priced("NIFTY", 241_900_500)


@pytest.mark.parametrize(
    ("timestamp", "as_of_ms"),
    [
        (OPEN_MS - 4000, OPEN_MS - 4000),
        (OPEN_MS / 1000 - 4, OPEN_MS - 4000),
        (str(OPEN_MS - 4000), OPEN_MS - 4000),
        ("2026-11-25T05:29:56Z", OPEN_MS - 4000),
        ("2026-11-25T10:59:56+05:30", OPEN_MS - 4000),
        (None, OPEN_MS),
        ("soon", OPEN_MS),
        (math.nan, OPEN_MS),
        (0, OPEN_MS),
    ],
)
async def test_moments_may_have_other_forms(timestamp: object, as_of_ms: int) -> None:
    mock = mock_openalgo()
    async with running(mock, "TCS") as market:
        await market.priced("TCS", 33_001_000)
        data = {"ltp": 3305.5, "timestamp": timestamp}
        tick = {"type": "market_data", "symbol": "TCS", "exchange": "NSE", "mode": 1, "data": data}
        await mock.send_all(json.dumps(tick))
        await market.priced("TCS", 33_055_000)
        assert market.confirmed("TCS").as_of_ms == as_of_ms


async def test_a_price_may_come_without_an_exchange_and_other_messages_are_left_alone() -> None:
    mock = mock_openalgo()
    async with running(mock, "NIFTY") as market:
        await market.priced("NIFTY", 241_900_500)
        for message in (
            {"type": "pong", "status": "success"},
            {"type": "market_data", "symbol": "OTHER", "exchange": "NSE", "data": {"ltp": 1}},
            {"type": "market_data", "symbol": "NIFTY", "data": None},
            {"status": "error", "code": "INVALID_PARAMETERS", "message": "no symbol"},
            {"type": "ltp", "symbol": "NIFTY", "data": {"ltp": "24,200.5"}},
        ):
            await mock.send_all(json.dumps(message))
        await market.priced("NIFTY", 242_005_000)
        assert mock.connections == 1


def test_without_a_key_it_cannot_start() -> None:
    with pytest.raises(CannotStart, match="set VYOMO_RT_OPENALGO_API_KEY"):
        feed(openalgo_api_key=None)
