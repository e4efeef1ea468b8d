"""The prices of a recorded day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Self

from vyomo_rt.domain.quote import Tick
from vyomo_rt.market.feed import Feed, FeedContext
from vyomo_rt.market.wanted import Wanted
from vyomo_rt.recording.day import RecordedDay


class ReplayFeed(Feed):
    """Prices that count as on the day on which they were recorded, for any symbol.

    Whoever plays the record takes them to the board, one by one: between two, the market's clock
    waits until what they decided is stored.
    """

    source = "replay"

    def __init__(self, day: RecordedDay, fresh_for_ms: int) -> None:
        recorded_ms = day.header.fresh_for_ms
        self.fresh_for_ms = recorded_ms if isinstance(recorded_ms, int) else fresh_for_ms
        self.keeps_hours = bool(day.header.keeps_hours)

    @classmethod
    def made_for(cls, context: FeedContext) -> Self:
        assert context.settings.replays is not None
        return cls(RecordedDay(context.settings.replays), context.settings.stale_after_ms)

    async def ticks(self, _wanted: Wanted) -> AsyncGenerator[Tick | None, None]:
        """None of its own."""
        yield None
        await asyncio.Event().wait()
