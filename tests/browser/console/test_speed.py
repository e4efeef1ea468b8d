"""The console under a load: what it waits for, what many positions cost, and whether it grows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, Route, expect

from lab.console import PATIENCE_S, Shown, spikes
from lab.site.devtools import Tab, devtools
from tests.browser.console.desk import Desk
from tests.browser.console.parts import DIGIT, figure, show, tile
from tests.kit.chromium import FLAGS
from tests.kit.machine import program

SCRIPTS = """() => {
    const inPage = (url) => new URL(url).pathname.replace(/.*static[^/]*/, "static");
    return {
        asked: [...document.querySelectorAll("link[rel=modulepreload]")].map((l) => inPage(l.href)),
        used: performance.getEntriesByType("resource").map(({ name }) => inPage(name))
            .filter((name) => name.endsWith(".js")),
    };
}"""
NO_MODULES = {"static/console/theme.js", "static/console/ticker.js", "static/console/main.js"}
"""What the page runs first, its worker, and what the page names as its script."""


async def test_the_page_shows_its_data_before_any_list_and_asks_for_all_scripts_at_once(
    page: Page, server: str, desk: Desk
) -> None:
    async def never(_route: Route) -> None:
        """No answer comes."""

    for name in ("sessions?limit=1000", "prices"):
        await page.route(f"**/api/auto-trader/{name}", never)
    await show(page, server, desk.session_id, symbols="NIFTY,TCS")
    await expect(tile(page, "NIFTY").locator(".last b")).to_have_text(DIGIT)
    await expect(figure(page, "currentCapital")).to_have_text(DIGIT)
    scripts = await page.evaluate(SCRIPTS)
    assert sorted(scripts["asked"]) == sorted({*scripts["used"]} - NO_MODULES)


BEAT = """async () => {
    const { onPainted, part, touchInBeat } = await moduleNamed("frame");
    const painted = [];
    let frames = 0;
    requestAnimationFrame(function count() {
        frames += 1;
        requestAnimationFrame(count);
    });
    for (const name of ["positions", "session", "prices"])
        part(name, () => painted.push([name, frames]));
    const ofFrames = () => new Set(painted.map(([, frame]) => frame)).size;
    for (let tries = 0; ofFrames() < 2 && tries < 50; tries += 1) {
        await new Promise(onPainted);  // a page that has just begun paints all at once, too
        painted.length = 0;
        touchInBeat("positions", "prices", "session");
        while (painted.length < 3) await new Promise(requestAnimationFrame);
    }
    return painted;
}"""


async def test_a_beat_is_painted_in_two_frames_prices_first(page: Page, ingest_server: str) -> None:
    async with Desk.at(ingest_server) as desk:
        await show(page, ingest_server, desk.session_id, symbols="NIFTY", interval=60_000)
        (first, at), *others = await page.evaluate(BEAT)
        assert first == "prices"
        assert [name for name, _ in others] == ["positions", "session"]
        assert {frame - at for _, frame in others} == {1}


KEEPING_TEXTS = """
window.texts = new Map();  // the newest of each type, symbol and trade
window.WebSocket = class extends WebSocket {
    constructor(url) {
        super(url);
        window.socket = this;
        this.addEventListener("message", ({ data }) => {
            const { type, data: { symbol = "", tradeId = "" } = {} } = JSON.parse(data);
            if (/^(price|pnl|session)_update$/.test(type)) texts.set(type + symbol + tradeId, data);
        });
    }
};"""
BEATS = 500
FASTER = """(async (beats) => {
    const { onmessage } = socket;
    socket.onmessage = null;  // what really comes would go back in time
    window.atMs ??= Date.now();
    for (; beats; beats -= 1) {
        window.atMs += 100;
        for (const text of texts.values()) {
            const message = JSON.parse(text);
            const { data } = message;
            for (const name of ["price", "currentPrice"])
                if (name in data) data[name] += beats % 3;
            data.timestamp = new Date(atMs).toISOString();
            onmessage.call(socket, { data: JSON.stringify(message) });
        }
        await new Promise(requestAnimationFrame);
    }
    socket.onmessage = onmessage;
})"""
"""The page's own handler gets what the server has sent, with other prices and times: a beat a
frame, instead of ten a second."""
LEAK = """import(new URL("stream.js", document.scripts[1].src)).then(({ client }) => {
    class Leaked {}
    window.leaked = [];
    client.on("session_update", () => leaked.push(new Leaked()));
})"""
"""One thing is kept of each beat, on purpose: whatever else is kept would be seen like it."""
COUNTED = {"object", "closure"}
FEWER = 400
"""What is kept of each beat, or of each price, is kept more often."""
LONG_MS = 250
"""Of CPU time, on a machine that others use: there 155 were seen for a reconnect."""


async def census(tab: Tab) -> Counter[str]:
    """How many things of each kind the page's scripts hold, and how many elements there are."""
    await tab.ask("HeapProfiler.takeHeapSnapshot")  # it collects what is dead
    chunks = [
        report["params"]["chunk"]
        for report in tab.browser.told
        if report["method"] == "HeapProfiler.addHeapSnapshotChunk"
    ]
    await tab.ask("Performance.enable")
    metrics = await tab.ask("Performance.getMetrics")
    found: dict[str, Any] = json.loads("".join(chunks))
    fields = found["snapshot"]["meta"]["node_fields"]
    assert fields[:2] == ["type", "name"]
    kinds = found["snapshot"]["meta"]["node_types"][0]
    width, nodes, texts = len(fields), found["nodes"], found["strings"]
    alive = Counter(
        f"{kinds[kind]} {texts[name].split('@')[0] if kinds[kind] == 'object' else ''}"
        for kind, name in zip(nodes[0::width], nodes[1::width], strict=True)
        if kinds[kind] in COUNTED
    )
    for metric in metrics["metrics"]:
        if metric["name"] in {"Nodes", "JSEventListeners"}:
            alive[metric["name"]] = int(metric["value"])
    return alive


