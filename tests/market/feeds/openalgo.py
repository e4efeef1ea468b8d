"""A server that sends as OpenAlgo does."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.market.feeds.serving import PATIENCE, MockStream, recorded
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feeds.names import Names
from vyomo_rt.market.feeds.openalgo.feed import OpenAlgoFeed
from vyomo_rt.market.feeds.sockets import Patience

EXCHANGES = {"NIFTY": "NSE_INDEX", "TCS": "NSE"}


class MockOpenAlgo(MockStream):
    """Like the real one it refuses a subscription that comes before the key is confirmed."""

    name = "openalgo"
    down = "OpenAlgo sends no whole JSON"
    heartbeat = '{"type": "ping"}'
    key = "the-key"

    def __init__(self, at_ms: int, patience: Patience = PATIENCE) -> None:
        super().__init__(at_ms, patience)
        self.prices = {"NIFTY": 24190.05, "TCS": 3300.1}
        self.accepts = {self.key}
        self.known: set[web.WebSocketResponse] = set()

    def feed(self, calendar: Calendar, now: MarketClock) -> OpenAlgoFeed:
        names, address = Names.of_source("openalgo"), self.url.replace("http", "ws")
        return OpenAlgoFeed(names, address, self.key, calendar, now, patience=self.patience)

    def tick(self, symbol: str) -> str:
        message = json.loads(recorded("openalgo/market_data.json"))
        message |= {"symbol": symbol, "exchange": EXCHANGES[symbol]}
        message["data"] |= {"ltp": self.prices[symbol], "timestamp": self.at_ms}
        return json.dumps(message)

    async def on_connect(self, socket: web.WebSocketResponse) -> None:
        await self.send(socket, recorded("openalgo/connected.json").decode())

    async def on_message(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        if message["action"] == "authenticate":
            name = "auth" if message["api_key"] in self.accepts else "auth_refused"
            self.known.add(socket)
            await self.send(socket, recorded(f"openalgo/{name}.json").decode())
        elif message["action"] == "subscribe":
            assert socket in self.known
            await self._subscribe(socket, message)

    async def _subscribe(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        symbol = message["symbol"]
        is_known = EXCHANGES.get(symbol) == message["exchange"] and symbol in self.prices
        name = "subscribed" if is_known else "subscribe_refused"
        answer = json.loads(recorded(f"openalgo/{name}.json"))
        answer["subscriptions"][0] |= {"symbol": symbol, "exchange": message["exchange"]}
        await self.send(socket, json.dumps(answer))
        if is_known:
            await self.snapshot(socket, symbol)
