"""Faults by the clients of a soaked server and by its price source, and when faults come."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit

from lab.crowd import pests
from lab.crowd.plan import Plan
from lab.crowd.swarm import Swarm
from lab.soak.actors import HICCUPS, SYMBOLS, Feed
from lab.soak.processes import Fault
from lab.soak.site import Site
from lab.soak.truth import Truth
from lab.soak.violated import Violated

_PESTS_PATIENCE_S = 25.0


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
