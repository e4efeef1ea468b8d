"""A soaked server and its store: killed, frozen, stopped and started again on the same data."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from lab.site.machine import children_of, usage
from lab.site.server import ServerUnderTest
from lab.soak.actors import SLOW_TIMEOUT_S
from lab.soak.site import Site
from lab.soak.violated import Violated

_MOST_STOP_S = 5.0
_STORE_BACK_S = 20.0
"""The pause before it is started again doubles with every death, up to 10 s."""
SETTINGS = {
    "VYOMO_RT_SLOW_TIMEOUT_S": f"{SLOW_TIMEOUT_S:g}",
    "VYOMO_RT_PING_INTERVAL_S": "5",
    "VYOMO_RT_PONG_TIMEOUT_S": "4",
    "VYOMO_RT_SSE_KEEP_ALIVE_S": "3",
}

Fault = tuple[str, Callable[[], Awaitable[None]]]


class Used(NamedTuple):
    """What a server uses."""

    memory_bytes: int
    files: int


class Processes(ABC):
    """What is soaked: one server, or several nodes."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.start_s: list[float] = []
        self.stop_s: list[float] = []
        self.folder = folder
        self._site = site
        self._base: dict[int, Used] = {}
        """What each process used right after its start."""

    # -- what differs ------------------------------------------------------------

    @property
    @abstractmethod
    def faults(self) -> list[Fault]:
        """What can be done to it."""

    @property
    @abstractmethod
    def servers(self) -> Sequence[ServerUnderTest]:
        """One, or each of several."""

    @property
    @abstractmethod
    def store(self) -> dict[str, str]:
        """The setting that leads to what is stored, for programs that look at it."""

    @abstractmethod
    async def start(self) -> None:
        """Start everything. Raises ServerFailed."""

    @abstractmethod
    async def recover(self) -> None:
        """After a fault, wait until all is well again. Raises Violated."""

    @abstractmethod
    async def crash(self) -> None:
        """Kill all servers, and start them again on the same data."""

    @abstractmethod
    async def close(self) -> None:
        """End everything for good."""

    # -- what they have in common ------------------------------------------------

    def used(self) -> list[tuple[Used, Used]]:
        """What each running server uses, and what it used right after its start."""
        return [
            (now, self._base.get(server.pid or 0, now))
            for server in self.servers
            if (now := _used(server.pid)) is not None
        ]

    @property
    def problems(self) -> list[str]:
        """The lines of all logs that are warnings or worse."""
        return [line for server in self.servers for line in server.problems]

    async def stop(self) -> None:
        """SIGTERM. Raises Violated if a server does not end well, or leaves a process behind."""
        for server in self.servers:
            await self._stop(server)

    def _started(self, server: ServerUnderTest, began_s: float) -> None:
        self.start_s.append(time.monotonic() - began_s)
        if used := _used(server.pid):
            self._base[server.pid or 0] = used

    async def _stop(self, server: ServerUnderTest) -> None:
        children = children_of(server.pid)
        began_s = time.monotonic()
        code = await server.stop()
        took_s = time.monotonic() - began_s
        self.stop_s.append(took_s)
        if code or took_s > _MOST_STOP_S:
            raise Violated(f"SIGTERM ends the server: code {code} after {took_s:.1f} s")
        if left := [pid for pid in children if _is_running(pid)]:
            raise Violated(f"SIGTERM leaves no process behind: {left} still run")


class OneServer(Processes):
    """A server with a store of its own."""

    def __init__(self, site: Site, folder: Path) -> None:
        super().__init__(site, folder)
        self._server = ServerUnderTest(folder)

    @property
    def faults(self) -> list[Fault]:
        return [
            ("kill -9 of the server", self.crash),
            ("kill -9 of the store", self._kill_store),
            ("kill -9 of both", self._kill_both),
            ("store frozen", self._freeze_store),
            ("server and store frozen", self._freeze_all),
            ("SIGTERM and a new start", self._restart),
        ]

    @property
    def servers(self) -> Sequence[ServerUnderTest]:
        return [self._server]

    @property
    def store(self) -> dict[str, str]:
        return {"VYOMO_RT_DATA_DIR": str(self.folder)}

    async def start(self) -> None:
        """Start the server, the first time anywhere and then where it was."""
        port = urlsplit(self._site.urls[0]).port or 0 if self._site.urls else 0
        began_s = time.monotonic()
        self._server = ServerUnderTest(self.folder, "--port", str(port), **SETTINGS)
        self._site.urls = [await self._server.start()]
        self._started(self._server, began_s)

    async def recover(self) -> None:
        """It is well as soon as it has started."""

    async def crash(self) -> None:
        await self.close()
        await self.start()

    async def close(self) -> None:
        await self._server.stop(signal.SIGKILL)

    async def _kill_both(self) -> None:
        send(signal.SIGKILL, self._store_pids)
        await self.crash()

    async def _kill_store(self) -> None:
        before = self._store_pids
        send(signal.SIGKILL, before)
        await back(lambda: bool(set(self._store_pids) - set(before)))

    async def _freeze_store(self) -> None:
        await freeze(self._store_pids, self._site.rng.uniform(0.2, 4))

    async def _freeze_all(self) -> None:
        assert self._server.pid is not None
        await freeze([self._server.pid, *self._store_pids], self._site.rng.uniform(0.5, 4))

    async def _restart(self) -> None:
        await self.stop()
        await self.start()

    @property
    def _store_pids(self) -> list[int]:
        return children_of(self._server.pid)


def send(signal_: signal.Signals, pids: Iterable[int]) -> None:
    """Send a signal to processes, of which some may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal_)


async def freeze(pids: Sequence[int], for_s: float) -> None:
    """Stop processes for a while, and let them go on."""
    send(signal.SIGSTOP, pids)
    try:
        await asyncio.sleep(for_s)
    finally:
        send(signal.SIGCONT, pids)


async def back(is_back: Callable[[], bool]) -> None:
    """Wait until a killed store is back. Raises Violated if it does not come."""
    try:
        async with asyncio.timeout(_STORE_BACK_S):
            while not is_back():  # noqa: ASYNC110 (/proc tells nobody)
                await asyncio.sleep(0.05)
    except TimeoutError:
        message = f"a killed store comes back: there was none after {_STORE_BACK_S:g} s"
        raise Violated(message) from None


def _used(pid: int | None) -> Used | None:
    used = usage(pid or 0)
    try:
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return None
    return None if used is None else Used(used.memory_bytes, files)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
