"""Keeps a feed running."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import aclosing

from vyomo_rt.domain.quote import Tick
from vyomo_rt.market.board import Board
from vyomo_rt.market.feed import FeedFailed, FeedRefused
from vyomo_rt.market.health import SourceHealth
from vyomo_rt.market.wanted import Wanted

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
"""A feed that ran for longer than this had recovered: its next pause is the first one again."""

_JITTER = 0.2
"""Many servers that lost the same source must not come back to it at the same moment."""


class Supervisor:
    """Carries a feed's ticks to the board, and restarts it when it fails.

    Each time after a longer pause, but never again where no retry helps.
    """

    def __init__(self, health: SourceHealth, wanted: Wanted, board: Board) -> None:
        self._health = health
        self._feed = health.feed
        self._wanted = wanted
        self._board = board
        self._pause_s = _FIRST_PAUSE_S
        self._told_fault = False

    async def run(self) -> None:
        """Take ticks until cancelled, or until the feed ends for good.

        One that failed is DOWN until its source answers again.
        """
        loop = asyncio.get_running_loop()
        name = self._feed.source
        while True:
            begun_s, pause_s = loop.time(), None
            try:
                await self._take_ticks()
                if self._feed.takes_posts:
                    return
                self._fail(f"the feed {name} ended")
            except FeedRefused as refusal:
                self._fail(f"the feed {name} cannot go on: {refusal}")
                return
            except FeedFailed as failure:
                pause_s = failure.pause_s
                self._fail(f"the feed {name} failed: {failure}")
            except Exception as error:
                log.exception("the price feed failed; restarting it")
                self._fail(f"the feed {name} stopped: {error!r}")
            if loop.time() - begun_s > _LONGEST_PAUSE_S:
                self._pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(self._next_pause_s(pause_s))

    async def _take_ticks(self) -> None:
        async with aclosing(self._feed.ticks(self._wanted)) as ticks:
            async for tick in ticks:
                if tick is not None:
                    self._take(tick)
                self._health.failure = None

    def _take(self, tick: Tick) -> None:
        """The store and other nodes take a tick as its types say, which nobody else checks."""
        if (fault := _fault(tick)) is None:
            self._board.accept(tick)
            return
        if not self._told_fault:
            self._told_fault = True
            name = self._feed.source
            log.error("the feed %s yields what is no tick, of %r: %s", name, tick.symbol, fault)
        self._board.refuse(self._feed.source, None, fault)

    def _fail(self, why: str) -> None:
        self._health.failure = why
        self._feed.resting = None

    def _next_pause_s(self, asked_for_s: float | None) -> float:
        """How long to wait: as the feed asks, or else longer each time."""
        pause_s = self._pause_s
        if asked_for_s is None:
            self._pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        else:
            pause_s = asked_for_s
        return pause_s * (1 + _JITTER * random.random())  # noqa: S311 (no secret)


def _fault(tick: Tick) -> str | None:
    """What is wrong with the types of a tick, for the author of its feed."""
    symbol, price_e4, as_of_ms, _ = tick
    if type(symbol) is not str:
        return f"symbol is {symbol!r}, it must be a str"
    if type(price_e4) is not int:
        return f"price_e4 is {price_e4!r}, it must be an int, of ₹0.0001"
    if as_of_ms is not None and type(as_of_ms) is not int:
        return f"as_of_ms is {as_of_ms!r}, it must be an int of epoch milliseconds, or None"
    return None
