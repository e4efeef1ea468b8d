"""Ids for new trades, drawn in blocks so that an opening need not wait for one."""

from __future__ import annotations

import asyncio

from vyomo_rt.trading.journal import Journal

_BLOCK = 100


class Ids:
    """The numbers of a counter. The rest of a block is never used after a stop."""

    def __init__(self, journal: Journal, counter: str) -> None:
        self._journal = journal
        self._counter = counter
        self._left = range(0)
        self._drawing = asyncio.Lock()

    def __bool__(self) -> bool:
        """Whether `take` has a number to give."""
        return bool(self._left)

    async def draw(self) -> None:
        """Draw a new block. Raises Unavailable."""
        async with self._drawing:
            if not self._left:
                first = await self._journal.reserve_ids(self._counter, _BLOCK)
                self._left = range(first, first + _BLOCK)

    def take(self) -> int:
        """The next number."""
        number, self._left = self._left[0], self._left[1:]
        return number
