"""The right to write, as long as this process can be sure of it by its own clocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from vyomo_rt.domain.errors import Unavailable

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Moment = tuple[float, float]
"""On the clocks of a fence."""


def _clocks() -> Moment:
    """A clock that also counts suspension of the machine, and the wall clock.

    After a pause of a virtual machine only the wall clock may show it.
    """
    return time.clock_gettime(_BOOT_CLOCK), time.time()


class Fence:
    """Checked before each write, synchronously and without the store.

    A server that stood still may have lost the database to another one without knowing. So its
    right to write ends by its own clocks, and only a renewal opens the fence again. Until a
    lease is taken there is none to lose, and the fence is open.
    """

    def __init__(self, clocks: Callable[[], Moment] = _clocks) -> None:
        self.now = clocks
        self.term = 0
        """Counts the owners of the database, up to this one; each event carries it."""
        self.met_closed = asyncio.Event()
        """Set when a write was refused: it is time to renew."""
        self._until: Moment | None = None

    def extend(self, asked_at: Moment, lasts_s: float) -> None:
        """The right was granted or renewed by a request sent at ``asked_at``."""
        self._until = asked_at[0] + lasts_s, asked_at[1] + lasts_s

    def close(self) -> None:
        """The right is gone for good."""
        self._until = float("-inf"), float("-inf")

    @property
    def is_open(self) -> bool:
        if self._until is None:
            return True
        return all(now < until for now, until in zip(self.now(), self._until, strict=True))

    def require(self) -> None:
        """Raise Unavailable if the right has run out; then nothing was sent."""
        if not self.is_open:
            self.met_closed.set()
            raise Unavailable(
                "this server stood still too long, and has to check that the database is still "
                "its own before it writes; nothing was changed, try again"
            )
