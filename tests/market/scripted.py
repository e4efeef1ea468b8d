"""Two sources that say what a test tells them to, under the entry points ``one`` and ``two``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import date
from importlib.metadata import EntryPoint
from typing import ClassVar

from vyomo_rt.config.feeds import GROUP
from vyomo_rt.domain.market import PreviousClose
from vyomo_rt.domain.quote import Tick
from vyomo_rt.market.feed import Feed
from vyomo_rt.market.wanted import Wanted


class Scripted(Feed):
    """Yields the prices of NIFTY that are put into ``script``, and raises its exceptions."""

    script: ClassVar[asyncio.Queue[int | Exception]]

    async def ticks(self, wanted: Wanted) -> AsyncGenerator[Tick, None]:
        del wanted
        while True:
            next_one = await self.script.get()
            if isinstance(next_one, Exception):
                raise next_one
            yield Tick("NIFTY", next_one * 10_000, None, self.source)


class One(Scripted):
    source = "one"
    fresh_for_ms = 300

    def knows(self, symbol: str, /) -> bool:
        return symbol not in {"ONLY-TWO", "NOBODYS"}


class Two(Scripted):
    source = "two"
    fresh_for_ms = 3_600_000

    def knows(self, symbol: str, /) -> bool:
        return symbol != "NOBODYS"

    def previous_close(self, symbol: str, /) -> PreviousClose | None:
        return PreviousClose(985_000, date(2026, 11, 25)) if symbol == "NIFTY" else None


def installed() -> dict[str, EntryPoint]:
    """Both, silent so far."""
    for feed in (One, Two):
        feed.script = asyncio.Queue()
    return {
        name: EntryPoint(name, f"{__name__}:{name.capitalize()}", GROUP) for name in ("one", "two")
    }
