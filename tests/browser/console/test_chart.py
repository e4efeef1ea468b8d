"""The chart of bars: loaded when somebody looks, followed live, with what the session trades."""

from __future__ import annotations

import re
import time

from playwright.async_api import Locator, Page, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import fits, show, tile, violations
from tests.kit.waiting import until

LIBRARY = "lightweight-charts"
PAINTED = """async ([chart, name]) => {
    const { colour } = await moduleNamed("canvas");
    const wanted = colour(name).match(/[\\d.]+/g).slice(0, 3).map(Number);
    return [...chart.querySelectorAll("canvas")].some((canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let at = 0; at < data.length; at += 4)
            if (data[at + 3] === 255 && wanted.every((value, i) => data[at + i] === value))
                return true;
        return false;
    });
}"""
"""Whether a colour of the page is anywhere on the chart."""


def chart(page: Page) -> Locator:
    return page.locator("#bars-chart")


async def push(desk: Desk, symbol: str, *prices: float) -> None:
    """Prices a second apart, the last one as of now."""
    now_ms = time.time_ns() // 1_000_000
    for number, price in enumerate(prices):
        ts = now_ms - (len(prices) - 1 - number) * 1000
        await desk.tick({"symbol": symbol, "price": price, "ts": ts})


async def is_painted(page: Page, colour: str) -> bool:
    handle = await chart(page).element_handle()
    return bool(await page.evaluate(PAINTED, [handle, colour]))


async def test_candles_are_the_first_view_and_follow_prices(page: Page, ingest_server: str) -> None:
    async with Desk.at(ingest_server) as desk:
        await show(page, ingest_server, desk.session_id, symbols="CANDLE", interval=100)
        await expect(tile(page, "CANDLE")).to_be_visible()
        await push(desk, "CANDLE", 100, 102, 101)
        await expect(tile(page, "CANDLE")).to_contain_text("101.00")
        words = re.compile(r"^Chart of CANDLE, bars: [12]; .* now 101.00$")
        await expect(chart(page)).to_have_attribute("aria-label", words)
        await push(desk, "CANDLE", 104)
        await expect(chart(page)).to_have_attribute("aria-label", re.compile("now 104.00$"))
        await expect(page.get_by_role("link", name="tradingview.com")).to_be_visible()
        await until(lambda: is_painted(page, "gain"))
        await fits(page)
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme)
            assert await violations(page) == ""


async def test_the_curve_is_a_key_away_and_remembered_and_then_no_library_is_loaded(
    page: Page, ingest_server: str
) -> None:
    curve = page.get_by_role("img", name="P&L curve")
    async with Desk.at(ingest_server) as desk:
        await push(desk, "CURVED", 100)
        await show(page, ingest_server, desk.session_id, symbols="CURVED", interval=100)
        await expect(chart(page)).to_be_visible()
        await page.keyboard.press("c")
        await expect(curve).to_be_visible()
        await expect(chart(page)).to_be_hidden()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.reload()
        await expect(curve).to_be_visible()
        await expect(tile(page, "CURVED")).to_contain_text("100.00")
        assert not [url for url in asked if LIBRARY in url]
        await page.get_by_role("button", name="P&L curve").click()
        await push(desk, "CURVED", 100.5)
        await expect(chart(page)).to_have_attribute("aria-label", re.compile("now 100.50"))
        assert len([url for url in asked if LIBRARY in url]) == 1


async def test_fills_stops_targets_and_entries_of_the_session_are_drawn(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await push(desk, "DRAWN", 100)
        closed = await desk.open("DRAWN", side="SELL", quantity=7)
        await desk.close(closed)
        trade = await desk.open("DRAWN", stopLoss=98, target=103)
        await show(page, ingest_server, desk.session_id, symbols="OTHER,DRAWN", interval=100)
        await page.locator("#bars-symbol").select_option("DRAWN")
        await push(desk, "DRAWN", 100.02)
        drawn = (
            f"BUY 50 #{trade} at 100.00; Stop #{trade} at 98.00; Target #{trade} at 103.00; "
            "fills: BUY 50, BUY 7, SELL 7"
        )
        await expect(chart(page)).to_have_attribute("aria-label", re.compile(re.escape(drawn)))
        await until(lambda: is_painted(page, "accent"))
        await desk.close(trade)
        words = re.compile(r"now 100.02; fills: SELL 50, BUY 50, BUY 7, SELL 7$")
        await expect(chart(page)).to_have_attribute("aria-label", words)


async def test_the_chart_is_used_by_keyboard_and_remembers_its_interval(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await show(page, ingest_server, desk.session_id, symbols="KEYS", interval=100)
        await expect(tile(page, "KEYS")).to_be_visible()
        await push(desk, "KEYS", 100)
        await expect(chart(page)).to_have_attribute("aria-label", re.compile("bars: 1;"))
        await page.locator("#bars-interval").select_option("1d")
        await page.locator("#curve-toggle").focus()
        await page.keyboard.press("Tab")
        await expect(chart(page)).to_be_focused()
        before = await chart(page).screenshot()

        async def has_moved() -> bool:
            return await chart(page).screenshot() != before

        for _ in range(3):
            await page.keyboard.press("ArrowLeft")
        await until(has_moved)
        await page.reload()
        await expect(page.locator("#bars-interval")).to_have_value("1d")


async def test_candles_of_an_old_price_are_grey_and_say_since_when(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "OLDBAR", "price": 5, "ts": "2026-01-01T09:15:00+05:30"})
        await show(page, ingest_server, desk.session_id, symbols="OLDBAR", interval=100)
        note = page.locator("#bars-note")
        await expect(note).to_contain_text("No fresh price since 01 Jan, 09:15:00.")
        await expect(page.locator("#bars")).to_have_class("live old")
        await desk.tick({"symbol": "OLDBAR", "price": 6})
        await expect(page.locator("#bars")).to_have_class("live")
        await expect(note).not_to_contain_text("No fresh price")
