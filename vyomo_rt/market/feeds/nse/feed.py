"""The feed ``nse``: all indices in one request, an index's stocks in another, the rest singly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from typing import Self

import aiohttp
from msgspec import Struct, json

from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feed import FeedContext, FeedFailed
from vyomo_rt.market.feeds.fetching import Answer, Pace, Site
from vyomo_rt.market.feeds.names import Names, is_stock
from vyomo_rt.market.feeds.nse.answers import read_constituents, read_indices, read_quote
from vyomo_rt.market.feeds.polling import PollingFeed
from vyomo_rt.market.feeds.reading import Price

USER_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0",
)

_INDICES = "allIndices"
_CONSTITUENTS = "equity-stock-indices"
_QUOTE = "NextApi/apiClient/GetQuoteApi"
_OF_QUOTE = {"functionName": "getSymbolData", "marketType": "N", "series": "EQ"}
_NOT_FOUND = 404


class _Lists(Struct, frozen=True, forbid_unknown_fields=True):
    """Which indices have a list of their stocks, and those stocks."""

    source: str
    stocks: dict[str, frozenset[str]]


class NseFeed(PollingFeed):
    """Prices of NSE's site, some seconds old."""

    source = "nse"
    fresh_for_ms = 60_000
    site = Site("NSE", USER_AGENTS, pages=("option-chain", ""))
    pace = Pace(least_s=0.4)  # three in a second may not become four on a slow line
    max_symbols = 100
    delay_ms = 60_000

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
        text = resources.files(__package__).joinpath("lists.json").read_bytes()
        self._lists: dict[str, Collection[str]] = {**json.decode(text, type=_Lists).stocks}
        """By the index: its stocks as of its last answer."""

    @classmethod
    def made_for(cls, context: FeedContext) -> Self:
        settings = context.settings
        names = Names.of_source(cls.source, settings.symbol_names)
        return cls(names, settings.nse_url, context.calendar, context.now)

    def knows(self, symbol: str, /) -> bool:
        return self._is_index(symbol) or is_stock(symbol)

    def _is_index(self, symbol: str) -> bool:
        # A name with a space is NSE's own, such as NIFTY IT.
        return bool(self._names.of(symbol)) or " " in symbol

    def _request(self, symbol: str) -> tuple[str, str]:
        """The request that asks for a symbol: its last part of the path, and of whom it asks."""
        if self._is_index(symbol):
            return _INDICES, ""
        for index, stocks in self._lists.items():
            if symbol in stocks:
                return _CONSTITUENTS, index
        return _QUOTE, symbol

    def batch(self, due: Sequence[str]) -> list[str]:
        return [symbol for symbol in due if self._request(symbol) == self._request(due[0])]

    def requests(self, served: Sequence[str]) -> int:
        return len(set(map(self._request, served)))

    async def fetch(
        self, http: aiohttp.ClientSession, batch: Sequence[str], every_s: float
    ) -> Mapping[str, Price | None]:
        path, asked_for = self._request(batch[0])
        match path:
            case "allIndices":
                query = {}
            case "equity-stock-indices":
                query = {"index": asked_for}
            case _:
                query = {**_OF_QUOTE, "symbol": asked_for}
        answer = await self._fetcher.get(http, f"api/{path}", query, every_s)
        if path == _INDICES:
            return self._of_indices(batch, answer)
        if path == _CONSTITUENTS:
            return self._of_constituents(asked_for, batch, answer)
        found = None if answer.status == _NOT_FOUND else read_quote(asked_for, answer.body)
        return {asked_for: found}

    def _of_indices(self, batch: Sequence[str], answer: Answer) -> dict[str, Price | None]:
        if answer.status == _NOT_FOUND:
            raise FeedFailed("NSE has no list of indices any more (404)")
        prices = read_indices(answer.body)
        return {symbol: self._index_price(symbol, prices) for symbol in batch}

    def _index_price(self, symbol: str, prices: Mapping[str, Price]) -> Price | None:
        names = (str(name).upper() for name in self._names.of(symbol) or (symbol,))
        return next((prices[name] for name in names if name in prices), None)

    def _of_constituents(
        self, index: str, batch: Sequence[str], answer: Answer
    ) -> dict[str, Price | None]:
        """A stock that has left the index is left out, and asked for singly from now on."""
        prices = {} if answer.status == _NOT_FOUND else read_constituents(answer.body)
        if prices or answer.status == _NOT_FOUND:  # an empty list is a passing fault
            self._lists[index] = prices.keys()
        return {symbol: prices[symbol] for symbol in batch if symbol in prices}
