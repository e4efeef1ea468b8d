"""The console under a load: what it waits for, what many positions cost, and whether it grows."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, Route, expect

from lab.console import Shown, spikes
from tests.browser.console.desk import Desk
from tests.browser.console.parts import DIGIT, figure, show, tile

SCRIPTS = """() => {
    const inPage = (url) => new URL(url).pathname.replace(/.*static/, "static");
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
FASTER = """async (beats) => {
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
}"""
"""The page's own handler gets what the server has sent, with other prices and times: as many beats
as it paints, instead of ten a second."""
LEAK = """import("/static/console/stream.js").then(({ client }) => {
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


async def census(page: Page) -> Counter[str]:
    """How many things of each kind the page's scripts hold, and how many elements there are."""
    devtools = await page.context.new_cdp_session(page)
    chunks: list[str] = []
    devtools.on("HeapProfiler.addHeapSnapshotChunk", lambda event: chunks.append(event["chunk"]))
    await devtools.send("HeapProfiler.takeHeapSnapshot")  # it collects what is dead
    await devtools.send("Performance.enable")
    metrics: dict[str, Any] = await devtools.send("Performance.getMetrics")
    await devtools.detach()
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


async def kept(page: Page) -> dict[str, int]:
    """What there is more of after many beats."""
    before = await census(page)
    await page.evaluate(FASTER, BEATS)
    after = await census(page)
    return {kind: n - before[kind] for kind, n in after.items() if n - before[kind] > FEWER}


@pytest.mark.slow(50)
@pytest.mark.timeout(300)
async def test_prices_leave_nothing_behind_and_no_spike_of_positions_holds_it_up(
    page: Page, ingest_server: str
) -> None:
    symbols, positions = 60, 100
    names = [f"S{number}" for number in range(symbols)]
    await page.add_init_script(KEEPING_TEXTS)
    async with Desk.at(ingest_server) as desk, aiohttp.ClientSession(ingest_server) as http:
        console = Shown(page, http, desk.session_id, symbols)
        await desk.tick(*({"symbol": name, "price": 103 + n} for n, name in enumerate(names)))
        await console.open(positions)
        await show(page, ingest_server, desk.session_id, symbols=",".join(names), interval=100)
        await expect(page.locator("#positions tbody tr .pnl b").first).to_have_text(DIGIT)
        await page.evaluate(FASTER, 60)  # until all that is bounded is full
        await page.evaluate(LEAK)
        assert set(await kept(page)) == {"object Leaked"}
        for what, longest_ms in (await spikes(console, positions)).items():
            assert longest_ms < LONG_MS, what
