"""Reads of histories stand back behind writes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

_QUIET_S = 0.005
"""A trade makes several writes with little between them: so long nothing else begins."""
_STANDS_BACK = 10
"""So often; in the end a history is read, also beside writers that never rest."""


class Lanes:
    """Lets few reads of histories begin at one time, and none while somebody writes."""

    def __init__(self, history_reads: int) -> None:
        self._history_reads = asyncio.Semaphore(history_reads)
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
