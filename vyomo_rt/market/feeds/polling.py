"""What feeds have in common that ask: one poll for all that is wanted, while its market is open."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar

import aiohttp

from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import Tick
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feeds.exchange import CLOSED, UNWANTED, ExchangeFeed
from vyomo_rt.market.feeds.fetching import Fetcher, Pace, Site
from vyomo_rt.market.feeds.reading import Price
from vyomo_rt.market.feeds.schedule import Schedule
from vyomo_rt.market.wanted import Wanted

log = logging.getLogger(__name__)


class PollingFeed(ExchangeFeed):
    """Asks for some of the wanted symbols at a time; a subclass says how."""

    site: ClassVar[Site]
    pace: ClassVar[Pace]
    max_symbols: ClassVar[int]
    """With more, a price would be older than it may be before its next turn."""
    delay_ms: ClassVar[int]
    """How late its prices may be."""

    def __init__(
        self, base: str, calendar: Calendar, now: MarketClock, pace: Pace | None = None
    ) -> None:
        super().__init__(calendar, now)
        self._fetcher = Fetcher(self.site, base, pace or self.pace)
        self._schedule = Schedule(calendar, now, self.delay_ms)

    @abstractmethod
    def batch(self, due: Sequence[str]) -> list[str]:
        """Those of the due symbols that the next request asks for."""

    @abstractmethod
    def requests(self, served: Sequence[str]) -> int:
        """How many requests ask for all these symbols."""

    @abstractmethod
    async def fetch(
        self, http: aiohttp.ClientSession, batch: Sequence[str], every_s: float
    ) -> Mapping[str, Price | None]:
        """The prices of a batch; None of what the source does not know.

        A symbol that is left out is asked for again. No request is made before ``every_s``
        have passed since the last one. Raises FeedFailed.
        """

    async def ticks(self, wanted: Wanted) -> AsyncGenerator[Tick | None, None]:
        round_s = self._fetcher.pace.round_s
        async with self._fetcher.session() as http:
            while True:
                served = self._choose(wanted.symbols())
                batch = self.batch(self._schedule.due())
                if not batch:
                    self.resting = CLOSED if served else UNWANTED
                    with suppress(TimeoutError):
                        async with asyncio.timeout(round_s):
                            await wanted.changed()
                    continue
                self._schedule.take(batch)
                every_s = round_s / max(1, self.requests(served))
                answered = await self.fetch(http, batch, every_s)
                found = {symbol: price for symbol, price in answered.items() if price is not None}
                self._note(list(answered), found)
                yield None
                for tick in self._news(found):
                    yield tick

    def _choose(self, symbols: Sequence[str]) -> list[str]:
        """The symbols that are asked for, of all that are wanted."""
        served: list[str] = []
        left_out: list[str] = []
        for symbol in symbols:
            is_served = len(served) < self.max_symbols and self.knows(symbol)
            (served if is_served else left_out).append(symbol)
        self._schedule.keep(served)
        self._told = {symbol: self._told[symbol] for symbol in served if symbol in self._told}
        self.unserved = left_out + self._schedule.absent()
        return served

    def _note(self, answered: Sequence[str], found: Mapping[str, Price]) -> None:
        self._schedule.note(answered, found)
        if self._schedule.is_any_open():
            self.resting = None
        else:
            self.resting = CLOSED if self._schedule.is_any_known() else UNWANTED
        if absent := sorted(set(answered).difference(found)):
            log.debug("%s has no price of %s", self.site.service, ", ".join(absent))

    def _news(self, found: Mapping[str, Price]) -> Iterator[Tick]:
        """What has changed since it was told, the newest last.

        Saying a price again would say that it still holds, but an answer may be a copy that
        the source kept.
        """
        for symbol, price in sorted(found.items(), key=lambda item: item[1].as_of_ms or 0):
            if not self._is_repeated(symbol, price):
                yield Tick(symbol, price.price_e4, price.as_of_ms, self.source)
