"""The console in a tab that nobody looks at: hidden, and frozen by the browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from lab.site.devtools import DevTools, devtools
from tests.browser.console.desk import Desk
from tests.browser.console.parts import LIVE, LOG
from tests.kit.chromium import FLAGS
from tests.kit.machine import Strain, program
from tests.kit.proxy import Proxy

TITLE, LINK = "document.title", "document.querySelector('#link-text')?.textContent"
LISTEN = """Promise.all(["stream", "model"]
    .map((name) => import(new URL(`${name}.js`, document.scripts[1].src))))
        .then(([{ client }, { model }]) => {
    globalThis.told = [];
    for (const type of ["freeze", "resume"]) document.addEventListener(type, () => told.push(type));
    client.on("gap", () => told.push("gap"));
    globalThis.rung = [];
    globalThis.Notification = class { static permission = "granted";
        static requestPermission = async () => "granted";
        constructor(_, { body }) {
            rung.push(document.title, body, Date.now() - model.heardAtWallMs); } };
    const { start } = OscillatorNode.prototype;
    OscillatorNode.prototype.start = function (at) { rung.push("♪"); start.call(this, at); };
    for (const id of ["sound", "notify"]) document.getElementById(id).click();
})"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium_window(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevTools]:
    chromium = program("chromium", "chromium-browser", "google-chrome")
    async with devtools(chromium, tmp_path_factory.mktemp("chromium"), *FLAGS) as window:
        yield window


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_a_hidden_tab_tells_no_old_profit_but_rings_and_one_that_was_frozen_catches_up(
    chromium_window: DevTools, proxy: Proxy, desk: Desk, transport: str
) -> None:
    await desk.open(entryPrice=1)
    fields = {"session": desk.session_id, "interval": 60_000, "transport": transport}
    tab = await chromium_window.open(f"{proxy.url}/?{urlencode(fields)}")
    await tab.becomes(LINK, LIVE[transport])
    await tab.becomes(TITLE, r"^\+₹")
    await tab.evaluate(LISTEN)
    await chromium_window.open("about:blank")
    await tab.becomes("document.visibilityState", "hidden")

    # The next figures are due in a minute; that nobody is there is told long before.
    strain = Strain()
    proxy.black_hole()
    await tab.becomes(TITLE, "^not live")
    await tab.becomes("rung", "not live")
    *tune, title, told, after_ms = (await tab.evaluate("rung"))[-6:]
    assert tune == ["♪"] * 3
    assert title.startswith("not live")
    assert told.startswith("The page is not live, as of ")
    assert after_ms < 5000 * strain.factor()
    proxy.mend()
    await tab.becomes(TITLE, r"^\+₹")

    await tab.freeze()
    await desk.close(await desk.open())
    await desk.open("NIFTY")
    assert await tab.evaluate("told") == ["freeze"]
    await tab.freeze(frozen=False)
    await tab.becomes("told", "resume")
    await tab.show()
    await tab.becomes("document.querySelector('[data-figure=totalTrades]').textContent", "^3$")
    await tab.becomes(LINK, LIVE[transport])
    await tab.becomes(f"{LOG}.length", "^4$")  # what was before the page is fetched by itself
    assert [tuple(row) for row in await tab.evaluate(LOG)] == await desk.trade_ids()
    assert await tab.evaluate("told") == ["freeze", "resume"], "nothing is missing"
