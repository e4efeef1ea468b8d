"""Faults of a soaked server: in its processes, by clients, and by its price source."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from lab.crowd import pests
from lab.crowd.plan import Plan
from lab.crowd.swarm import Swarm
from lab.site.machine import usage
from lab.site.server import ServerUnderTest
from lab.soak.actors import HICCUPS, SLOW_TIMEOUT_S, SYMBOLS, Feed, Site
from lab.soak.truth import Truth
from lab.soak.violated import Violated

_PESTS_PATIENCE_S = 25.0
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


class Processes:
    """The server and its store: killed, frozen, stopped and started again on the same data."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.start_s: list[float] = []
        self.stop_s: list[float] = []
        self.server = ServerUnderTest(folder)
        self.base = (0, 0)
        """Memory and files of the current server right after its start."""
        self.folder = folder
        self._site = site

    @property
    def faults(self) -> list[Fault]:
        return [
            ("kill -9 of the server", self.kill_server),
            ("kill -9 of the store", self.kill_store),
            ("kill -9 of both", self.kill_both),
            ("store frozen", self.freeze_store),
            ("server and store frozen", self.freeze_all),
            ("SIGTERM and a new start", self.restart),
        ]

    @property
    def store_pids(self) -> list[int]:
        pid = self.server.pid
        path = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(child) for child in path.read_text().split()]

    async def start(self) -> None:
        """Start the server, the first time anywhere and then where it was."""
        port = urlsplit(self._site.url).port or 0
        began_s = time.monotonic()
        self.server = ServerUnderTest(self.folder, "--port", str(port), **SETTINGS)
        self._site.url = await self.server.start()
        self.start_s.append(time.monotonic() - began_s)
        self.base = self.memory_and_files() or self.base

    def memory_and_files(self) -> tuple[int, int] | None:
        """Bytes of memory and number of open files of the server, if it runs."""
        used = usage(self.server.pid or 0)
        try:
            files = len(list(Path(f"/proc/{self.server.pid}/fd").iterdir()))
        except OSError:
            return None
        return None if used is None else (used.memory_bytes, files)

    async def kill_server(self) -> None:
        await self.server.stop(signal.SIGKILL)
        await self.start()

    async def kill_both(self) -> None:
        for pid in self.store_pids:
            os.kill(pid, signal.SIGKILL)
        await self.kill_server()

    async def kill_store(self) -> None:
        before = self.store_pids
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        try:
            async with asyncio.timeout(_STORE_BACK_S):
                while not set(self.store_pids) - set(before):  # noqa: ASYNC110 (/proc tells nobody)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            message = f"a killed store comes back: there was none after {_STORE_BACK_S:g} s"
            raise Violated(message) from None

    async def freeze_store(self) -> None:
        await self._freeze(self.store_pids, self._site.rng.uniform(0.2, 4))

    async def freeze_all(self) -> None:
        assert self.server.pid is not None
        await self._freeze([self.server.pid, *self.store_pids], self._site.rng.uniform(0.5, 4))

    async def _freeze(self, pids: list[int], for_s: float) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        """SIGTERM. Raises Violated if the server does not end well, or leaves a process behind."""
        children = self.store_pids
        began_s = time.monotonic()
        code = await self.server.stop()
        took_s = time.monotonic() - began_s
        self.stop_s.append(took_s)
        if code or took_s > _MOST_STOP_S:
            raise Violated(f"SIGTERM ends the server: code {code} after {took_s:.1f} s")
        if left := [pid for pid in children if _is_running(pid)]:
            raise Violated(f"SIGTERM leaves no process behind: {left} still run")


class Clients:
    """Crowds that come at once, and clients that break the rules."""

    def __init__(self, site: Site, truth: Truth, feed: Feed, storm: int) -> None:
        self._site = site
        self._truth = truth
        self._feed = feed
        self.storm_clients = storm

    @property
    def faults(self) -> list[Fault]:
        def pest(kind: str) -> Fault:
            return f"clients: {kind}", lambda: self._pests(kind)

        def hiccup(kind: str) -> Fault:
            return f"feed: {kind}", lambda: self._feed.hiccup(kind)

        return [
            (f"{self.storm_clients} clients at once", self.storm),
            *(pest(kind) for kind in pests.KINDS),
            *(hiccup(kind) for kind in HICCUPS),
        ]

    async def storm(self) -> None:
        """All come, twice; what they see must be in order, and none may be turned away."""
        where = urlsplit(self._site.url)
        calm = self._site.calm
        for _ in range(2):
            session = self._site.rng.choice(self._truth.sessions)
            plan = Plan(
                address="127.0.0.1",
                port=where.port or 80,
                host=where.netloc,
                tls=False,
                session_id=session.session_id,
                symbols=list(SYMBOLS),
                interval_ms=1000,
                clients=self.storm_clients,
                sse_clients=self.storm_clients // 2,
                connects_per_s=500,
            )
            swarm = Swarm(plan)
            try:
                await swarm.ramp()
                await asyncio.sleep(0.5)
                checks = [watcher.seqs for watcher in swarm.watchers if watcher.seqs]
                if any(check.doubled or check.disordered or check.missing for check in checks):
                    raise Violated("every watcher sees every event once and in order: in a storm")
                turned_away = swarm.failed + swarm.dropped
                if turned_away and calm is not None and self._site.calm == calm:
                    raise Violated(f"who comes in a storm is served: {dict(turned_away)}")
            finally:
                swarm.close()

    async def _pests(self, kind: str) -> None:
        calm = self._site.calm
        pest = pests.KINDS[kind]
        each = [pest(self._site.url, _PESTS_PATIENCE_S) for _ in range(5)]
        for result in await asyncio.gather(*each, return_exceptions=True):
            if calm is None or self._site.calm != calm or result is None:
                continue  # its connection has ended, or may have ended for another reason
            if isinstance(result, pests.NotEnded):
                raise Violated(f"who breaks the rules is closed: {result}")
            if isinstance(result, BaseException) and not isinstance(result, OSError):
                raise result


class Lane:
    """One fault after another, chosen at random, with pauses in between."""

    def __init__(
        self, faults: list[Fault], rng: random.Random, counts: Counter[str], most_pause_s: float
    ) -> None:
        self._faults = faults
        self._rng = rng
        self._counts = counts
        self._most_pause_s = most_pause_s
        self._stopping = asyncio.Event()

    async def run(
        self, fault: Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]
    ) -> None:
        """Until stopped. Each kind comes once before one comes again."""
        while True:
            for name, do in self._rng.sample(self._faults, len(self._faults)):
                pause_s = self._rng.uniform(0.3, self._most_pause_s)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause_s)
                if self._stopping.is_set():
                    return
                await fault(name, do)
                self._counts[name] += 1

    def stop(self) -> None:
        """Begin no further fault; let the current one finish."""
        self._stopping.set()


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
