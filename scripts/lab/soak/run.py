"""A soak from its server to its report: who does what, and the order in which it ends."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from lab.cli import interruption
from lab.soak.actors import Feed, Watcher, Writer, guarded
from lab.soak.checks import Checks, within_quiet
from lab.soak.cluster import Cluster
from lab.soak.faults import Clients, Lane
from lab.soak.killer import Killer
from lab.soak.processes import OneServer, Processes
from lab.soak.promptness import Promptness
from lab.soak.report import Report
from lab.soak.ruler import Ruler
from lab.soak.site import Site
from lab.soak.spikes import Spikes
from lab.soak.truth import CAPITAL, SessionTruth, Truth

_WRITERS = 4
_WATCHERS = 6
_SESSIONS, _SESSIONS_ON_NODES = 2, 4
_MOST_START_S = 3.0


class Soak:
    """The server or the nodes, everybody who uses them, and what is known of them."""

    def __init__(
        self, options: argparse.Namespace, http: aiohttp.ClientSession, folder: Path
    ) -> None:
        self.report = Report(options.seed)
        self.truth = Truth()
        rng = random.Random(options.seed)
        self._seen: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._minutes = options.minutes
        self._site = Site(http, rng)
        self._feed = Feed(self._site)
        self._promptness = Promptness(self._site)
        self._cluster: Cluster | None = None
        self._spikes: Spikes | None = None
        self._processes: Processes
        if options.nodes > 1:
            self._cluster = Cluster(self._site, folder, options.nodes, options.seed)
            self._spikes = Spikes(self._site, self._seen)
            self._processes = self._cluster
        else:
            self._processes = OneServer(self._site, folder)
        self._clients = Clients(self._site, self.truth, self._feed, options.storm)
        self._checks = Checks(
            *(self.truth, self._site, self._processes, self.report, self._seen),
            storm=options.storm,
        )
        # Each with its own choices, so that one that takes longer does not change the other's.
        pause_s = min(6.0, max(0.8, options.minutes * 2))
        self._lanes = (
            Lane(self._processes.faults, random.Random(f"{options.seed} 1"), self._faults, pause_s),
            Lane(self._clients.faults, random.Random(f"{options.seed} 2"), self._faults, pause_s),
        )
        self._began_s = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Soak until the time is up, somebody stops it, or an invariant is violated."""
        await self._processes.start()
        await self._make_sessions()
        self._began_s = time.monotonic()  # to start takes a busy machine longer
        writers = [
            asyncio.create_task(guarded(self.truth, self._writer(n).run())) for n in range(_WRITERS)
        ]
        killer = Killer(self._site, self.truth.sessions, self._seen)
        writers.append(asyncio.create_task(guarded(self.truth, killer.run())))
        ruler = Ruler(self._site, self.truth.sessions, self._seen)
        rulers = (ruler.run(), ruler.square_off_now_and_then())
        writers += [asyncio.create_task(guarded(self.truth, each)) for each in rulers]
        watchers = [
            Watcher(self._site, self._session(n), self._seen, self._promptness, watches=n == 0)
            for n in range(_WATCHERS)
        ]
        watching = [asyncio.create_task(guarded(self.truth, each.run())) for each in watchers]
        others = [
            asyncio.create_task(guarded(self.truth, each))
            for each in (
                self._lanes[1].run(self._fault),
                self._checks.sample(),
                self._promptness.run(),
            )
        ]
        feeding = asyncio.create_task(guarded(self.truth, self._feed.run()))
        disturbing = asyncio.create_task(guarded(self.truth, self._lanes[0].run(self._disturb)))
        try:
            await self._until_over(stop, [*writers, *watching, *others, feeding, disturbing])
            self._lanes[0].stop()
            await disturbing  # else a server that is just being started would be left alone
            await _cancel(others)
            self._site.stopping.set()
            if not self.truth.violated:
                await guarded(self.truth, self._end(writers, feeding, watchers, watching))
        finally:
            await _cancel([*writers, *watching, *others, feeding, disturbing])
            await self._processes.close()
            self._fill_report(interrupted=stop.is_set())

    # -- while it runs -----------------------------------------------------------

    async def _make_sessions(self) -> None:
        for number in range(_SESSIONS if self._cluster is None else _SESSIONS_ON_NODES):
            body = {"startingCapital": CAPITAL}
            _, session = await self._site.until_answered("/sessions", body, f"soak {number}", {201})
            self.truth.sessions.append(SessionTruth(session["sessionId"]))
        if self._spikes is not None:
            await self._spikes.make_sessions()
        await self._feed.push(self._feed.ticks(), accepted=len(self._feed.prices))

    def _writer(self, number: int) -> Writer:
        return Writer(number, self._site, self._session(number), self._feed, self._promptness)

    def _session(self, number: int) -> SessionTruth:
        return self.truth.sessions[number % len(self.truth.sessions)]

    async def _until_over(self, stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
        ends = [asyncio.create_task(event.wait()) for event in (stop, self.truth.failed)]
        until_s = self._began_s + self._minutes * 60
        await asyncio.wait(
            [*ends, *tasks],
            timeout=max(0, until_s - time.monotonic()),
            return_when=asyncio.FIRST_COMPLETED,
        )
        await _cancel(ends)
        for task in tasks:
            if task.done():
                task.result()  # a fault of this program, not of the server

    async def _disturb(self, what: str, fault: Callable[[], Awaitable[None]]) -> None:
        self._tell(what)
        with self._site.disturbed():
            await fault()
            await self._processes.recover()
        await self._checks.compare()
        if self._spikes is not None:
            await self._spikes.round()

    async def _fault(self, what: str, fault: Callable[[], Awaitable[None]]) -> None:
        self._tell(what)
        await fault()

    def _tell(self, what: str) -> None:
        truth = self.truth.sessions
        used = max((now for now, _ in self._processes.used()), default=None)
        print(
            f"{time.monotonic() - self._began_s:6.1f} s  {what:28}"
            f"{sum(len(session.opened) for session in truth):6} opened "
            f"{sum(len(session.closed) for session in truth):6} closed "
            f"{self._seen['events seen']:7} events seen "
            f"{used[0] / 1e6 if used else 0:6.1f} MB {used[1] if used else 0:5} files",
            file=sys.stderr,
            flush=True,
        )

    # -- the end -----------------------------------------------------------------

    async def _end(
        self,
        writers: Sequence[asyncio.Task[None]],
        feeding: asyncio.Task[None],
        watchers: Sequence[Watcher],
        watching: Sequence[asyncio.Task[None]],
    ) -> None:
        """Let everybody finish, and compare everything: now, after a crash, and in the store."""
        self._tell("the end: all finish")
        await within_quiet("every request is answered in the end", asyncio.wait(writers))
        await _cancel([feeding])  # not before: what is halted may have to wait for a price
        await self._checks.compare(everything=True)
        newest = [self._session(number).newest_seq for number in range(len(watchers))]
        await self._checks.require_all_seen(watchers, newest)
        await _cancel(watching)
        if self.truth.violated:
            return
        await self._checks.require_files_closed()
        for after_crash in (False, True):
            if after_crash:
                await self._processes.crash()
            await self._checks.compare(everything=True)
            for truth in self.truth.sessions:
                truth.check_nothing_else()
        if self._cluster is not None and self._spikes is not None:
            await self._end_of_nodes(self._cluster, self._spikes)
        await self._processes.stop()
        self.report.verified = await self._checks.verify()
        if self._cluster is not None:
            await self._cluster.forget()

    async def _end_of_nodes(self, cluster: Cluster, spikes: Spikes) -> None:
        """A last spike, which nobody disturbs but the bus; and was that one bad enough?"""
        await spikes.round()
        await self._checks.compare_figures(spikes.sessions)
        await cluster.require_lies()
        self.report.bus = await cluster.count()

    def _fill_report(self, *, interrupted: bool) -> None:
        report, sessions = self.report, self.truth.sessions
        report.ran_s = round(time.monotonic() - self._began_s, 1)
        report.interrupted = interrupted
        report.violated = self.truth.violated
        report.faults = dict(sorted(self._faults.items()))
        report.seen = dict(sorted(self._seen.items()))
        report.events = sum(session.newest_seq for session in sessions)
        report.opened = sum(len(session.opened) for session in sessions)
        report.closed = sum(len(session.closed) for session in sessions)
        report.slowest_start_s = round(max(self._processes.start_s, default=0.0), 2)
        report.slowest_stop_s = round(max(self._processes.stop_s, default=0.0), 2)
        report.refusals = self._site.refusals
        report.slowest_refusal_s = round(self._site.slowest_refusal_s, 2)
        report.judged = self._promptness.judged
        report.slowest_event_s = round(self._promptness.slowest_s, 2)
        slow = [start_s for start_s in self._processes.start_s if start_s > _MOST_START_S]
        if slow:
            report.warnings.append(
                f"{len(slow)} of {len(self._processes.start_s)} starts took longer than "
                f"{_MOST_START_S:g} s; the machine's load is {os.getloadavg()[0]:.1f} now"
            )
        failures = [line for line in self._processes.problems if " ERROR " in line]
        report.warnings += failures[:10]
        if report.violated or failures:
            report.folder = str(self._processes.folder)


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Once is not always enough: a connection that is just being made may swallow it."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)


async def soak(options: argparse.Namespace) -> Report:
    """Carry it out; Ctrl-C or SIGTERM ends it with the report so far, a second one at once."""
    stop = interruption()
    folder = Path(tempfile.mkdtemp(prefix="vyomo-soak-"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        run = Soak(options, http, folder)
        try:
            await run.run(stop)
        finally:
            if run.report.folder is None:
                shutil.rmtree(folder, ignore_errors=True)
    return run.report
