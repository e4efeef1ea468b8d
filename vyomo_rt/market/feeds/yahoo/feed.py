"""The feed ``yahoo``: one poll for all that is wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Self

from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import Tick
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feed import Feed, FeedContext
from vyomo_rt.market.feeds.yahoo.client import MAX_BATCH, Pace, SparkClient
from vyomo_rt.market.feeds.yahoo.names import Names
from vyomo_rt.market.feeds.yahoo.schedule import Schedule
from vyomo_rt.market.feeds.yahoo.spark import SparkPrice
from vyomo_rt.market.wanted import Wanted

log = logging.getLogger(__name__)

MAX_SYMBOLS = 200
"""With more, a price would be older than a minute before its next turn."""

_CLOSED = "outside market hours: the last prices stand"
_UNWANTED = "nobody watches or holds anything that it has prices of"


class YahooFeed(Feed):
    """Prices of Yahoo Finance, of the last minute or of a quarter of an hour ago."""

    source = "yahoo"
    fresh_for_ms = 120_000
    keeps_hours = True
    pace: ClassVar[Pace] = Pace()

    def __init__(
        self,
        names: Names,
        base: str,
        calendar: Calendar,
        now: MarketClock,
        pace: Pace | None = None,
    ) -> None:
        self._names = names
        self._every_s = (pace or self.pace).every_s
        self._client = SparkClient(base, pace or self.pace)
        self._schedule = Schedule(calendar, now)
        self._told: dict[str, SparkPrice] = {}

    @classmethod
    def made_for(cls, context: FeedContext) -> Self:
        settings = context.settings
        names = Names.shipped(settings.yahoo_names)
        return cls(names, settings.yahoo_url, context.calendar, context.now)

    def knows(self, symbol: str, /) -> bool:
        return self._names.of(symbol) is not None

    async def ticks(self, wanted: Wanted) -> AsyncGenerator[Tick, None]:
        self._told.clear()
        async with self._client.session() as http:
            while True:
                served = self._choose(wanted.symbols())
                batch = self._schedule.next_batch(MAX_BATCH)
                if not batch:
                    self.resting = _CLOSED if served else _UNWANTED
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._every_s):
                            await wanted.changed()
                    continue
                names = {symbol: self._name(symbol) for symbol in batch}
                prices = await self._client.prices(http, sorted(set(names.values())))
                found = {s: prices[name] for s, name in names.items() if name in prices}
                self._note(batch, found)
                for tick in self._news(found):
                    yield tick

    def _choose(self, symbols: Sequence[str]) -> list[str]:
        """The symbols that are asked for, of all that are wanted."""
        served: list[str] = []
        left_out: list[str] = []
        for symbol in symbols:
            is_served = len(served) < MAX_SYMBOLS and self.knows(symbol)
            (served if is_served else left_out).append(symbol)
        self._schedule.keep(served)
        self._told = {symbol: self._told[symbol] for symbol in served if symbol in self._told}
        self.unserved = left_out + self._schedule.absent()
        return served

    def _name(self, symbol: str) -> str:
        name = self._names.of(symbol)
        assert name is not None
        return name

    def _note(self, batch: Sequence[str], found: Mapping[str, SparkPrice]) -> None:
        self._schedule.note(batch, found)
        if self._schedule.is_any_open():
            self.resting = None
        else:
            self.resting = _CLOSED if self._schedule.is_any_known() else _UNWANTED
        if absent := sorted(set(batch).difference(found)):
            log.debug("Yahoo has no price of %s", ", ".join(absent))

    def _news(self, found: Mapping[str, SparkPrice]) -> Iterator[Tick]:
        """What has changed since it was told, the newest last.

        Saying a price again would say that it still holds, but an answer may be a copy that
        Yahoo kept.
        """
        for symbol, price in sorted(found.items(), key=lambda item: item[1].as_of_ms):
            if self._told.get(symbol) != price:
                self._told[symbol] = price
                yield Tick(symbol, price.price_e4, price.as_of_ms, self.source)
