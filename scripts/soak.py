"""Soak test: a real server, used and disturbed at random for minutes or hours.

Four writers trade with retries, watchers follow over both transports and resume, a feed pushes
prices; meanwhile processes are killed and frozen, crowds come, clients break the rules and the
feed goes wrong. All along, and once more at the end, it is compared what was acknowledged, what
was told and what is stored. The same seed makes the same choices, though not the same moments.

Exit code: 0 every invariant held, 1 one did not (the last line names it and the seed), 2 wrong
flags or no server, 130 interrupted (with the report so far).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from machine import describe
from msgspec import Struct, field
from reporting import interruption, publish
from server_under_test import ServerFailed, own_environ
from soak_actors import Feed, Site, Watcher, Writer, guarded
from soak_faults import Clients, Lane, Processes
from soak_truth import CAPITAL, SessionTruth, Truth, Violated

_WRITERS = 4
_WATCHERS = 6
_SESSIONS = 2
_OVERLAP = 500
_MOST_START_S = 3.0
_MOST_GROWTH_BYTES = 100 << 20
_MOST_FILES_LEFT = 30
_QUIET_S = 30.0
_MOST_MINUTES = 100_000
_MOST_STORM = 5000
_AWAY = (aiohttp.ClientError, OSError, TimeoutError)


class Report(Struct, rename="camel"):
    """What came of a soak."""

    seed: str
    ran_s: float = 0.0
    interrupted: bool = False
    violated: list[str] = []
    warnings: list[str] = []
    faults: dict[str, int] = {}
    seen: dict[str, int] = {}
    events: int = 0
    opened: int = 0
    closed: int = 0
    checks: int = 0
    slowest_start_s: float = 0.0
    slowest_stop_s: float = 0.0
    most_memory_bytes: int = 0
    most_memory_growth_bytes: int = 0
    most_files: int = 0
    verified: str = "not there"
    folder: str | None = None
    """Data and log of the server, kept when an invariant was violated."""
    machine: dict[str, str | int] = field(default_factory=describe)


class Soak:
    """The server, everybody who uses it, and what is known of it."""

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
        self._processes = Processes(self._site, folder)
        self._clients = Clients(self._site, self.truth, self._feed, options.storm)
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
        writers = [
            asyncio.create_task(
                guarded(self.truth, Writer(n, self._site, self._session(n), self._feed).run())
            )
            for n in range(_WRITERS)
        ]
        watchers = [Watcher(self._site, self._session(n), self._seen) for n in range(_WATCHERS)]
        watching = [asyncio.create_task(guarded(self.truth, each.run())) for each in watchers]
        others = [
            asyncio.create_task(guarded(self.truth, each))
            for each in (self._feed.run(), self._lanes[1].run(self._fault), self._sample())
        ]
        disturbing = asyncio.create_task(guarded(self.truth, self._lanes[0].run(self._disturb)))
        try:
            await self._until_over(stop, [*writers, *watching, *others, disturbing])
            self._lanes[0].stop()
            await disturbing  # else a server that is just being started would be left alone
            await _cancel(others)
            self._site.stopping.set()
            if not self.truth.violated:
                await guarded(self.truth, self._end(writers, watchers, watching))
        finally:
            await _cancel([*writers, *watching, *others, disturbing])
            await self._processes.server.stop(signal.SIGKILL)
            self._fill_report(interrupted=stop.is_set())

    # -- while it runs -----------------------------------------------------------

    async def _make_sessions(self) -> None:
        for number in range(_SESSIONS):
            body = {"startingCapital": CAPITAL}
            _, session = await self._site.until_answered("/sessions", body, f"soak {number}", {201})
            self.truth.sessions.append(SessionTruth(session["sessionId"]))
        await self._feed.push(self._feed.ticks(), accepted=len(self._feed.prices))

    def _session(self, number: int) -> SessionTruth:
        return self.truth.sessions[number % _SESSIONS]

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
        await self._check()

    async def _fault(self, what: str, fault: Callable[[], Awaitable[None]]) -> None:
        self._tell(what)
        await fault()

    def _tell(self, what: str) -> None:
        truth = self.truth.sessions
        used = self._processes.memory_and_files()
        print(
            f"{time.monotonic() - self._began_s:6.1f} s  {what:28}"
            f"{sum(len(session.opened) for session in truth):6} opened "
            f"{sum(len(session.closed) for session in truth):6} closed "
            f"{self._seen['events seen']:7} events seen "
            f"{used[0] / 1e6 if used else 0:6.1f} MB {used[1] if used else 0:5} files",
            file=sys.stderr,
            flush=True,
        )

    async def _check(self, *, everything: bool = False) -> None:
        """Compare what is stored with what is known. A server that is away is not asked.

        Raises Violated.
        """
        for truth in self.truth.sessions:
            known = truth.acknowledged()
            since = 0 if everything else max(0, truth.newest_seq - _OVERLAP)
            path = f"/sessions/{truth.session_id}"
            try:
                status, session = await self._site.call("GET", path)
                if status == 200:
                    status = await self._fetch(truth, since, session["seq"])
            except _AWAY:
                status = 503
            if status == 503 and not everything:
                return
            if status != 200:
                raise Violated(f"what is stored can be read: GET {path}: {status}")
            truth.check_told(known.told_upto)
            truth.check_figures(session)
            truth.check_trades(known)
        self.report.checks += 1

    async def _fetch(self, truth: SessionTruth, since: int, upto: int) -> int:
        """Take the stored events up to a number at least; returns the last status."""
        while True:
            status, texts = await self._site.events(truth.session_id, since)
            if status != 200:
                return status
            truth.take(texts, since)
            since += len(texts)
            if since >= upto or not texts:
                return status

    async def _sample(self) -> None:
        """Look at the server's memory and files once a second. Raises Violated if they grow."""
        most_files = self._clients.storm_clients * 2 + 300
        while True:
            await asyncio.sleep(1)
            now = self._processes.memory_and_files()
            if now is None:
                continue
            memory, files = now
            growth, report = memory - self._processes.base[0], self.report
            report.most_memory_bytes = max(report.most_memory_bytes, memory)
            report.most_memory_growth_bytes = max(report.most_memory_growth_bytes, growth)
            report.most_files = max(report.most_files, files)
            if growth > _MOST_GROWTH_BYTES:
                raise Violated(f"memory does not grow without bound: {growth:,} bytes more")
            if files > most_files:
                raise Violated(f"files do not grow without bound: {files} are open")

    # -- the end -----------------------------------------------------------------

    async def _end(
        self,
        writers: Sequence[asyncio.Task[None]],
        watchers: Sequence[Watcher],
        watching: Sequence[asyncio.Task[None]],
    ) -> None:
        """Let all finish, and compare everything: now, after a crash, and in the store."""
        self._tell("the end: all finish")
        if self._processes.memory_and_files() is None:  # it was just being restarted
            await self._processes.start()
        await _within("every request is answered in the end", asyncio.wait(writers))
        await self._check(everything=True)
        await _within("every watcher sees every event", self._all_seen(watchers))
        await _cancel(watching)
        if self.truth.violated:
            return
        await self._require_files_closed()
        for after_crash in (False, True):
            if after_crash:
                await self._processes.kill_server()
            await self._check(everything=True)
            for truth in self.truth.sessions:
                truth.check_nothing_else()
        await self._processes.stop()
        self.report.verified = await self._verify()

    async def _all_seen(self, watchers: Sequence[Watcher]) -> None:
        newest = [self._session(number).newest_seq for number in range(len(watchers))]
        while not self.truth.violated and any(  # noqa: ASYNC110 (positions tell nobody)
            watcher.position is None or watcher.position < seq
            for watcher, seq in zip(watchers, newest, strict=True)
        ):
            await asyncio.sleep(0.05)

    async def _require_files_closed(self) -> None:
        """Everybody has left: what their connections had open is closed."""
        most = self._processes.base[1] + _MOST_FILES_LEFT

        async def closed() -> None:
            # Nobody tells what is in /proc.
            while (now := self._processes.memory_and_files()) and now[1] > most:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

        await _within("files of connections are closed when they end", closed())

    async def _verify(self) -> str:
        """What `vyomo-rt verify` finds."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vyomo_rt", "verify", "--data-dir", str(self._processes.folder),
            env=own_environ(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
        if process.returncode:
            raise Violated(f"vyomo-rt verify finds nothing: {said[-2000:]}")
        return "clean"

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
        slow = [start_s for start_s in self._processes.start_s if start_s > _MOST_START_S]
        if slow:
            report.warnings.append(
                f"{len(slow)} of {len(self._processes.start_s)} starts took longer than "
                f"{_MOST_START_S:g} s; the machine's load is {os.getloadavg()[0]:.1f} now"
            )
        failures = [line for line in self._processes.server.problems if " ERROR " in line]
        report.warnings += failures[:10]


async def _within(what: str, waited_for: Any) -> None:
    try:
        await asyncio.wait_for(waited_for, _QUIET_S)
    except TimeoutError:
        raise Violated(f"{what}: not within {_QUIET_S:g} s of quiet") from None


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Once is not always enough: a connection that is just being made may swallow it."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)


def table(report: Report) -> str:
    """A report for people."""
    faults = ", ".join(f"{count} × {name}" for name, count in report.faults.items())
    seen = ", ".join(f"{count:,} {name}" for name, count in report.seen.items())
    memory_mb, growth_mb = report.most_memory_bytes / 1e6, report.most_memory_growth_bytes / 1e6
    lines = [
        f"soaked for {report.ran_s:g} s with seed {report.seed}"
        + (" (interrupted)" if report.interrupted else ""),
        "",
        f"  faults     {faults or 'none'}",
        f"  trades     {report.opened:,} opened, {report.closed:,} closed, acknowledged",
        f"  events     {report.events:,} stored",
        f"  watchers   {seen or 'none'}",
        f"  checks     {report.checks}, vyomo-rt verify: {report.verified}",
        f"  starts     {report.slowest_start_s:g} s at most; SIGTERM {report.slowest_stop_s:g} s",
        f"  memory     {memory_mb:.1f} MB at most, {growth_mb:.1f} MB more than after its start",
        f"  files      {report.most_files} open at most",
        *(f"warning: {warning}" for warning in report.warnings),
        *(f"VIOLATED (seed {report.seed}): {what}" for what in report.violated),
    ]
    if report.folder:
        lines.append(f"data and log of the server: {report.folder}")
    elif not report.violated:
        lines.append("every invariant held" + (" so far" if report.interrupted else ""))
    return "\n".join(lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The flags; argparse itself exits for --help and misuse."""

    parser = argparse.ArgumentParser(
        prog="soak",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10, help="default: %(default)s")
    parser.add_argument(
        "--seed", default=str(random.randrange(10**6)), help="of all choices; default: a new one"
    )
    parser.add_argument(
        "--storm", type=int, default=300, metavar="N", help="clients at once; default: %(default)s"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report there too; - is stdout")
    options = parser.parse_args(argv)
    if not 0 < options.minutes <= _MOST_MINUTES:
        parser.error(f"--minutes: must be more than 0 and at most {_MOST_MINUTES}")
    if not 2 <= options.storm <= _MOST_STORM:
        parser.error(f"--storm: must be from 2 to {_MOST_STORM}")
    if options.json not in (None, "-") and not Path(options.json).parent.is_dir():
        parser.error(f"--json: there is no folder {Path(options.json).parent}")
    return options


async def soak(options: argparse.Namespace) -> Report:
    """Carry it out; Ctrl-C or SIGTERM ends it with the report so far, a second one at once."""
    stop = interruption()
    folder = Path(tempfile.mkdtemp(prefix="vyomo-soak-"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        run = Soak(options, http, folder)
        try:
            await run.run(stop)
        finally:
            if run.report.violated:
                run.report.folder = str(folder)
            else:
                shutil.rmtree(folder, ignore_errors=True)
    return run.report


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak and return its exit code."""
    options = parse(argv)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        report = asyncio.run(soak(options))
    except ServerFailed as problem:
        print(f"soak: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    publish(report, table(report), options.json)
    if report.violated:
        return 1
    return 130 if report.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
