"""How far this machine's clock is from the store's."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from datetime import UTC
from typing import TYPE_CHECKING

from vyomo_rt.domain.moment import to_ms
from vyomo_rt.store.database import reading

if TYPE_CHECKING:
    from vyomo_rt.store.database import Database

log = logging.getLogger(__name__)

_OFF_MS = 2000
"""A node whose clock is further from the store's does not become the owner of the prices."""
_COMPARE_EVERY_S, _TRIES = 10.0, 3
"""An answer that takes long says little about the time."""


class StoreClock:
    """Compared with this machine's now and then, and when that is in doubt."""

    def __init__(self, store: Database, wall_ms: Callable[[], int]) -> None:
        self.ahead_ms = 0
        """How far the store's clock is ahead of this machine's."""
        self.compared_s = -math.inf
        """When they were last compared, by the monotonic clock."""
        self._store = store
        self._wall_ms = wall_ms

    @property
    def confirms(self) -> bool:
        """Whether this machine's clock was right when it was last compared."""
        return abs(self.ahead_ms) <= _OFF_MS

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self.compared_s > _COMPARE_EVERY_S

    def doubt(self) -> None:
        """Compare them at the next occasion."""
        self.compared_s = -math.inf

    async def compare(self) -> None:
        """Ask the store for the time. Raises Unavailable."""
        for _ in range(_TRIES):
            before_ms = self._wall_ms()
            with reading():
                hello = await self._store.database.command("hello")
            half_ms = (self._wall_ms() - before_ms) // 2
            if half_ms < _OFF_MS // 10:
                break
        store_ms = to_ms(hello["localTime"].replace(tzinfo=UTC))
        was_right = self.confirms
        self.ahead_ms = store_ms - before_ms - half_ms
        self.compared_s = time.monotonic()
        if was_right and not self.confirms:
            log.warning(
                "the clock of this machine is %d ms off the store's: it gets no prices to own",
                -self.ahead_ms,
            )
