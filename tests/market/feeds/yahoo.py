"""A server that answers as Yahoo does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.kit.waiting import until
from tests.market.feeds.running import OPEN_MS, Running, running
from tests.market.feeds.serving import MockSite, recorded
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feeds.fetching import Pace
from vyomo_rt.market.feeds.names import Names
from vyomo_rt.market.feeds.yahoo.feed import YahooFeed

_OPEN_S = 1_790_307_900
"""The first minute of the recorded answers."""

FAST = Pace(least_s=0.01, round_s=0.01, timeout_s=30.0, pauses_s=(0.05, 0.1))


class MockYahoo(MockSite):
    """``rows`` is what it knows, by Yahoo's names; ``at_ms`` is that of the last minute."""

    name = "yahoo"
    down = "Yahoo sends no whole JSON"

    def __init__(self, at_ms: int, pace: Pace = FAST) -> None:
        super().__init__(at_ms, pace)
        self.rows: dict[str, dict[str, Any]] = json.loads(recorded("yahoo/spark_v8.json"))
        self.agents_refused: set[str] = set()

    def feed(self, calendar: Calendar, now: MarketClock) -> YahooFeed:
        return YahooFeed(Names.of_source("yahoo"), self.url, calendar, now, self.pace)

    @property
    def asked(self) -> list[list[str]]:
        """The names in each request."""
        queries = (path.partition("symbols=")[2] for path in self.paths)
        return [_unquoted(query.partition("&")[0]).split(",") for query in queries]

    def respond(self, request: web.Request) -> web.Response:
        if request.path != "/v8/finance/spark":
            return web.Response(status=404)
        if self.agents[-1] in self.agents_refused:
            return web.Response(status=429, body=recorded("yahoo/too_many_requests.html"))
        names = request.query["symbols"].split(",")
        return web.json_response({name: self.row(name) for name in names if name in self.rows})

    def row(self, name: str) -> dict[str, Any]:
        """The recorded row, its moments moved."""
        row = self.rows[name]
        if not row.get("timestamp"):
            return row
        moved_s = self.at_ms // 1000 - _OPEN_S - 60 * 3
        return {**row, "timestamp": [second + moved_s for second in row["timestamp"]]}

    async def set_price(self, symbol: str, rupees: float | None) -> None:
        row = self.rows[{"NIFTY": "^NSEI"}.get(symbol, f"{symbol}.NS")]
        row["close"] = [*row["close"][:3], rupees]

    def forget(self, symbol: str) -> None:
        del self.rows[{"NIFTY": "^NSEI"}.get(symbol, f"{symbol}.NS")]

    def truncates(self) -> None:
        text = recorded("yahoo/spark_v8.json")
        self.fails_with(200, text[: len(text) // 2], "application/json")


def _unquoted(text: str) -> str:
    return text.replace("%5E", "^").replace("%26", "&").replace("%2C", ",")


@asynccontextmanager
async def polling(
    *symbols: str, late_s: int = 5, pace: Pace = FAST, now_ms: int = OPEN_MS
) -> AsyncIterator[Running[MockYahoo]]:
    """The feed while it polls, with prices that are so late."""
    mock = MockYahoo(now_ms - late_s * 1000, pace)
    async with running(mock, *symbols, now_ms=now_ms) as market:
        yield market


async def asked_more(mock: MockSite, times: int = 3) -> None:
    """Wait until it was asked some more times."""
    already = len(mock.paths)
    await until(lambda: len(mock.paths) >= already + times)
