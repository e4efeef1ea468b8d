"""What is compared and checked while a server is soaked, and at the end."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import aiohttp

from lab.site.server import own_environ
from lab.soak.actors import Site, Watcher
from lab.soak.costs import REPORTS
from lab.soak.faults import Processes
from lab.soak.report import Report
from lab.soak.truth import SessionTruth, Truth
from lab.soak.violated import Violated

_OVERLAP = 500
_MOST_GROWTH_BYTES = 100 << 20
_MOST_FILES_LEFT = 30
_QUIET_S = 30.0
_AWAY = (aiohttp.ClientError, OSError, TimeoutError)


class Checks:
    """Compares a server with what is known about it. All methods raise Violated."""

    def __init__(
        self,
        truth: Truth,
        site: Site,
        processes: Processes,
        report: Report,
        seen: Counter[str],
        *,
        storm: int,
    ) -> None:
        self._truth = truth
        self._site = site
        self._processes = processes
        self._report = report
        self._seen = seen
        self._storm = storm

    async def compare(self, *, everything: bool = False) -> None:
        """Compare what is stored with what is known. Skips a server that is away.

        Raises Violated.
        """
        for truth in self._truth.sessions:
            known = truth.acknowledged()
            since = 0 if everything else max(0, truth.newest_seq - _OVERLAP)
            path = f"/sessions/{truth.session_id}"
            try:
                status, session = await self._site.call("GET", path)
                if status == 200:
                    status = await self._fetch(truth, since, session["seq"])
                reports = REPORTS if everything else (self._site.rng.choice(REPORTS),)
                told = await self._reports(path, session["seq"], reports) if status == 200 else {}
            except _AWAY:
                status = 503
            if status == 503 and not everything:
                return
            if status != 200:
                raise Violated(f"what is stored can be read: GET {path}: {status}")
            truth.check_told(known.told_upto)
            truth.check_figures(session)
            truth.check_trades(known)
            truth.check_orders(known)
            truth.check_halts()
            truth.check_rules(session)
            for by, report in told.items():
                truth.book.check_report(by, report)
        self._report.checks += 1

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

    async def _reports(
        self, path: str, seq: int, kinds: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """Reports of a session's events up to a number; without those that count later ones."""
        told = {}
        for by in kinds:
            status, report = await self._site.call("GET", f"{path}/report?by={by}")
            after, session = await self._site.call("GET", path)
            if (status, after) == (200, 200) and session["seq"] == seq:
                told[by] = report
        self._seen["reports compared"] += len(told)
        return told

    async def sample(self) -> None:
        """Check the server's memory and files once a second. Raises Violated if they grow."""
        most_files = self._storm * 2 + 300
        while True:
            await asyncio.sleep(1)
            now = self._processes.memory_and_files()
            if now is None:
                continue
            memory, files = now
            growth, report = memory - self._processes.base[0], self._report
            report.most_memory_bytes = max(report.most_memory_bytes, memory)
            report.most_memory_growth_bytes = max(report.most_memory_growth_bytes, growth)
            report.most_files = max(report.most_files, files)
            if growth > _MOST_GROWTH_BYTES:
                raise Violated(f"memory does not grow without bound: {growth:,} bytes more")
            if files > most_files:
                raise Violated(f"files do not grow without bound: {files} are open")

    async def require_all_seen(self, watchers: Sequence[Watcher], newest: Sequence[int]) -> None:
        """Every watcher has come as far as the newest event of its session."""
        await within_quiet("every watcher sees every event", self._all_seen(watchers, newest))

    async def _all_seen(self, watchers: Sequence[Watcher], newest: Sequence[int]) -> None:
        while not self._truth.violated and any(  # noqa: ASYNC110 (positions tell nobody)
            watcher.position is None or watcher.position < seq or not watcher.has_seen_others
            for watcher, seq in zip(watchers, newest, strict=True)
        ):
            await asyncio.sleep(0.05)

    async def require_files_closed(self) -> None:
        """After everybody has left, check that their connections' files are closed."""
        most = self._processes.base[1] + _MOST_FILES_LEFT

        async def closed() -> None:
            # Nobody tells what is in /proc.
            while (now := self._processes.memory_and_files()) and now[1] > most:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

        await within_quiet("files of connections are closed when they end", closed())

    async def verify(self) -> str:
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


async def within_quiet(what: str, waited_for: Any) -> None:
    """Wait for it as long as it may take while nothing disturbs. Raises Violated."""
    try:
        await asyncio.wait_for(waited_for, _QUIET_S)
    except TimeoutError:
        raise Violated(f"{what}: not within {_QUIET_S:g} s of quiet") from None
