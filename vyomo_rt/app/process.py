"""The commands that run until a signal: ``serve`` and ``store``."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from vyomo_rt import logs
from vyomo_rt.app.server import running
from vyomo_rt.config import Settings
from vyomo_rt.demo import DemoTrader
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.ending import end
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.version import version
from vyomo_rt.web.listening import bind_sockets

log = logging.getLogger(__name__)

T = TypeVar("T")


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
            if (rooms := await _unless(stopping, starting)) is not None:
                gc.enable()
                _greet(settings, sockets, rooms.demo)
                await stopping.wait()
            log.info("stopping")
    finally:
        for sock in sockets:
            sock.close()
    log.info("stopped")
    if failures:
        raise CannotStart(failures[0])


async def run_store(settings: Settings, say: Callable[[str], None]) -> None:
    """Run the embedded store alone until a signal to stop; says its URI. Raises CannotStart."""
    stopping = _stopping_on_signals()
    server = EmbeddedServer(settings.data_dir)
    try:
        say(await server.start())
        await stopping.wait()
    finally:
        await server.stop()


async def _unless(stopping: asyncio.Event, starting: Coroutine[Any, Any, T]) -> T | None:
    """What was started; None if a signal to stop came first, which ends the start."""
    start, stop = asyncio.create_task(starting), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
        return await start if start.done() else None
    finally:
        await end(start, stop)


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
    what = f"feed {','.join(settings.feed)}"
    if demo:
        what = f"DEMO, simulated prices, session {demo.session_id}"
    if settings.trade_on_delayed:
        what += ", trading on delayed prices"
    log.info("vyomo-rt %s serves %s at %s", version(), what, url)
    greeting = f"vyomo-rt {version()} listening on {url} ({what})\n"
    logs.say(f"{greeting}Open {url}/ in a browser. Stop with Ctrl-C.", sys.stdout)
