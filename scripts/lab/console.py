"""What the console costs a browser that has one core: frames, long tasks, memory."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from statistics import fmean, linear_regression, quantiles
from typing import Any, NamedTuple
from uuid import uuid4

import aiohttp

from lab.site.devtools import Tab, devtools
from lab.site.machine import children_of, pin
from lab.site.producer import pushing
from lab.site.server import ServerUnderTest, on_first_core

API = "/api/auto-trader"
EVERY_MS = 100
AT_ONCE = 8
"""Orders; each has a connection."""
COLLECTIONS = 12
"""Each time that memory is looked at."""
BETWEEN_COLLECTIONS_S = 0.13
"""Not a multiple of `EVERY_MS`: so they come at different times of a beat."""
PATIENCE_S = 120
"""Until all of it is on the page, on a busy machine."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--window-size=1920,1080",
)
_WATCHING = """
window.measured = { frames: [], tasks: [], firstMs: null };
new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) measured.tasks.push(duration);
}).observe({ type: "longtask", buffered: true });
let last = performance.now();
requestAnimationFrame(function frame(now) {
    measured.frames.push(now - last);
    last = now;
    if (measured.firstMs === null) {
        const first = document.querySelector(".tile .last b")?.textContent ?? "";
        if (/\\d/.test(first)) measured.firstMs = now;
    }
    requestAnimationFrame(frame);
});
"""
_ROWS = "document.querySelectorAll('#positions tbody tr').length"
_TAKEN = """(() => {
    const { frames, tasks } = measured;
    Object.assign(measured, { frames: [], tasks: [] });
    return { frames, tasks };
})()"""


class Load(NamedTuple):
    """What the page shows, and how long it is looked at."""

    symbols: int = 200
    positions: int = 100
    settle_s: float = 60
    """Before anything counts."""
    watch_s: float = 540
    samples: int = 10
    """How often memory is looked at: at the beginning, the end, and between."""


class Cost(NamedTuple):
    """What was measured."""

    first_ms: float
    """From the page's start until a price is on it."""
    frames_ms: Sequence[float]
    """From each frame to the next."""
    long_tasks_ms: Sequence[float]
    """Those of more than 50 ms, after the page settled."""
    busy_percent: float
    """CPU time of the page's own thread."""
    heaps_bytes: Sequence[int]
    """Of the page's scripts: what was left after forced collections, at equal distances."""
    elements: Sequence[int]
    """Nodes of documents at the same moments, also those that only a script still holds."""
    spikes_ms: dict[str, float]
    """The longest task of each, as CPU time."""

    @property
    def p99_ms(self) -> float:
        return quantiles(self.frames_ms, n=100)[-1]

    def flatness(self, first: int = 0) -> tuple[float, float]:
        """Of memory from one of the collections on, in percent of its mean: the largest distance
        from it, and the rise of a straight line through all."""
        heaps = self.heaps_bytes[first:]
        mean = fmean(heaps)
        slope = linear_regression(range(len(heaps)), heaps).slope
        swing = max(abs(heap - mean) for heap in heaps)
        return swing / mean * 100, slope * (len(heaps) - 1) / mean * 100


class Shown(NamedTuple):
    """A page that shows a session with positions while prices are pushed."""

    tab: Tab
    http: aiohttp.ClientSession
    """To its server."""
    session_id: int
    symbols: int

    async def open(self, positions: int) -> None:
        """Open so many positions, some at a time."""
        await asyncio.gather(*map(self._open, range(positions)))

    async def _open(self, number: int) -> None:
        symbol = number % self.symbols
        order = {
            "symbol": f"S{symbol}",
            "side": "BUY",
            "quantity": 10 + number,
            "entryPrice": 102 + symbol,
            "stopLoss": 90 + symbol,
            "target": 120 + symbol,
        }
        await self._post("trades", order)

    async def close_all(self) -> None:
        await self._post("close-all", {"halt": False})

    async def _post(self, what: str, body: dict[str, Any]) -> None:
        """Again while the server is too busy: on a busy machine it may be."""
        key = {"Idempotency-Key": uuid4().hex}
        path = f"{API}/sessions/{self.session_id}/{what}"
        while True:
            async with self.http.post(path, json=body, headers=key) as answer:
                if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                    answer.raise_for_status()
                    return
            await asyncio.sleep(0.2)

    async def cut(self) -> None:
        """End the page's connection; it comes back by itself."""
        await self.tab.evaluate(
            'import(new URL("stream.js", document.scripts[1].src)).then((m) => m.client.cut())'
        )

    async def longest_task_ms(self, positions: int, *acts: Awaitable[None]) -> float:
        """CPU time of the page's longest task from these acts until it shows so many positions.

        By the clock it would also count what other programs do.
        """
        await self.tab.browser.trace("toplevel")
        for act in acts:
            await act
        await self.tab.becomes(_ROWS, f"^{positions}$", PATIENCE_S)
        await asyncio.sleep(1)
        return _longest_task_ms(await self.tab.browser.traced())


