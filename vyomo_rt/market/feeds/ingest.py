"""Prices that another program pushes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Self

from vyomo_rt.domain.quote import Tick
from vyomo_rt.market.feed import Feed, FeedContext
from vyomo_rt.market.wanted import Wanted

_NO_TICKS: tuple[Tick, ...] = ()


class IngestFeed(Feed):
    """Prices that another program posts, for any symbol."""

    source = "ingest"
    takes_posts = True

    def __init__(self, fresh_for_ms: int = 15_000) -> None:
        self.fresh_for_ms = fresh_for_ms

    @classmethod
    def made_for(cls, context: FeedContext) -> Self:
        return cls(context.settings.stale_after_ms)

    async def ticks(self, _wanted: Wanted) -> AsyncGenerator[Tick, None]:
        """None: they come with requests."""
        for tick in _NO_TICKS:
            yield tick
