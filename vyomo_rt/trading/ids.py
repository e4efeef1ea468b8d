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

    async def draw(self, count: int = 1) -> None:
        """Draw a new block unless so many are left. Raises Unavailable."""
        async with self._drawing:
            if len(self._left) < count:
                block = max(count, _BLOCK)
                first = await self._journal.reserve_ids(self._counter, block)
                self._left = range(first, first + block)

    def drop(self) -> None:
        """Leave the rest of the block: another node has drawn higher ones since."""
        self._left = range(0)

    def take(self) -> int:
        """The next number."""
        number, self._left = self._left[0], self._left[1:]
        return number
