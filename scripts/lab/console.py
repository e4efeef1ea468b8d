"""What the console costs a browser that has one core: frames, long tasks, memory."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import quantiles
from typing import Any, NamedTuple

import aiohttp
from playwright.async_api import CDPSession, Page, async_playwright

from lab.site.producer import pushing
from lab.site.server import ServerUnderTest, on_first_core

API = "/api/auto-trader"
EVERY_MS = 100
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_WATCHING = """
window.measured = { frames: [], tasks: [], firstMs: null };
new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) measured.tasks.push(duration);
}).observe({ type: "longtask", buffered: true });
let last = performance.now();
requestAnimationFrame(function frame(now) {
    measured.frames.push(now - last);
    last = now;
    const first = document.querySelector(".tile .last b")?.textContent ?? "";
    if (measured.firstMs === null && /\\d/.test(first)) measured.firstMs = now;
    requestAnimationFrame(frame);
});
"""
_TAKEN = """() => {
    const { frames, tasks } = measured;
    Object.assign(measured, { frames: [], tasks: [] });
    return { frames, tasks };
}"""


class Load(NamedTuple):
    """What the page shows, and how long it is looked at."""

    symbols: int = 200
    positions: int = 100
    settle_s: float = 180
    """Before frames and memory count: lists, lines and curves fill until then."""
    watch_s: float = 420


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
    """What was left after forced collections, at equal distances."""

    @property
    def p99_ms(self) -> float:
        return quantiles(self.frames_ms, n=100)[-1]

    @property
    def growth_percent(self) -> float:
        """Of the memory, from the first collection to the last."""
        return (self.heaps_bytes[-1] / self.heaps_bytes[0] - 1) * 100


async def measure(load: Load, samples: int = 8) -> Cost:
    """Measure a fresh server's page, the server on the first core and the browser on another.

    Raises ServerFailed, ProducerFailed.
    """
    async with AsyncExitStack() as stack:
        served = on_first_core(ServerUnderTest, 10, feed="ingest")
        server, cores = await stack.enter_async_context(served)
        core = 0 if cores else None
        ticks_per_s = load.symbols * 1000 // EVERY_MS
        await stack.enter_async_context(
            pushing(server.url, ticks_per_s, load.symbols, load.symbols, core)
        )
        session_id = await _open(server.url, load)
        playwright = await stack.enter_async_context(async_playwright())
        # A program that this process starts is on the core where this process is.
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell") or shutil.which("chromium"),
            args=FLAGS,
        )
        stack.push_async_callback(browser.close)
        page = await browser.new_page(viewport={"width": 1920, "height": 1080})
        await page.add_init_script(_WATCHING)
        symbols = ",".join(f"S{number}" for number in range(load.symbols))
        await page.goto(f"{server.url}/?session={session_id}&symbols={symbols}&interval={EVERY_MS}")
        await page.locator(".tile .last b", has_text=re.compile(r"\d")).first.wait_for()
        return await _watched(page, load, samples)


async def _open(url: str, load: Load) -> int:
    """A session with so many positions."""
    async with aiohttp.ClientSession(url) as http:
        capital = {"startingCapital": 10_000_000, "name": "Many positions"}
        async with http.post(f"{API}/sessions", json=capital, raise_for_status=True) as answer:
            session_id = int((await answer.json())["sessionId"])
        for number in range(load.positions):
            symbol = number % load.symbols
            order = {
                "symbol": f"S{symbol}",
                "side": "BUY",
                "quantity": 10 + number,
                "entryPrice": 102 + symbol,
                "stopLoss": 90 + symbol,
                "target": 120 + symbol,
            }
            path = f"{API}/sessions/{session_id}/trades"
            async with http.post(path, json=order, raise_for_status=True):
                pass
    return session_id


async def _watched(page: Page, load: Load, samples: int) -> Cost:
    first_ms = float(await page.evaluate("measured.firstMs ?? performance.now()"))
    await asyncio.sleep(load.settle_s)
    devtools = await page.context.new_cdp_session(page)
    # CPU time of the page's own thread: the clock would also count what other programs do.
    await devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    heaps, frames, tasks = [await _heap(devtools)], [], []
    busy_s = 0.0
    for _ in range(samples - 1):
        # A collection is a long task of our own making: what it does to frames does not count.
        await asyncio.sleep(1)
        await page.evaluate(_TAKEN)
        before_s = await _busy_s(devtools)
        await asyncio.sleep(load.watch_s / (samples - 1))
        busy_s += await _busy_s(devtools) - before_s
        taken = await page.evaluate(_TAKEN)
        frames += taken["frames"]
        tasks += taken["tasks"]
        heaps.append(await _heap(devtools))
    return Cost(first_ms, frames, tasks, busy_s / load.watch_s * 100, heaps)


async def _heap(devtools: CDPSession) -> int:
    for _ in range(2):  # what the first one finalises, the second one frees
        await devtools.send("HeapProfiler.collectGarbage")
    used: dict[str, Any] = await devtools.send("Runtime.getHeapUsage")
    return int(used["usedSize"])


async def _busy_s(devtools: CDPSession) -> float:
    metrics: dict[str, Any] = await devtools.send("Performance.getMetrics")
    return float(next(one["value"] for one in metrics["metrics"] if one["name"] == "TaskDuration"))
