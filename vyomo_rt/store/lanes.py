"""Lets reads wait for writes, and readable copies for events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

_QUIET_S = 0.005
"""A trade makes several writes in quick succession: for so long nothing else begins."""
_STANDS_BACK = 10
"""How often a read waits; then it begins even beside writers that never rest."""


_READS = 4
"""Other reads at a time: the driver has more threads, and some must be free for writes."""
_COPIES = 4
"""Copies at a time: events would wait behind a thousand of them for one of those threads."""
_COPY_WAITS_S = 0.05
"""How long a copy waits for events; then it begins even beside events that never end."""


class Pace(NamedTuple):
    """How histories are read: how many pages at a time, and how many documents per page.

    A write may have to wait for that much.
    """

    reads: int
    page: int
    trades: int = 200
    """Per page of trades, whose documents are shorter than events."""


MONGODB = Pace(reads=3, page=200)
EMBEDDED = Pace(reads=1, page=50, trades=150)
"""It does one thing at a time: an event costs it 45 µs, a trade 20 µs, a read 1 ms more."""


class Lanes:
    """Lets only a few reads run at a time, and no read of a history begin during a write."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._history_reads = asyncio.Semaphore(pace.reads)
        self._reads = asyncio.Semaphore(_READS)
        self._copies = asyncio.Semaphore(_COPIES)
        self._no_events = asyncio.Event()
        self._no_events.set()
        self._writes = 0
        self._wrote_at = 0.0

    @contextmanager
    def write(self) -> Iterator[None]:
        """A write, which waits for nothing here."""
        self._writes += 1
        try:
            yield
        finally:
            self._writes -= 1
            self._wrote_at = time.monotonic()

    @contextmanager
    def events(self) -> Iterator[None]:
        """Writes of events, one after the other, until none waits."""
        self._no_events.clear()
        try:
            yield
        finally:
            self._no_events.set()

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[None]:
        """A write of a readable copy: the event that it repeats is stored already."""
        async with self._copies:
            if not self._no_events.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_COPY_WAITS_S):
                        await self._no_events.wait()
            yield

    def read(self) -> AbstractAsyncContextManager[None]:
        """A read of a document or two."""
        return self._reads

    @asynccontextmanager
    async def history_read(self) -> AsyncIterator[None]:
        """A read of one page."""
        async with self._history_reads:
            for _ in range(_STANDS_BACK):
                if not self._is_writing:
                    break
                await asyncio.sleep(_QUIET_S)
            yield

    @property
    def _is_writing(self) -> bool:
        return bool(self._writes) or time.monotonic() - self._wrote_at < _QUIET_S
