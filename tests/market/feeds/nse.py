"""A server that answers as NSE's site does."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from aiohttp import web

from tests.market.feeds.serving import MockSite, recorded
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feeds.fetching import Pace
from vyomo_rt.market.feeds.names import Names
from vyomo_rt.market.feeds.nse.feed import NseFeed

FAST = Pace(least_s=0.005, round_s=0.02, timeout_s=30.0, pauses_s=(0.05, 0.1))
_INDIA = timezone(timedelta(hours=5, minutes=30))
_COOKIE = "nsit"


class MockNse(MockSite):
    """``indices`` and ``stocks`` are what it knows; ``constituents`` has the NIFTY 50.

    It refuses whoever has no cookie of its page, if it ``wants_cookies``.
    """

    name = "nse"
    down = "NSE sends no whole JSON"

    def __init__(self, at_ms: int, pace: Pace = FAST) -> None:
        super().__init__(at_ms, pace)
        self.indices: list[dict[str, Any]] = json.loads(recorded("nse/all_indices.json"))["data"]
        self.constituents: list[dict[str, Any]] = json.loads(recorded("nse/nifty_50.json"))["data"]
        self.quote: dict[str, Any] = json.loads(recorded("nse/symbol_data.json"))
        self.quotes: dict[str, float | None] = {"OLAELEC": 38.48, "TCS": 3300.1}
        self.wants_cookies = True
        self.has_list = True
        self.page = "/option-chain"
        self.cookies: set[str] = set()

    def feed(self, calendar: Calendar, now: MarketClock) -> NseFeed:
        return NseFeed(Names.of_source("nse"), self.url, calendar, now, self.pace)

    def asked(self, part: str) -> list[str]:
        """The requests with this in their address."""
        return [path for path in self.paths if part in path]

    def respond(self, request: web.Request) -> web.Response:
        if request.path == self.page:
            response = web.Response(text="<html></html>", content_type="text/html")
            response.set_cookie(_COOKIE, f"visit{len(self.paths)}")
            self.cookies.add(f"visit{len(self.paths)}")
            return response
        if self.wants_cookies and request.cookies.get(_COOKIE) not in self.cookies:
            body = recorded("nse/access_denied.html")
            return web.Response(status=403, body=body, content_type="text/html")
        return self._respond(request)

    def _respond(self, request: web.Request) -> web.Response:
        match request.path:
            case "/api/allIndices":
                return web.json_response({"data": self.indices, "timestamp": self.india()})
            case "/api/equity-stock-indices" if self.has_list:
                assert request.query["index"] == "NIFTY 50"
                moment = {"lastUpdateTime": self.india("%Y-%m-%d %H:%M:%S")}
                rows = [row | moment for row in self.constituents]
                return web.json_response({"data": rows, "timestamp": self.india()})
            case "/api/NextApi/apiClient/GetQuoteApi":
                return web.json_response(self.quote_of(request.query["symbol"]))
        return web.Response(status=404, text="Resource not found", content_type="text/html")

    def quote_of(self, symbol: str) -> dict[str, Any]:
        if symbol not in self.quotes:
            answer: dict[str, Any] = json.loads(recorded("nse/symbol_unknown.json"))
            return answer
        row = self.quote["equityResponse"][0]
        book = row["orderBook"] | {"lastPrice": self.quotes[symbol]}
        meta = row["metaData"] | {"symbol": symbol}
        named = {"orderBook": book, "metaData": meta, "lastUpdateTime": self.india()}
        return {"equityResponse": [row | named]}

    def india(self, form: str = "%d-%b-%Y %H:%M:%S") -> str:
        return datetime.fromtimestamp(self.at_ms / 1000, _INDIA).strftime(form)

    async def set_price(self, symbol: str, rupees: float | None) -> None:
        if symbol in self.quotes:
            self.quotes[symbol] = rupees
        for row in self.constituents:
            if row["symbol"] == symbol:
                row["lastPrice"] = rupees
        if symbol == "NIFTY":
            self.indices[0]["last"] = rupees

    def forget(self, symbol: str) -> None:
        self.quotes.pop(symbol, None)
        self.constituents = [row for row in self.constituents if row["symbol"] != symbol]

    def truncates(self) -> None:
        text = recorded("nse/all_indices.json")
        self.fails_with(200, text[: len(text) // 2], "application/json")
