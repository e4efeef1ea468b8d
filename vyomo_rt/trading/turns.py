"""Whose turn it is to write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vyomo_rt.domain.errors import Moved, Unavailable


class Turns:
    """A queue for writes; callers queued behind one that found the store away fail with it.

    Otherwise each of them, one after the other, would wait for the store as long again.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._failures = 0
        self.users = 0
        """How many have a turn or wait for one."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and have it. Raises Unavailable."""
        failures = self._failures
        self.users += 1
        try:
            async with self._lock:
                if failures != self._failures:
                    raise Unavailable(
                        "the database does not answer; nothing was changed, try again"
                    )
                try:
                    yield
                except Moved:
                    raise  # the store is there: each finds out by itself where its session is
                except Unavailable:
                    self.give_up()
                    raise
        finally:
            self.users -= 1

    def give_up(self) -> None:
        """The store is away, though this turn itself succeeds: callers queued behind it give up."""
        self._failures += 1
