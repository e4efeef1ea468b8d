"""Remembers who came in, was refused or was sent away: written behind, never waited for."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from vyomo_rt.domain.audit import AuditEntry, What
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.moment import WallClock

log = logging.getLogger(__name__)

_MOST_WAITING = 5000
_BATCH = 100


class Trail(Protocol):
    """Where entries are kept; ``vyomo_rt.store`` has the implementation."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Keep them, after all others; again after a failure. Raises Unavailable."""

    async def newest(self, limit: int, *, since_ms: int, by: str | None) -> list[AuditEntry]:
        """The newest entries first. Raises Unavailable."""


class Audit:
    """Takes entries at once, and writes them when the store has nothing better to do.

    While the store is away they wait; there is room for so many, and the rest is counted.
    """

    def __init__(self, trail: Trail, now: WallClock) -> None:
        self._trail = trail
        self._now = now
        self._waiting: deque[AuditEntry] = deque()
        self._dropped = 0
        self._is_failing = False

    def note(self, what: What, by: str | None, address: str, detail: str) -> None:
        """Something happened."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(AuditEntry(self._now(), by, what, address, detail))
            return
        if not self._dropped:
            log.warning("the audit cannot be written as fast as it grows: entries are dropped")
        self._dropped += 1

    async def write(self) -> None:
        """Write what waits, in batches; what cannot be written now is tried the next time."""
        while self._waiting:
            batch = [self._waiting[at] for at in range(min(_BATCH, len(self._waiting)))]
            try:
                await self._trail.append(batch)
            except Unavailable as error:
                if not self._is_failing:
                    log.warning("the audit is written later: %s", error)
                self._is_failing = True
                return
            self._is_failing = False
            for _ in batch:
                self._waiting.popleft()
        if self._dropped:
            log.warning("%d audit entries were dropped", self._dropped)
            self._dropped = 0

    async def newest(self, limit: int, *, since_ms: int, by: str | None) -> list[AuditEntry]:
        """The newest entries first, also those that are not written yet. Raises Unavailable."""
        waiting = list(self._waiting)
        stored = await self._trail.newest(limit, since_ms=since_ms, by=by)
        fresh = [
            entry
            for entry in reversed(waiting)
            if entry.at_ms >= since_ms and by in (None, entry.by) and entry not in stored
        ]
        return [*fresh, *stored][:limit]
