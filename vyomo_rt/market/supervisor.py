"""Keeps a feed running, and keeps over a restart the prices that it would not send again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress
from typing import Protocol

from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.domain.quote import Quote
from vyomo_rt.market.board import Board
from vyomo_rt.market.feed import Feed
from vyomo_rt.market.monitor import FeedMonitor

log = logging.getLogger(__name__)

_RESTART_AFTER_S = 1.0
_PAUSE_S = 0.1


class KeptPrices(Protocol):
    """What the market needs of a store; ``vyomo_rt.store`` has the implementation."""

    async def load(self) -> Iterable[Quote]:
        """The prices of the last save. Raises Unavailable."""

    async def save(
        self,
        changed: Iterable[str],
        confirmed: Callable[[str], Quote | None],
        /,
        *,
        pause_s: float,
    ) -> None:
        """Keep the prices of these symbols, or forget one that has none any more.

        In pieces, with a pause after each.

        Raises Unavailable or OutcomeUnknown; the next call then does what is left.
        """


class Supervisor:
    """Carries a feed's ticks to the board, and restarts it when it fails.

    Only posted prices are kept over a restart: nobody posts them again, while other
    feeds tick by themselves.
    """

    def __init__(self, feed: Feed, board: Board, monitor: FeedMonitor, kept: KeptPrices) -> None:
        self._feed = feed
        self._board = board
        self._monitor = monitor
        self._kept = kept

    async def run(self) -> None:
        """Take ticks until cancelled or the feed ends; a failed one is DOWN until its next tick."""
        while True:
            try:
                async with aclosing(self._feed.ticks()) as ticks:
                    async for tick in ticks:
                        self._board.accept(tick)
                        self._monitor.failure = None
            except Exception as error:
                log.exception("the price feed failed; restarting it")
                self._monitor.failure = f"the feed {self._feed.source} stopped: {error!r}"
                await asyncio.sleep(_RESTART_AFTER_S)
            else:
                return

    async def restore(self) -> None:
        """Load the prices that were kept. Raises Unavailable."""
        if self._feed.takes_posts:
            self._board.restore(await self._kept.load())

    async def keep_prices(self, pause_s: float = _PAUSE_S) -> None:
        """Keep the changed prices for the next start, if the store is there.

        Slowly, since trades come first.
        """
        if self._feed.takes_posts:
            changed, self._board.changed = self._board.changed, set()
            with suppress(VyomoError):
                await self._kept.save(changed, self._board.confirmed, pause_s=pause_s)
