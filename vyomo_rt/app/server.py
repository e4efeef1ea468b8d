"""A server on sockets: starts everything in order, and stops it in reverse order."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from vyomo_rt.app.calendars import calendar_of
from vyomo_rt.app.cluster import Cluster
from vyomo_rt.app.jobs import Jobs
from vyomo_rt.app.notices import begin_notices
from vyomo_rt.app.rooms import Rooms
from vyomo_rt.app.site import application
from vyomo_rt.clockwork import wall_now
from vyomo_rt.config import Settings
from vyomo_rt.domain.moment import Clocks, WallClock
from vyomo_rt.market.common_clock import CommonClock
from vyomo_rt.recording.day import RecordedDay
from vyomo_rt.replay.clock import ReplayClock
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.kinds import claim
from vyomo_rt.store.nodes import Node
from vyomo_rt.store.opening import owned_store, shared_store, while_owned
from vyomo_rt.web.http import HttpConnection
from vyomo_rt.web.listening import Acceptor, file_limits
from vyomo_rt.web.loading import Loading

log = logging.getLogger(__name__)

_HANDLERS_S = 0.4
"""aiohttp waits this long twice: before and after it tells a handler to stop."""


@asynccontextmanager
async def running(
    settings: Settings,
    sockets: list[socket.socket],
    *,
    clocks: Clocks | None = None,
    on_failure: Callable[[str], None] = log.critical,
) -> AsyncIterator[Rooms]:
    """A started server on bound sockets. Raises CannotStart.

    ``on_failure`` is called with the reason if the server can no longer do its work.
    """
    calendar = calendar_of(settings)
    limits = file_limits(settings.max_connections)
    clocks = clocks or _clocks(settings)
    async with _store(settings, clocks.wall) as (store, node, keeping):
        if node is not None:
            common = CommonClock(clocks.wall, asyncio.get_running_loop().time)
            common.store_ahead_ms = node.clock.ahead_ms
            clocks = Clocks.live(common)
        rooms = Rooms(settings, calendar, store, limits, clocks)
        cluster = None if node is None else Cluster(rooms, node, common)
        jobs = Jobs(rooms, cluster, on_failure)
        loading = Loading()
        app = application(rooms, loading, cluster)
        if rooms.recorder is not None:
            await asyncio.to_thread(rooms.recorder.start)
        try:
            # Probes are answered from the first moment on, with `loading`.
            async with _serving(rooms, app, sockets):
                await while_owned(keeping, _load(rooms, is_shared=cluster is not None))
                loading.end()
                jobs.start()
                # Let the tasks take their first step, so that simulated prices are there from the
                # first request on.
                await asyncio.sleep(0)
                # What exists now lives as long as the process: collections can skip it.
                gc.collect()
                gc.freeze()
                keeping.add_done_callback(jobs.tell_failure)
                try:
                    yield rooms
                finally:
                    keeping.remove_done_callback(jobs.tell_failure)
                    if cluster is not None:
                        await cluster.hand_over()
        finally:
            await jobs.stop()
            if rooms.recorder is not None:
                await asyncio.to_thread(rooms.recorder.close)
            if cluster is not None:
                await cluster.stop()


@asynccontextmanager
async def _store(
    settings: Settings, wall: WallClock
) -> AsyncIterator[tuple[MongoStore, Node | None, asyncio.Task[None]]]:
    """The store, and this node if there may be others."""
    if settings.nats_url is None:
        async with owned_store(settings) as (store, keeping):
            yield store, None, keeping
    else:
        async with shared_store(settings, wall) as (store, node, keeping):
            yield store, node, keeping


def _clocks(settings: Settings) -> Clocks:
    """The market's clock runs with the world's, unless a recorded day drives it."""
    if settings.replays is None:
        return Clocks.live(wall_now)
    return Clocks(ReplayClock(RecordedDay(settings.replays).begin_ms), wall_now)


@asynccontextmanager
async def _serving(
    rooms: Rooms, app: web.Application, sockets: list[socket.socket]
) -> AsyncIterator[None]:
    """Let requests in; at the end tell everybody, and answer the requests in progress."""
    runner = web.AppRunner(app, shutdown_timeout=_HANDLERS_S)
    await runner.setup()
    assert runner.server is not None
    admission = rooms.admission
    http = partial(HttpConnection, runner.server, admission, rooms.origins)
    admit = partial(admission.admit, http)
    acceptor = Acceptor(
        sockets,
        admit,
        rooms.accepts,
        admission.no_file_left,
        is_busy=rooms.hub.slices.go_on,
    )
    acceptor.start()
    try:
        yield
    finally:
        acceptor.stop()
        await runner.cleanup()


async def _load(rooms: Rooms, *, is_shared: bool) -> None:
    """Load what the store holds. Raises Unavailable or NewerData."""
    await rooms.store.require_readable()
    await claim(rooms.store, rooms.settings.kind_of_prices)
    await rooms.store.prepare()
    if rooms.gate is not None:
        await rooms.gate.load()
    await rooms.desk.load()
    if not is_shared:
        await begin_notices(rooms)  # before anything can happen that the receiver has to be told
    await rooms.pricing.keeper.restore()
    await rooms.bar_keeper.restore()
    rooms.desk.resume()
    if rooms.demo:
        await rooms.demo.prepare()
