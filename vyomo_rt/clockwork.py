"""One clock for all periodic work, and what it knows about its own lateness."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from prometheus_client import Histogram

from vyomo_rt.domain.moment import MarketClock, MarketMs, WallMs

log = logging.getLogger(__name__)

_TICK_S = 0.1
_TOLERANCE_S = 0.5
"""A busy loop is late by less; only a process that stood still is late by more."""

_ON_TIME_AGAIN = 2
"""After so many ticks on time, everything that waited in the sockets has been read."""

_LAG_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60)
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def wall_now() -> WallMs:
    """The current time in epoch milliseconds."""
    return WallMs(time.time_ns() // 1_000_000)


class _Row(NamedTuple):
    name: str
    every_ms: int
    act: Callable[[], Awaitable[None] | None]


class Bulkhead:
    """Keeps a failure from stopping the rest.

    A failure is logged once, until the same thing succeeds or fails in another place.
    """

    def __init__(self) -> None:
        self._failing: dict[str, object] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            place = _place(error)
            if self._failing.get(name) != place:
                self._failing[name] = place
                log.exception("%s failed; it is tried again", name)
        else:
            if self._failing and self._failing.pop(name, None):
                log.info("%s succeeds again", name)


class Clockwork:
    """Runs each row at every multiple of its interval, by the loop's time.

    A row that fails or takes long holds up no other. Turns it missed become one.
    """

    def __init__(self, now: MarketClock) -> None:
        self.bulkhead = Bulkhead()
        self.lag = Histogram(
            "vyomo_rt_event_loop_lag_seconds",
            "How late the clock ticked, because the event loop was busy",
            buckets=_LAG_S,
            registry=None,
        )
        self._now = now
        self._rows: list[_Row] = []
        self._tick_due_s = math.inf
        self._tick_due_uptime_s = math.inf
        self._lost_s = 0.0
        self._late_ticks = 0
        self._on_time_ms = MarketMs(0)

    def add(self, name: str, every_ms: int, act: Callable[[], Awaitable[None] | None]) -> None:
        """A new row; call it before ``run``."""
        self._rows.append(_Row(name, every_ms, act))

    def time_s(self) -> float:
        """The loop's time without the time in which this process stood still.

        It never goes back, and does not wait for the clock to notice a standstill.
        """
        loop_s = asyncio.get_running_loop().time()
        return min(loop_s, self._tick_due_s + _TOLERANCE_S) - self._lost_s

    @property
    def last_on_time_ms(self) -> MarketMs:
        """The earliest time, in epoch milliseconds, at which data read now may have arrived.

        That is the current time; after a standstill it is the moment before, until everything
        that waited in the sockets has been read.
        """
        now_ms = self._now()
        if self._late_ticks or self._late_s() > _TOLERANCE_S:
            return min(now_ms, self._on_time_ms)
        return now_ms

    async def run(self) -> None:
        """Keep time until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            for row in self._rows:
                tasks.create_task(self._come_round(row))

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            late_s = self._late_s()
            is_late = late_s > _TOLERANCE_S
            self._late_ticks = _ON_TIME_AGAIN if is_late else max(0, self._late_ticks - 1)
            if not self._late_ticks:
                self._on_time_ms = self._now()
            self._lost_s += max(0.0, loop.time() - self._tick_due_s - _TOLERANCE_S)
            # At the rows' own times: each wake-up is expensive.
            ahead_s = _TICK_S - loop.time() % _TICK_S
            if ahead_s < _TICK_S / 2:
                ahead_s += _TICK_S  # it woke a little before the moment
            self._tick_due_s = loop.time() + ahead_s
            self._tick_due_uptime_s = _uptime_s() + ahead_s
            await asyncio.sleep(ahead_s)
            self.lag.observe(max(0.0, loop.time() - self._tick_due_s))

    def _late_s(self) -> float:
        """How late the due tick is, or would be.

        uvloop reads the time once per turn, and the loop's time does not count suspension.
        """
        loop_s = asyncio.get_running_loop().time()
        return max(loop_s - self._tick_due_s, _uptime_s() - self._tick_due_uptime_s)

    async def _come_round(self, row: _Row) -> None:
        loop = asyncio.get_running_loop()
        turn = int(loop.time() * 1000 / row.every_ms)
        while True:
            await asyncio.sleep((turn + 1) * row.every_ms / 1000 - loop.time())
            current = int(loop.time() * 1000 / row.every_ms)
            if current == turn:
                continue
            turn = current
            with self.bulkhead(row.name):
                outcome = row.act()
                if outcome is not None:
                    await outcome


def _uptime_s() -> float:
    return time.clock_gettime(_BOOTTIME)


def _place(error: Exception) -> object:
    """The kind of failure, regardless of the figures in its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return type(error), trace and (trace.tb_frame.f_code, trace.tb_lineno)
