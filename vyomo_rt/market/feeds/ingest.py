"""Prices that another program pushes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from vyomo_rt.domain.quote import Tick

_NO_TICKS: tuple[Tick, ...] = ()


class IngestFeed:
    """Prices that another program posts, for any symbol."""

    source = "ingest"
    takes_posts = True

    def __init__(self, fresh_for_ms: int = 15_000) -> None:
        self.fresh_for_ms = fresh_for_ms

    def knows(self, _symbol: str, /) -> bool:
        return True

    async def ticks(self) -> AsyncGenerator[Tick, None]:
        """None: they come with requests."""
        for tick in _NO_TICKS:
            yield tick
