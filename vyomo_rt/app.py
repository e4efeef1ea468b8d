"""Puts the rooms together, starts them in order, and stops them in the opposite one."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import structs

from vyomo_rt import config, logs
from vyomo_rt.clockwork import Clockwork
from vyomo_rt.config import Settings
from vyomo_rt.demo import DemoTrader
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.errors import CannotStart, Unavailable
from vyomo_rt.domain.moment import Clocks, MarketClock, WallMs, trading_day
from vyomo_rt.domain.quote import FeedState, Quote
from vyomo_rt.market.board import Board
from vyomo_rt.market.feed import Feed
from vyomo_rt.market.feeds.ingest import IngestFeed
from vyomo_rt.market.feeds.sim.feed import SimFeed
from vyomo_rt.market.feeds.sim.symbols import load_symbols
from vyomo_rt.market.monitor import FeedMonitor
from vyomo_rt.market.supervisor import Supervisor
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.history import History
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.opening import LAST_WRITE_S, owned_store, require_data, while_owned
from vyomo_rt.store.prices import SavedPrices
from vyomo_rt.store.verification import verify as check
from vyomo_rt.stream.beats import SLOT_MS
from vyomo_rt.stream.commands import Commands
from vyomo_rt.stream.heartbeat import Heartbeat
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.sources import Sources
from vyomo_rt.trading.days import Days
from vyomo_rt.trading.desk import Desk
from vyomo_rt.trading.replica import Replica
from vyomo_rt.version import version
from vyomo_rt.web import origins
from vyomo_rt.web.admission import Admission
from vyomo_rt.web.connection import Streaming
from vyomo_rt.web.contracts import ContractRoutes
from vyomo_rt.web.http import HttpConnection, add_headers
from vyomo_rt.web.listening import (
    FileLimits,
    accept_on,
    bind_sockets,
    file_limits,
)
from vyomo_rt.web.metrics import MetricsRoutes, Reading
from vyomo_rt.web.pages import PageRoutes
from vyomo_rt.web.problems import problems
from vyomo_rt.web.rest import RestRoutes
from vyomo_rt.web.streams import StreamRoutes

log = logging.getLogger(__name__)

T = TypeVar("T")

_DEMO = web.AppKey("demo", DemoTrader)
_KEEP_PRICES_EVERY_MS = 1000
_LOAD_WAIT_S = 1.5
_GOODBYE_S = 0.8
_HANDLERS_S = 0.4
"""Waited for twice by aiohttp: before and after a handler is told to stop."""


def wall_clock_ms() -> WallMs:
    """The current time in epoch milliseconds."""
    return WallMs(time.time_ns() // 1_000_000)


async def serve(settings: Settings) -> None:
    """Run the server until SIGINT, SIGTERM or SIGHUP; a second one ends the process at once."""
    stopping = _stopping_on_signals()
    sockets = bind_sockets(settings.host, settings.port)
    failures: list[str] = []

    def fail(why: str) -> None:
        failures.append(why)
        stopping.set()

    try:
        async with AsyncExitStack() as stack:
            starting = stack.enter_async_context(running(settings, sockets, on_failure=fail))
            if (app := await _unless(stopping, starting)) is not None:
                _greet(settings, sockets, app.get(_DEMO))
                await stopping.wait()
            log.info("stopping")
    finally:
        for sock in sockets:
            sock.close()
    log.info("stopped")
    if failures:
        raise CannotStart(failures[0])


async def run_store(settings: Settings, say: Callable[[str], None]) -> None:
    """Run the embedded store alone until SIGINT, SIGTERM or SIGHUP; says its URI. CannotStart."""
    stopping = _stopping_on_signals()
    server = EmbeddedServer(settings.data_dir)
    try:
        say(await server.start())
        await stopping.wait()
    finally:
        await server.stop()


async def _unless(stopping: asyncio.Event, starting: Coroutine[Any, Any, T]) -> T | None:
    """What was started; None where a signal to stop came first, which ends the start."""
    start, stop = asyncio.create_task(starting), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
        return await start if start.done() else None
    finally:
        for task in (start, stop):
            task.cancel()
        await asyncio.wait({start, stop})


async def verify(settings: Settings, say: Callable[[str], None]) -> bool:
    """Whether the store holds what its events say; says line by line what it does not.

    Raises CannotStart, also while a server runs on the store.
    """
    require_data(settings)
    # Whoever only looks takes nothing over, also if the environment says so for serve.
    async with owned_store(structs.replace(settings, take_over=False)) as (store, keeping):
        await store.require_readable()
        verdict = await while_owned(keeping, check(store, say))
    hint = "" if verdict.sessions else " (--feed and --demo choose the database)"
    say(f"database {store.database.name}: {verdict}{hint}")
    return not verdict.differences


@asynccontextmanager
async def running(
    settings: Settings,
    sockets: list[socket.socket],
    *,
    clocks: Clocks | None = None,
    on_failure: Callable[[str], None] = log.critical,
) -> AsyncIterator[web.Application]:
    """A started server on bound sockets. Raises CannotStart.

    ``on_failure`` is told if it can no longer do its work, and why.
    """
    limits = file_limits(settings.max_connections)
    loop = asyncio.get_running_loop()
    async with owned_store(settings) as (store, keeping):
        clocks = clocks or Clocks.live(wall_clock_ms)
        server = Server(settings, store, limits, clocks, on_failure)
        admission = server.admission
        runner = web.AppRunner(server.application(), shutdown_timeout=_HANDLERS_S)
        await runner.setup()
        listeners: list[asyncio.Server] = []
        try:
            # Probes are answered from the first moment on, and told that it loads.
            assert runner.server is not None
            loop.set_exception_handler(admission.on_loop_error)
            http = partial(HttpConnection, runner.server, admission, server.origins)
            connect = partial(admission.admit, http)
            listeners += [await accept_on(sock, connect) for sock in sockets]
            await while_owned(keeping, server.load())
            keeping.add_done_callback(server.tell_failure)
            server.start()
            # Lets the tasks take their first step: simulated prices are there from the first
            # request on.
            await asyncio.sleep(0)
            # What exists now lives as long as the process: collections need not look at it.
            gc.collect()
            gc.freeze()
            yield runner.app
        finally:
            for listener in listeners:
                listener.close()
            keeping.remove_done_callback(server.tell_failure)
            await runner.cleanup()
            await server.stop()
            loop.set_exception_handler(None)


class Server:
    """The rooms, wired: each is handed the functions that it needs of the others."""

    def __init__(
        self,
        settings: Settings,
        store: MongoStore,
        limits: FileLimits,
        clocks: Clocks,
        on_failure: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self.origins = origins.Origins(
            frozenset(settings.allowed_origins),
            frozenset(settings.allowed_hosts),
            loopback=config.is_loopback(settings.host),
        )
        self._store = store
        self._limits = limits
        self._on_failure = on_failure
        self._clocks = clocks
        self._clock = Clockwork(clocks.market)
        self._loaded = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._feed = _make_feed(settings, clocks.market)
        demand = Demand()
        self._board = Board(
            clocks.market,
            self._feed.fresh_for_ms,
            self._on_price,
            demand=demand,
            arrived=lambda: self._clock.last_on_time_ms,
            trade_on_delayed=self._settings.trade_on_delayed,
        )
        self._monitor = FeedMonitor(self._feed, self._board, clocks.market)
        kept = SavedPrices(store)
        self._supervisor = Supervisor(self._feed, self._board, self._monitor, kept)
        history = History(store.events)
        self._history = history.events
        self._replica = Replica(trading_day(clocks.market()))
        self._days = Days(self._replica, clocks.market)
        self._hub = Hub(
            Sources(
                state=self._replica.find,
                history=history.events,
                quote=self._board.quote,
                confirmed=self._board.confirmed,
                refusal=self._board.refusals.reason,
                demand=demand,
                market_now=clocks.market,
                knows=self._feed.knows,
                feed_status=self._monitor.status,
            ),
            now=clocks.wall,
            max_events_behind=settings.max_events_behind,
            max_symbols=settings.max_symbols,
        )
        self._replica.followers.append(self._hub)
        self._desk = Desk(
            store,
            self._replica,
            clocks=clocks,
            quote=self._board.confirmed,
            knows=self._feed.knows,
            max_open_trades=settings.max_open_trades,
            demand=demand,
            reserve=self._board.reserve,
        )
        self._demo = (
            DemoTrader(
                self._desk,
                self._replica,
                quote=self._board.confirmed,
                history=store.events,
                now=clocks.market,
            )
            if settings.demo
            else None
        )
        heartbeat = Heartbeat(
            self._hub,
            self._clock,
            ping_interval_s=settings.ping_interval_s,
            pong_timeout_s=settings.pong_timeout_s,
            sse_keep_alive_s=settings.sse_keep_alive_s,
            slow_timeout_s=settings.slow_timeout_s,
        )
        self._heartbeat = heartbeat
        self._streaming = Streaming(
            self._hub,
            Commands(self._hub),
            heartbeat,
            settings.max_message_bytes,
        )
        self.admission = Admission(
            self._clock,
            limits,
            self._streaming.connections,
            request_timeout_s=settings.request_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
        )

    async def load(self) -> None:
        """Take up what the store holds. Raises Unavailable, or NewerData."""
        await self._store.require_readable()
        await self._store.prepare()
        await self._desk.load()
        await self._supervisor.restore()
        if self._demo:
            await self._demo.prepare()
        self._loaded.set()

    def application(self) -> web.Application:
        app = web.Application(
            middlewares=[problems, self.admission.track, self._refuse_while_loading]
        )
        origins.install(app, self.origins)
        app.on_response_prepare.append(add_headers)
        stream_routes = StreamRoutes(self._streaming, self._limits.streams)
        rest_routes = RestRoutes(
            self._desk,
            self._replica,
            self._desk.records,
            self._history,
            self._board,
            posted_source=self._feed.source if self._feed.takes_posts else None,
            now=self._clocks.wall,
        )
        page_routes = PageRoutes(
            version=version(),
            demo_session=lambda: self._demo.session_id if self._demo else None,
            loaded=self._loaded.is_set,
            trade_on_delayed=self._settings.trade_on_delayed,
            store_available=lambda: self._store.available,
            feed_status=self._monitor.status,
        )
        routes = [*stream_routes.routes(), *rest_routes.routes(), *page_routes.routes()]
        routes += self._metrics_routes().routes()
        routes += ContractRoutes(routes, version()).routes()
        app.add_routes([route.for_aiohttp() for route in routes])
        page_routes.install(app)
        if self._demo:
            app[_DEMO] = self._demo
        app.on_shutdown.append(self._say_goodbye)
        return app

    def _metrics_routes(self) -> MetricsRoutes:
        desk, replica, store = self._desk, self._replica, self._store
        readings = [
            Reading("sessions", "Sessions", lambda: len(replica)),
            Reading("open_trades", "Open trades of all sessions", lambda: replica.open_count),
            Reading("exits_waiting", "Exits not stored yet", lambda: desk.waiting_exits),
            Reading("store_up", "1 if a write would probably succeed", lambda: store.available),
            Reading("feed_up", "1 if prices come in as promised", self._is_feed_live),
            Reading("symbols", "Symbols whose last price is held", lambda: len(self._board)),
            Reading("feed_age_seconds", "Since the last accepted tick", self._monitor.age_s),
        ]
        collectors = (
            self._hub.traffic,
            self._clock.lag,
            self._board.ticks,
            store.write_time,
            store.write_failures,
        )
        return MetricsRoutes(version(), collectors, readings)

    def _is_feed_live(self) -> bool:
        return self._monitor.status().state is FeedState.LIVE

    @web.middleware
    async def _refuse_while_loading(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        if request.path in origins.OPEN_PATHS or await self._has_loaded():
            return await handler(request)
        if request.path.startswith("/sse/") and request.transport is not None:
            # To a status an EventSource would not come back.
            request.transport.abort()
            raise ConnectionResetError
        raise Unavailable("the server has just started and is still reading its sessions")

    async def _has_loaded(self) -> bool:
        """Whether it has, or does so soon: most starts are over before anybody minds."""
        if not self._loaded.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOAD_WAIT_S):
                    await self._loaded.wait()
        return self._loaded.is_set()

    def start(self) -> None:
        """Begin with all that goes on by itself."""
        self._wind_up()
        jobs: list[Coroutine[Any, Any, None]] = [
            self._supervisor.run(),
            self._clock.run(),
            self._desk.late_writes.watch(),
        ]
        if self._demo:
            jobs.append(self._demo.run())
        self._tasks = [asyncio.create_task(job) for job in jobs]
        for task in self._tasks:
            task.add_done_callback(self.tell_failure)

    async def stop(self) -> None:
        """End it; the last prices are saved."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._desk.stop()
        # A store that hangs must not hold up the end: these prices are only a convenience.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITE_S):
                await self._supervisor.keep_prices(pause_s=0)

    def _wind_up(self) -> None:
        """All that comes round by itself."""
        clock = self._clock
        clock.add("the new day", SLOT_MS, self._days.roll_over)
        clock.add("the feed's state", SLOT_MS, self._tell_feed_status)
        clock.add("the sessions' beat", SLOT_MS, self._hub.topics.beat)
        clock.add("the prices' beat", SLOT_MS, self._hub.prices.beat)
        clock.add("the heartbeat", self._heartbeat.sweep_ms, self._heartbeat.sweep)
        clock.add("silent connections", self.admission.sweep_ms, self.admission.sweep)
        clock.add("keeping the last prices", _KEEP_PRICES_EVERY_MS, self._supervisor.keep_prices)

    def tell_failure(self, task: asyncio.Task[None]) -> None:
        """Without one of its tasks a server would only look well: better it stops and says why."""
        if not task.cancelled() and (error := task.exception()):
            if not isinstance(error, CannotStart):
                log.error("a background task failed", exc_info=error)
            self._on_failure(str(error) or type(error).__name__)

    async def _say_goodbye(self, _app: web.Application) -> None:
        self._hub.shut_down()
        await self._streaming.close_all(_GOODBYE_S)

    def _on_price(self, quote: Quote) -> None:
        self._desk.on_quote(quote)
        self._hub.on_quote(quote)

    async def _tell_feed_status(self) -> None:
        if status := self._monitor.poll():
            await self._hub.publish_feed_status(status)


def _make_feed(settings: Settings, now: MarketClock) -> Feed:
    if settings.feed == "ingest":
        return IngestFeed(settings.stale_after_ms)
    return SimFeed(now, settings.seed, load_symbols())


def _stopping_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, _on_signal, stopping)
    return stopping


def _on_signal(stopping: asyncio.Event) -> None:
    if stopping.is_set():
        os._exit(130)
    stopping.set()


def _greet(settings: Settings, sockets: list[socket.socket], demo: DemoTrader | None) -> None:
    everywhere = settings.host in {"0.0.0.0", "::"}  # noqa: S104 (compared, not bound)
    host = "localhost" if settings.host is None or everywhere else settings.host
    url = f"http://{f'[{host}]' if ':' in host else host}:{sockets[0].getsockname()[1]}"
    what = f"feed {settings.feed}"
    if demo:
        what = f"DEMO, simulated prices, session {demo.session_id}"
    if settings.trade_on_delayed:
        what += ", trading on delayed prices"
    log.info("vyomo-rt %s serves %s at %s", version(), what, url)
    greeting = f"vyomo-rt {version()} listening on {url} ({what})\n"
    logs.say(f"{greeting}Open {url}/ in a browser. Stop with Ctrl-C.", sys.stdout)
