"""Everything that runs by itself: a server's tasks, and the rows of its clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from vyomo_rt.app.calendars import CalendarWarning
from vyomo_rt.app.cluster import Cluster
from vyomo_rt.app.rooms import Rooms
from vyomo_rt.domain.errors import CannotStart, NewerData
from vyomo_rt.ending import end
from vyomo_rt.store.opening import LAST_WRITE_S
from vyomo_rt.stream.wheel import SLOT_MS

log = logging.getLogger(__name__)

_KEEP_PRICES_EVERY_MS = 1000
_KEEP_BARS_EVERY_MS = 1000
_KEEP_PLACES_EVERY_MS = 1000
_PUT_AWAY_EVERY_MS = 1000
_SAVE_CURVES_EVERY_MS = 1000
_TIDY_EVERY_MS = 1000
_WRITE_AUDIT_EVERY_MS = 1000


class Jobs:
    """Starts the tasks, ends them, and reports when one has failed."""

    def __init__(
        self, rooms: Rooms, cluster: Cluster | None, on_failure: Callable[[str], None]
    ) -> None:
        self._rooms = rooms
        self._cluster = cluster
        self._on_failure = on_failure
        self._calendar_warning = CalendarWarning(rooms.calendar, rooms.clocks.market)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start all of them."""
        rooms = self._rooms
        self._wind_up()
        if self._cluster is not None:
            self._cluster.wind_up()
        jobs: list[Coroutine[Any, Any, None]] = [
            rooms.clock.run(),
            rooms.desk.late_writes.watch(),
        ]
        if self._cluster is None:
            jobs += rooms.pricing.sources()
        else:
            jobs += self._cluster.jobs()
        if rooms.demo:
            jobs.append(rooms.demo.run())
        if rooms.notifier is not None and self._cluster is None:
            jobs.append(rooms.notifier.run())
        if rooms.player:
            jobs.append(rooms.player.run())
        self._tasks = [asyncio.create_task(job) for job in jobs]
        for task in self._tasks:
            task.add_done_callback(self.tell_failure)

    async def stop(self) -> None:
        """End them; finish writes in progress, and keep the audit and the last prices."""
        await end(*self._tasks)
        await self._rooms.desk.stop()
        if self._rooms.gate is not None:
            await _in_short(self._rooms.gate.audit.write())
        if self._owns_prices():
            await _in_short(self._keep_places())
            await _in_short(self._rooms.pricing.keeper.keep(pause_s=0))
            await _in_short(self._rooms.bar_keeper.save())

    def tell_failure(self, task: asyncio.Task[None]) -> None:
        """Without one of its tasks a server would only look healthy: let it stop and say why."""
        if not task.cancelled() and (error := task.exception()):
            if not isinstance(error, CannotStart | NewerData):
                log.error("a background task failed", exc_info=error)
            self._on_failure(str(error) or type(error).__name__)

    def _wind_up(self) -> None:
        """Add all periodic work to the clock."""
        rooms, clock = self._rooms, self._rooms.clock
        if rooms.player is None:  # it lets the market's clock act
            clock.add("the new day", SLOT_MS, rooms.days.roll_over)
            clock.add("moves that wait", SLOT_MS, rooms.desk.pass_time)
            clock.add("a minute of the curves", SLOT_MS, rooms.curves.take)
        clock.add("saving the curves", _SAVE_CURVES_EVERY_MS, self._save_curves)
        clock.add("stopped sessions", _PUT_AWAY_EVERY_MS, rooms.desk.sessions.put_away)
        clock.add("the end of the calendar", SLOT_MS, self._calendar_warning.tell)
        clock.add("the feed's state", SLOT_MS, self._tell_feed_status)
        clock.add("the sessions' beat", SLOT_MS, rooms.hub.topics.beat)
        clock.add("the overview's beat", SLOT_MS, rooms.hub.overview.beat)
        clock.add("the prices' beat", SLOT_MS, rooms.hub.prices.beat)
        clock.add("the end of tokens", SLOT_MS, rooms.rights.sweep)
        clock.add("the heartbeat", rooms.heartbeat.sweep_ms, rooms.heartbeat.sweep)
        clock.add("hasty clients", SLOT_MS, rooms.streaming.haste.sweep)
        if rooms.gate is not None:
            clock.add("the audit", _WRITE_AUDIT_EVERY_MS, rooms.gate.audit.write)
            clock.add("tickets that are over", _TIDY_EVERY_MS, rooms.gate.tidy)
        if rooms.notifier is not None:
            clock.add("how far notices have come", _KEEP_PLACES_EVERY_MS, self._keep_places)
        clock.add("silent connections", rooms.admission.sweep_ms, rooms.admission.sweep)
        clock.add("keeping the last prices", _KEEP_PRICES_EVERY_MS, self._keep_prices)
        clock.add("keeping bars", _KEEP_BARS_EVERY_MS, self._keep_bars)
        clock.add("hours of bars", _KEEP_BARS_EVERY_MS, self._settle_bars)

    def _owns_prices(self) -> bool:
        """With several nodes, the one that owns the prices keeps what all have in common."""
        return self._cluster is None or self._cluster.prices.owns_prices()

    async def _keep_places(self) -> None:
        if self._rooms.notifier is not None and self._owns_prices():
            await self._rooms.notifier.keep()

    async def _keep_prices(self) -> None:
        if self._owns_prices():
            await self._rooms.pricing.keeper.keep()

    async def _save_curves(self) -> None:
        if self._owns_prices():
            await self._rooms.curves.save()
        else:
            self._rooms.curves.follow()

    async def _keep_bars(self) -> None:
        if self._owns_prices():
            await self._rooms.bar_keeper.save()
        else:
            self._rooms.bar_keeper.follow()

    async def _settle_bars(self) -> None:
        if self._owns_prices():
            await self._rooms.bar_keeper.settle()

    async def _tell_feed_status(self) -> None:
        if status := self._rooms.monitor.poll():
            # A replay tells it each second.
            notifier = self._rooms.notifier
            if notifier is not None and status.replay is None and self._owns_prices():
                notifier.publish_feed_status(status)
            await self._rooms.hub.publish_feed_status(status)


async def _in_short(write: Coroutine[Any, Any, None]) -> None:
    """Make a last write, unless the store hangs: no trade depends on it, and it delays the end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_WRITE_S):
            await write
