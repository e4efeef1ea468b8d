"""The console when connections are cut, servers die, and transports change; and its drawer."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from lab.site.nats_server import running_nats
from tests.browser.console.desk import Desk
from tests.browser.console.parts import (
    DIGIT,
    LIVE,
    changes,
    drawer,
    figure,
    link,
    log,
    position,
    press,
    show,
    tile,
    toast,
)
from tests.kit.proxy import Proxy
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.waiting import PATIENCE_S, until


async def first_price(page: Page) -> float:
    """The price from which the tile of NIFTY counts its change."""
    first: float = await page.evaluate(
        """async () => {
            const { model } = await moduleNamed("model");
            return model.prices.get("NIFTY").first;
        }"""
    )
    return first


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_a_cut_line_dims_the_figures_and_is_resumed_without_a_gap(
    page: Page, proxy: Proxy, desk: Desk, transport: str
) -> None:
    await show(page, proxy.url, desk.session_id, symbols="NIFTY", transport=transport)
    before = await desk.open()
    await expect(position(page, before)).to_be_visible()

    await expect(tile(page, "NIFTY").locator(".last b")).to_have_text(DIGIT)
    first = await first_price(page)
    place, refusal = page.locator("#place"), page.locator("#refusal")
    await expect(refusal).to_be_empty()
    green = await place.evaluate("one => getComputedStyle(one).backgroundColor")

    proxy.cut()
    banner = page.locator("#link-banner")
    await expect(banner).to_contain_text(re.compile(r"Figures are as of \d\d:\d\d:\d\d IST"))
    await expect(link(page)).to_have_text(re.compile(r"Reconnecting in \d+ s|Connecting…"))
    await expect(page.locator(".asof")).to_have_text([re.compile(r"^as of \d\d:\d\d:\d\d$")] * 3)
    header = await page.locator(".prices > header").bounding_box()
    assert header
    assert header["height"] < 50  # one line
    await expect(page.locator(".figures")).to_have_css("filter", "grayscale(1)")
    for row in (position(page, before), tile(page, "NIFTY")):
        await expect(row).to_have_css("font-style", "italic")
    await expect(refusal).to_contain_text("Not live: what is sent may wait")
    await expect(place).not_to_have_css("background-color", green)
    await desk.close(before)
    during = await desk.open()
    await desk.close(await desk.open("NIFTY"))
    await page.locator("#reconnect").press("Enter")
    await expect(banner).to_be_visible()
    proxy.mend()

    await expect(link(page)).to_have_text(LIVE[transport])
    await expect(banner).to_be_hidden()
    await expect(page.locator("h1")).to_be_focused()  # the button was in the banner
    await expect(figure(page, "totalTrades")).to_have_text("3")
    await expect(position(page, before)).to_have_count(0)
    for row in (position(page, during), tile(page, "NIFTY")):
        await expect(row).to_have_css("font-style", "normal")
    await expect(place).to_have_css("background-color", green)
    await expect(toast(page, "4 trade events while you were away")).to_be_visible()
    assert await first_price(page) == first  # the tile went on where it was
    await expect(page.locator(".asof")).to_have_text([""] * 3)
    assert await log(page) == await desk.trade_ids()


async def test_a_killed_server_that_comes_back_is_shown_once_and_whole(
    page: Page, server_process: MakeServer
) -> None:
    first = server_process("--feed", "sim")
    url = await first.start()
    async with Desk.at(url) as desk:
        await show(page, url, desk.session_id, symbols="NIFTY")
        stays, goes = await desk.open(), await desk.open("NIFTY")
        await expect(position(page, goes)).to_be_visible()
    await first.kill()
    await expect(page.locator("body")).to_have_attribute("data-link", "lost")
    await server_process("--feed", "sim", port=urlsplit(url).port).start()
    async with Desk.at(url, desk.session_id) as desk:
        await desk.close(goes)
        await expect(link(page)).to_have_text(LIVE["ws"])
        await expect(position(page, goes)).to_have_count(0)
        await expect(position(page, stays)).to_have_count(1)
        await expect(page.locator("#log tbody tr")).to_have_count(3)
        await changes(tile(page, "NIFTY").locator(".last b"))
        assert await log(page) == await desk.trade_ids()


async def test_auto_takes_sse_where_websocket_is_blocked(
    page: Page, proxy: Proxy, desk: Desk
) -> None:
    proxy.refuses_websockets = True
    await show(page, proxy.url, desk.session_id)
    await expect(link(page)).to_have_text(LIVE["sse"])


async def test_the_drawer_changes_the_transport_and_cuts_the_line_without_a_loss(
    page: Page, server: str, desk: Desk
) -> None:
    await show(page, server, desk.session_id, symbols="NIFTY")
    await desk.open()
    await page.keyboard.press("d")
    for choice, transport in (("SSE", "sse"), ("WebSocket", "ws")):
        await drawer(page).get_by_text(choice, exact=True).click()
        await expect(link(page)).to_have_text(LIVE[transport])
        await expect(page).to_have_url(re.compile(f"transport={transport}"))
        trade = await desk.open()
        await expect(position(page, trade)).to_be_visible()
    # The line may be back before anybody looks again.
    await page.evaluate(
        """() => {
            window.seen = [];
            new MutationObserver(() => window.seen.push(document.body.dataset.link))
                .observe(document.body, { attributeFilter: ["data-link"] });
        }"""
    )
    await press(page, "Cut the line")
    await page.wait_for_function("window.seen.includes('lost')")
    during = await desk.open()
    await expect(position(page, during)).to_be_visible()
    assert await log(page) == await desk.trade_ids()
    await expect(page.locator("#position")).to_have_text("seq 4 · no gap")


@pytest.mark.own_tab
async def test_another_interval_doubles_no_event_that_is_on_its_way(
    page: Page, server: str, desk: Desk
) -> None:
    browsers: list[WebSocketRoute] = []
    on_its_way: list[str] = []
    holding = False

    def carry(browser: WebSocketRoute) -> None:
        browsers.append(browser)
        browser.connect_to_server().on_message(
            lambda text: on_its_way.append(str(text)) if holding else browser.send(text)
        )

    await page.route_web_socket("**/ws/auto-trader", carry)
    await show(page, server, desk.session_id, symbols="NIFTY")
    await expect(tile(page, "NIFTY")).to_be_visible()
    holding = True
    await desk.open()
    await until(lambda: any('"trade_opened"' in text for text in on_its_way))
    await page.get_by_label("every").select_option("200 ms")
    await until(lambda: any('"updateInterval":200' in text for text in on_its_way))
    holding = False
    for text in on_its_way:
        browsers[0].send(text)
    await desk.open("NIFTY")
    told = [re.compile("Opened BUY 50 RELIANCE"), re.compile("Opened BUY 50 NIFTY")]
    await expect(page.locator("#toasts .toast")).to_have_text(told)


async def test_another_interval_does_not_turn_a_change_of_the_session_back(
    page: Page, server: str, desk: Desk
) -> None:
    async with Desk.at(server, name="The other") as other:
        await show(page, server, desk.session_id, symbols="NIFTY")
        await page.evaluate(
            """async (other) => {
                const { updateEvery, showSession } = await moduleNamed("stream");
                showSession(other);
                updateEvery(200);
            }""",
            other.session_id,
        )
        chosen = page.get_by_label("Session on screen").locator("option:checked")
        await expect(chosen).to_contain_text("The other")
        trade = await other.open()
        await expect(position(page, trade)).to_be_visible()


@pytest.mark.own_tab
async def test_a_past_that_cannot_be_loaded_is_asked_for_ever_less_and_not_once_it_is_gone(
    page: Page, server: str, desk: Desk
) -> None:
    asked: list[str] = []

    async def refuse(route: Route) -> None:
        asked.append(route.request.url.partition("/auto-trader/")[2])
        await route.fulfill(status=503 if len(asked) <= 6 else 404, json={"detail": "not now"})

    await page.route(re.compile(f"/auto-trader/sessions/{desk.session_id}"), refuse)
    await page.add_init_script(
        """globalThis.waits = [];
        const { setTimeout } = globalThis;
        globalThis.setTimeout = (done, ms, ...values) => {
            if ([5000, 10_000].includes(ms)) return setTimeout(done, ms); // the client module's own
            if (ms >= 2000) waits.push(ms);
            return setTimeout(done, ms / 1000, ...values);
        };"""
    )
    await show(page, server, desk.session_id)
    await until(lambda: len(asked) == 7)
    trade = await desk.open()
    await expect(position(page, trade)).to_be_visible()
    assert asked == [f"sessions/{desk.session_id}"] * 7
    assert (await page.evaluate("waits"))[:6] == [2000, 4000, 8000, 16_000, 30_000, 30_000]


async def test_the_drawer_measures_and_shows_what_comes(
    page: Page, server: str, desk: Desk
) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await show(page, server, desk.session_id, symbols="NIFTY,TCS", interval=100)
    await page.keyboard.press("d")
    await expect(page.locator("#rate-messages")).to_have_text(re.compile(r"^[1-9]\d*/s"))
    await expect(page.locator("#rate-bytes")).to_have_text(re.compile(r"^[1-9][\d,]*/s"))
    await expect(page.locator("#rtt")).to_have_text(re.compile(r"^\d+ ms$"))
    for name in ("sent", "tick"):
        await expect(page.locator(f"#latency-{name}")).to_have_text(
            re.compile(r"^[\d,]+ ms · [\d,]+ ms$")
        )
    await page.get_by_text("Tick → screen").focus()
    await expect(page.get_by_role("tooltip")).to_contain_text("asOf")

    lines = page.locator("#raw li code")
    await page.get_by_label("Filter messages").fill("price_ -tcs")
    await expect(lines.first).to_contain_text("NIFTY")
    assert all("NIFTY" in text for text in await lines.all_inner_texts())
    await drawer(page).get_by_role("button", name="Pause").click()
    await expect(page.locator("#raw-count")).to_contain_text("paused")
    held = await page.locator("#raw").inner_text()
    await changes(tile(page, "NIFTY").locator(".last b"))
    assert await page.locator("#raw").inner_text() == held
    await drawer(page).get_by_role("button", name="Copy", exact=True).click()
    await expect(page.locator("#copied")).to_contain_text("messages copied")
    copied = (await page.evaluate("navigator.clipboard.readText()")).splitlines()
    assert {json.loads(line)["data"]["symbol"] for line in copied} == {"NIFTY"}

    await press(page, "Why am I (not) receiving this?")
    await expect(page.locator("#explanation")).to_contain_text(
        f"figures of session {desk.session_id} come every 100 ms"
    )
    await press(page, "Cut the line")
    await expect(page.locator("#explanation")).to_be_hidden()


async def test_the_curl_line_gets_the_same_stream(page: Page, server: str, desk: Desk) -> None:
    await show(page, server, desk.session_id, symbols="NIFTY,TCS", interval=200)
    await expect(tile(page, "TCS")).to_be_visible()
    await page.keyboard.press("d")
    await expect(page.locator("#curl")).to_contain_text("curl")
    line = await page.locator("#curl").inner_text()
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f"exec {line} -s"), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            ack = (await process.stdout.readuntil(b"\n\n")).decode()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    result = json.loads(ack.split("data: ")[1])["result"]
    assert (result["sessionId"], result["priceInterval"]) == (desk.session_id, 200)
    assert result["symbols"] == ["NIFTY", "TCS"]
    assert f'"sessionId":{desk.session_id}' in await page.locator("#wscat").inner_text()


async def test_fifty_symbols_ten_times_a_second_are_painted_once_a_beat(
    page: Page, ingest_server: str
) -> None:
    symbols = [f"LOAD{number}" for number in range(50)]
    async with Desk.at(ingest_server) as desk:

        async def push() -> None:
            price = 100.0
            while True:
                price += 0.05
                await desk.tick(*({"symbol": name, "price": round(price, 2)} for name in symbols))
                await asyncio.sleep(0.1)

        pushing = asyncio.create_task(push())
        try:
            await show(
                page, ingest_server, desk.session_id, symbols=",".join(symbols), interval=100
            )
            await expect(page.locator(".tile")).to_have_count(50)
            await expect(page.locator(".tile .last b").first).to_have_text(DIGIT)
            seen = await page.evaluate(
                """async () => {
                const { counts } = await moduleNamed("frame");
                const { client } = await moduleNamed("stream");
                const before = counts.paints;
                const beganMs = performance.now();
                let messages = 0;
                await new Promise((done) => client.on("message", () => {
                    messages += 1;
                    if (messages === 1000) done();
                }));
                return { messages, paints: counts.paints - before,
                    tookMs: performance.now() - beganMs,
                    nodes: document.querySelectorAll("*").length };
                }"""
            )
        finally:
            pushing.cancel()
    assert 0 < seen["paints"] <= seen["tookMs"] / 80 + 20  # some are of other things
    assert seen["paints"] < seen["messages"] / 10
    assert seen["nodes"] < 2000


async def test_of_several_nodes_the_bar_names_the_one_that_the_stream_comes_from(
    page: Page, make_settings: MakeSettings
) -> None:
    async with running_nats() as nats, serve_here(make_settings(nats_url=nats.url)) as node:
        session_id = await node.new_session()
        _, cluster = await node.call("GET", "/cluster")
        await show(page, node.url, session_id, transport="ws")
        await expect(link(page)).to_have_text(f"{LIVE['ws']} · node {cluster['node'][:6]}")
