"""What is compared and checked while a server is soaked, and at the end."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lab.site.server import own_environ
from lab.site.target import AWAY
from lab.soak.actors import Watcher
from lab.soak.costs import REPORTS
from lab.soak.processes import Processes, Used
from lab.soak.report import Report
from lab.soak.site import Site
from lab.soak.truth import Acknowledged, SessionTruth, Truth
from lab.soak.violated import Violated

_OVERLAP = 500
_MOST_GROWTH_BYTES = 100 << 20
_MOST_FILES_LEFT = 30
_QUIET_S = 30.0
_LOOK_S = 0.2
_REPAIRED_S = 10.0
"""How long another node may know less, on a busy machine; 2 s are promised."""


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
        """Compare what a node says is stored, or each, with what is known.

        Skips one that is away. Raises Violated.
        """
        for truth in self._truth.sessions:
            for url in self._site.urls if everything else [self._site.url]:
                if not await self._compare(truth, url, everything=everything):
                    return
        self._report.checks += 1

    async def compare_figures(self, sessions: Sequence[SessionTruth]) -> None:
        """Compare the figures of many sessions, each on any node. Raises Violated."""
        for truth in sessions:
            url = self._site.url
            path = f"/sessions/{truth.session_id}"
            status, session = await self._site.call("GET", path, url=url)
            if status == 200:
                status = await self._fetch(truth, url, 0, session["seq"])
            if status != 200:
                raise Violated(f"what is stored can be read: GET {path}: {status}")
            truth.check_figures(session)
            truth.check_moments()
            truth.check_nothing_else()

    async def _compare(self, truth: SessionTruth, url: str, *, everything: bool) -> bool:
        """Whether a node was there to be compared."""
        known = truth.acknowledged()
        since = 0 if everything else max(0, truth.newest_seq - _OVERLAP)
        path = f"/sessions/{truth.session_id}"
        try:
            status, session = await self._caught_up(truth, known, url, since)
            reports = REPORTS if everything else (self._site.rng.choice(REPORTS),)
            told = await self._reports(path, url, session["seq"], reports) if status == 200 else {}
        except AWAY:
            status = 503
        if status == 503 and not everything:
            return False
        if status != 200:
            raise Violated(f"what is stored can be read: GET {path}: {status}")
        truth.check_told(known.told_upto)
        truth.check_figures(session)
        truth.check_trades(known)
        truth.check_orders(known)
        truth.check_moments()
        truth.check_halts()
        truth.check_rules(session)
        for by, report in told.items():
            truth.book.check_report(by, report)
        return True

    async def _caught_up(
        self, truth: SessionTruth, known: Acknowledged, url: str, since: int
    ) -> tuple[int, dict[str, Any]]:
        """Status and document of a session, after taking its events from the same node.

        A position that another node has told is good here at once. What another node has
        acknowledged and nobody was told of may come a little later.
        """
        path, until_s = f"/sessions/{truth.session_id}", time.monotonic() + _REPAIRED_S
        position = max(known.told_upto, truth.newest_seq)
        status, _ = await self._site.events(url, truth.session_id, position)
        if status != 200:
            return status, {}
        while True:
            status, session = await self._site.call("GET", path, url=url)
            if status == 200:
                status = await self._fetch(truth, url, since, session["seq"])
            if status != 200 or truth.holds(known) or time.monotonic() > until_s:
                return status, session
            await asyncio.sleep(_LOOK_S)

    async def _fetch(self, truth: SessionTruth, url: str, since: int, upto: int) -> int:
        """Take a node's stored events up to a number at least; returns the last status."""
        while True:
            status, texts = await self._site.events(url, truth.session_id, since)
            if status != 200:
                return status
            truth.take(texts, since)
            since += len(texts)
            if since >= upto or not texts:
                return status

    async def _reports(
        self, path: str, url: str, seq: int, kinds: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """Reports of a session's events up to a number; without those that count later ones."""
        told = {}
        for by in kinds:
            status, report = await self._site.call("GET", f"{path}/report?by={by}", url=url)
            after, session = await self._site.call("GET", path, url=url)
            if (status, after) == (200, 200) and session["seq"] == seq:
                told[by] = report
        self._seen["reports compared"] += len(told)
        return told

    async def sample(self) -> None:
        """Check the server's memory and files once a second. Raises Violated if they grow."""
        most_files = self._storm * 2 + 300
        while True:
            await asyncio.sleep(1)
            for now, base in self._processes.used():
                self._sample(now, now.memory_bytes - base.memory_bytes, most_files)

    def _sample(self, now: Used, growth: int, most_files: int) -> None:
        report = self._report
        report.most_memory_bytes = max(report.most_memory_bytes, now.memory_bytes)
        report.most_memory_growth_bytes = max(report.most_memory_growth_bytes, growth)
        report.most_files = max(report.most_files, now.files)
        if growth > _MOST_GROWTH_BYTES:
            raise Violated(f"memory does not grow without bound: {growth:,} bytes more")
        if now.files > most_files:
            raise Violated(f"files do not grow without bound: {now.files} are open")

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

        async def closed() -> None:
            while any(  # noqa: ASYNC110 (nobody tells what is in /proc)
                now.files > base.files + _MOST_FILES_LEFT for now, base in self._processes.used()
            ):
                await asyncio.sleep(0.1)

        await within_quiet("files of connections are closed when they end", closed())

    async def verify(self) -> str:
        """What `vyomo-rt verify` finds."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vyomo_rt", "verify"),
            env=own_environ() | self._processes.store,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
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
