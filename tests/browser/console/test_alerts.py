"""The console's alerts: kept by the browser, told once, also that the page is not live."""

from __future__ import annotations

import json
import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import position, press, show, tile, violations
from tests.kit.proxy import Proxy

IST = ZoneInfo("Asia/Kolkata")
STALE = {"symbol": "STANDS", "price": 100, "ts": "2026-01-01T09:15:00+05:30"}
ADD_ELSEWHERE = """() => { // as another tab does
    const [key, alerts] = ["vyomo-rt.alerts", JSON.parse(localStorage["vyomo-rt.alerts"])];
    localStorage[key] = JSON.stringify([...alerts, { id: 1, kind: "gain", value: 7 }]);
    dispatchEvent(new StorageEvent("storage", { key }));
}"""


BEHIND_MS = 420_000
"""By how much the browser's clock is wrong."""


async def read_out(page: Page) -> list[str]:
    """What a screen reader finds on the page: nothing of what is inert."""
    browser = await page.context.new_cdp_session(page)
    nodes = (await browser.send("Accessibility.getFullAXTree"))["nodes"]
    await browser.detach()  # else the page would go on describing itself, at some cost
    return [node["name"]["value"] for node in nodes if "name" in node]


@pytest.mark.own_tab
async def test_an_alert_is_told_once_survives_a_reload_and_can_be_armed_again(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "RISES", "price": 100}, STALE)
        await desk.open("STANDS", entryPrice=100)  # its old price silences no alert of another
        wrong = f"const {{ now }} = Date; Date.now = () => now() - {BEHIND_MS};"
        await page.add_init_script(wrong)
        await show(page, ingest_server, desk.session_id, symbols="RISES", interval=100)
        await expect(tile(page, "RISES")).to_contain_text("100.00")
        await press(page, "Alerts")
        dialog = page.locator("#alerts-dialog")
        value = dialog.get_by_label("Value")
        await press(page, "Add the alert")
        await expect(value).to_have_accessible_description("Value is required")
        await value.fill("105")
        await dialog.get_by_label("Symbol").fill("FALLS")
        await press(page, "Add the alert")
        await expect(dialog.get_by_label("Symbol")).to_have_accessible_description(
            "Symbol must be in the watchlist: only its prices come here"
        )
        await dialog.get_by_label("Symbol").fill("rises")
        await press(page, "Add the alert")
        item = dialog.locator("#alert-list li")
        await expect(item).to_contain_text("RISES at 105.00 or above armed")
        await page.evaluate(ADD_ELSEWHERE)
        await expect(item).to_have_count(2)
        await press(page, "Remove: today’s P&L at ₹7.00 or above")
        await expect(item).to_have_count(1)
        assert not await violations(page)
        await press(page, "Done")

        await page.reload()
        await expect(tile(page, "RISES")).to_contain_text("100.00")
        told = page.locator("#alerts .toast", has_text="Alert: RISES at 105.00 or above.")
        await expect(told).to_have_count(0)
        await desk.tick({"symbol": "RISES", "price": 105})
        await expect(told).to_be_visible()
        await told.click()
        await desk.tick({"symbol": "RISES", "price": 106})
        await expect(tile(page, "RISES")).to_contain_text("106.00")
        await press(page, "Alerts")
        await expect(item.get_by_role("button", name="Again")).to_be_visible()
        at = re.search(r"at (\d\d:\d\d:\d\d)", await item.inner_text())
        assert at is not None
        now = datetime.now(IST)
        since = now - datetime.combine(now.date(), time.fromisoformat(at[1]), IST)
        assert since % timedelta(days=1) < timedelta(milliseconds=BEHIND_MS / 2)
        await expect(told).to_have_count(0)
        await press(page, "Again: RISES at 105.00 or above")
        await expect(told).to_be_visible()
        assert "Alert: RISES at 105.00 or above." in await read_out(page)
        await press(page, "Remove: RISES at 105.00 or above")
        await expect(dialog).to_contain_text("No alert yet.")


async def test_results_of_the_day_and_stops_that_come_near_are_told(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "DAY", "price": 100})
        await desk.open("DAY", stopLoss=90)
        await show(page, ingest_server, desk.session_id, symbols="DAY", interval=100)
        dialog = page.locator("#alerts-dialog")
        await press(page, "Alerts")
        await expect(dialog).to_contain_text("the server posts them: see VYOMO_RT_NOTIFY_URL")
        for kind, value in (("loss", "300"), ("stop", "4"), ("below", "91"), ("gain", "50")):
            await dialog.get_by_label("When").select_option(kind)
            await dialog.get_by_label("Value").fill(value)
            await press(page, "Add the alert")
        await press(page, "Done")
        told = page.locator("#alerts .toast")
        await desk.tick({"symbol": "DAY", "price": 94})
        await expect(told.filter(has_text="today’s P&L at −₹300.00 or below")).to_be_visible()
        await desk.tick({"symbol": "DAY", "price": 93})
        await expect(told.filter(has_text="a price within 4.00% of a stop")).to_be_visible()
        await desk.tick({"symbol": "DAY", "price": 91})
        await expect(told.filter(has_text="DAY at 91.00 or below")).to_be_visible()
        await desk.tick({"symbol": "DAY", "price": 101})
        await expect(told.filter(has_text="today’s P&L at ₹50.00 or above")).to_be_visible()


async def test_a_line_that_is_lost_is_an_alert_without_being_asked_for(
    page: Page, proxy: Proxy, desk: Desk
) -> None:
    await show(page, proxy.url, desk.session_id, symbols="NIFTY", transport="ws")
    await expect(page.locator("body")).to_have_attribute("data-link", "live")
    proxy.refuses_websockets = True
    proxy.drop()
    lost = page.locator("#alerts .toast", has_text="The page is not live, as of ")
    await expect(lost).to_be_visible(timeout=5000)


@pytest.mark.own_tab
async def test_a_feed_that_is_lost_is_an_alert(page: Page, server: str, desk: Desk) -> None:
    lines: list[WebSocketRoute] = []

    def carry(browser: WebSocketRoute) -> None:
        lines.append(browser)
        browser.connect_to_server()

    trade = await desk.open("NIFTY", entryPrice=1)
    await page.route_web_socket("**/ws/auto-trader", carry)
    await show(page, server, desk.session_id, symbols="NIFTY", transport="ws")
    await expect(page.locator("#feed-text")).to_have_text("Feed sim LIVE")
    # As the server says it, of a feed that this one cannot lose.
    data = {"source": "sim", "state": "DOWN", "message": "no tick since 2026-01-01T03:45:00.000Z"}
    said = {"type": "feed_status", "data": data | {"timestamp": "2026-01-01T03:46:00.000Z"}}
    lines[-1].send(json.dumps(said))
    lost = page.locator("#alerts .toast", has_text="The price feed is DOWN: no tick since 01 Jan, ")
    await expect(lost).to_be_visible()
    await expect(page.locator("#feed-banner")).to_contain_text("Stops and targets wait")
    await expect(page).to_have_title(re.compile("^stale prices"))
    for old in (position(page, trade), page.locator(".figures .lead")):
        await expect(old).to_have_class(re.compile(r"\bold\b"))