async def kept(tab: Tab) -> dict[str, int]:
    """What there is more of after many beats."""
    before = await census(tab)
    await tab.evaluate(f"{FASTER}({BEATS})")
    after = await census(tab)
    return {kind: n - before[kind] for kind, n in after.items() if n - before[kind] > FEWER}


@pytest.mark.slow(30)
@pytest.mark.timeout(300)
async def test_prices_leave_nothing_behind_and_no_spike_of_positions_holds_it_up(
    ingest_server: str, tmp_path: Path
) -> None:
    symbols, positions = 60, 100
    names = [f"S{number}" for number in range(symbols)]
    chromium = program("chromium-headless-shell", "chromium", "google-chrome")
    async with (
        Desk.at(ingest_server) as desk,
        aiohttp.ClientSession(ingest_server) as http,
        devtools(chromium, tmp_path, *FLAGS) as browser,
    ):
        tab = await browser.open("about:blank")
        console = Shown(tab, http, desk.session_id, symbols)
        await desk.tick(*({"symbol": name, "price": 103 + n} for n, name in enumerate(names)))
        await console.open(positions)
        place = f"session={desk.session_id}&symbols={','.join(names)}&interval=100"
        await tab.go(f"{ingest_server}/?{place}", KEEPING_TEXTS)
        money = "document.querySelector('#positions tbody tr .pnl b')?.textContent"
        await tab.becomes(money, r"\d", PATIENCE_S)
        await tab.evaluate(f"{FASTER}(60)")  # until all that is bounded is full
        await tab.evaluate(LEAK)
        assert set(await kept(tab)) == {"object Leaked"}
        for what, longest_ms in (await spikes(console, positions)).items():
            assert longest_ms < LONG_MS, what