def _longest_task_ms(events: list[dict[str, Any]]) -> float:
    pages = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    durations_us: list[float] = [
        event["tdur"]
        for event in events
        if event["name"].endswith("RunTask")
        and "tdur" in event
        and (event["pid"], event["tid"]) in pages
    ]
    return max(durations_us) / 1000


@asynccontextmanager
async def shown(load: Load) -> AsyncIterator[Shown]:
    """A fresh server on the first core, and a browser on another one with its console.

    Raises ServerFailed, ProducerFailed.
    """
    async with AsyncExitStack() as stack:
        served = on_first_core(ServerUnderTest, 10, feed="ingest")
        server, cores = await stack.enter_async_context(served)
        core = 0 if cores else None
        if core is not None:  # its store, too: the browser has its core to itself
            for child in children_of(server.pid):
                pin(child, core)
        ticks_per_s = load.symbols * 1000 // EVERY_MS
        await stack.enter_async_context(
            pushing(server.url, ticks_per_s, load.symbols, load.symbols, core)
        )
        some = aiohttp.TCPConnector(limit=AT_ONCE)
        http = await stack.enter_async_context(aiohttp.ClientSession(server.url, connector=some))
        capital = {"startingCapital": 10_000_000, "name": "Many positions"}
        async with http.post(f"{API}/sessions", json=capital, raise_for_status=True) as answer:
            session_id = int((await answer.json())["sessionId"])
        tab = await stack.enter_async_context(_page(core))
        console = Shown(tab, http, session_id, load.symbols)
        await console.open(load.positions)
        symbols = ",".join(f"S{number}" for number in range(load.symbols))
        place = f"session={session_id}&symbols={symbols}&interval={EVERY_MS}"
        await tab.go(f"{server.url}/?{place}", _WATCHING)
        await tab.becomes("measured.firstMs", r"\d", PATIENCE_S)
        yield console


@asynccontextmanager
async def _page(core: int | None) -> AsyncIterator[Tab]:
    """An empty one, of a browser on the cores where this process was; this process then leaves
    them to it for another one, if there is one."""
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if program is None:
        raise FileNotFoundError("chromium is not installed")
    with tempfile.TemporaryDirectory(prefix="vyomo-browser-") as folder:
        async with devtools(program, Path(folder), *FLAGS) as browser:
            cores = os.sched_getaffinity(0) if core is not None else set()
            if core is not None:
                os.sched_setaffinity(0, {core})
            try:
                yield await browser.open("about:blank")
            finally:
                if core is not None:
                    os.sched_setaffinity(0, cores)


async def measure(load: Load) -> Cost:
    """What the page costs while prices come, and in spikes. Raises ServerFailed, ProducerFailed."""
    async with shown(load) as console:
        cost = await _watched(console.tab, load)
        return cost._replace(spikes_ms=await spikes(console, load.positions))


async def spikes(console: Shown, positions: int) -> dict[str, float]:
    """The longest task, as CPU time, of what brings much at once to a page with positions."""
    return {
        "all close": await console.longest_task_ms(0, console.close_all()),
        "all open": await console.longest_task_ms(positions, console.open(positions)),
        "a reconnect with as many again": await console.longest_task_ms(
            2 * positions, console.cut(), console.open(positions)
        ),
    }


async def _watched(tab: Tab, load: Load) -> Cost:
    first_ms = float(await tab.evaluate("measured.firstMs"))
    await asyncio.sleep(load.settle_s)
    # CPU time of the page's own thread: the clock would also count what other programs do.
    await tab.ask("Performance.enable", timeDomain="threadTicks")
    heaps, frames, tasks = [await _heap(tab)], [], []
    elements = [int(await _metric(tab, "Nodes"))]
    busy_s = 0.0
    for _ in range(load.samples - 1):
        # A collection is a long task of our own making: what it does to frames does not count.
        await asyncio.sleep(1)
        await tab.evaluate(_TAKEN)
        before_s = await _metric(tab, "TaskDuration")
        await asyncio.sleep(load.watch_s / (load.samples - 1) - 1)
        busy_s += await _metric(tab, "TaskDuration") - before_s
        taken = await tab.evaluate(_TAKEN)
        frames += taken["frames"]
        tasks += taken["tasks"]
        heaps.append(await _heap(tab))
        elements.append(int(await _metric(tab, "Nodes")))
    busy_percent = busy_s / (load.watch_s - load.samples + 1) * 100
    return Cost(first_ms, frames, tasks, busy_percent, heaps, elements, {})


async def _heap(tab: Tab) -> int:
    """The least of some: what a beat leaves between a collection and the question counts, too, and
    the second collection frees what the first one finalises."""
    used_bytes = []
    for _ in range(COLLECTIONS):
        await asyncio.sleep(BETWEEN_COLLECTIONS_S)
        await tab.ask("HeapProfiler.collectGarbage")
        used_bytes.append(int((await tab.ask("Runtime.getHeapUsage"))["usedSize"]))
    return min(used_bytes)


async def _metric(tab: Tab, name: str) -> float:
    metrics = (await tab.ask("Performance.getMetrics"))["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == name))
