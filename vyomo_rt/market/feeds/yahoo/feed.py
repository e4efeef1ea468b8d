"""The feed ``yahoo``: twenty symbols in a request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Self

import aiohttp

from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feed import FeedContext
from vyomo_rt.market.feeds.fetching import Pace, Site
from vyomo_rt.market.feeds.names import Names, is_stock
from vyomo_rt.market.feeds.polling import PollingFeed
from vyomo_rt.market.feeds.reading import Price
from vyomo_rt.market.feeds.yahoo.spark import read_spark

MAX_BATCH = 20
"""Symbols in one request; more are refused."""

USER_AGENTS = (
    "Mozilla/5.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
)

_PATH = "v8/finance/spark"
_IS_YAHOOS = re.compile(r"\^.+|.+\.(NS|BO)")
"""A symbol that is Yahoo's own name already."""


class YahooFeed(PollingFeed):
    """Prices of Yahoo Finance, of the last minute or of a quarter of an hour ago."""

    source = "yahoo"
    fresh_for_ms = 120_000
    site = Site("Yahoo", USER_AGENTS, limits_by_404=True)
    pace = Pace(least_s=5.1)  # so that it sees none earlier than 5 s after the last one
    max_symbols = 200
    delay_ms = 16 * 60_000

    def __init__(
        self,
        names: Names,
        base: str,
        calendar: Calendar,
        now: MarketClock,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(base, calendar, now, pace)
        self._names = names

    @classmethod
    def made_for(cls, context: FeedContext) -> Self:
        settings = context.settings
        names = Names.of_source(cls.source, settings.symbol_names)
        return cls(names, settings.yahoo_url, context.calendar, context.now)

    def knows(self, symbol: str, /) -> bool:
        return self.name(symbol) is not None

    def name(self, symbol: str) -> str | None:
        """What Yahoo calls a symbol; None for what it has no prices of: futures and options."""
        if names := self._names.of(symbol):
            return str(names[0])
        if _IS_YAHOOS.fullmatch(symbol):
            return symbol
        return f"{symbol}.NS" if is_stock(symbol) else None

    def batch(self, due: Sequence[str]) -> list[str]:
        return list(due[:MAX_BATCH])

    def requests(self, served: Sequence[str]) -> int:
        return -(-len(served) // MAX_BATCH)

    async def fetch(
        self, http: aiohttp.ClientSession, batch: Sequence[str], every_s: float
    ) -> Mapping[str, Price | None]:
        names = {symbol: name for symbol in batch if (name := self.name(symbol)) is not None}
        asked = sorted(set(names.values()))
        query = {"symbols": ",".join(asked), "range": "1d", "interval": "1m"}
        answer = await self._fetcher.get(http, _PATH, query, every_s)
        prices = read_spark(answer.body)
        return {symbol: prices.get(name) for symbol, name in names.items()}
