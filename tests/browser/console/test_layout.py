"""The console's desk: what fits on a screen, and what a trader may arrange."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import DIGIT, figure, fits, press, show

WHOLE_ROWS = """[...document.querySelectorAll("#positions tbody tr")].filter((row) => {
    const { top, bottom } = row.getBoundingClientRect();
    const frame = row.closest(".scroll").getBoundingClientRect();
    return top >= frame.top && bottom <= Math.min(frame.bottom, innerHeight);
}).length"""
"""Positions that can be seen without scrolling."""
SMALL = """[...document.querySelectorAll("body *")].filter((one) =>
    one.getClientRects().length
    && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
    && parseFloat(getComputedStyle(one).fontSize) < 12
).map((one) => one.outerHTML.slice(0, 80))"""

CUT = """[...document.querySelectorAll("body *")].filter((one) =>
    one.getClientRects().length && !one.closest(".hidden")
    && (one.matches("#positions td")
        || !["visible", "auto"].includes(getComputedStyle(one).overflowX))
    && one.scrollWidth > one.clientWidth
).map((one) => one.outerHTML.slice(0, 80))"""
"""What is not there to its end."""
COLUMNS = """[...new Set([...document.querySelectorAll("#positions tbody tr")].map((row) =>
    [...row.cells].map((one) => one.getBoundingClientRect().right).join()
))].length"""
"""How many different places of columns there are."""
LABELS_ARE_HIT = """() => {
    document.querySelector("#bars-lines").scrollIntoView({ block: "center" });
    const labels = [...document.querySelectorAll("[role=slider][data-beyond] .label")];
    return labels.length === 4 && labels.every((label) => {
        const { left, top, height } = label.getBoundingClientRect();
        const grip = label.closest("[role=slider]");
        return [-20, 20].every((y) =>
            grip.contains(document.elementFromPoint(left + 20, top + height / 2 + y)));
    });
}"""
"""Whether a thumb that misses labels at the chart's edge by 20 px still takes them."""
TRIES = 5
OPTION = "BANKNIFTY26DEC52000PE"
TOO_SMALL = """[...document.querySelectorAll(
    "button, input:not([type=radio], [type=checkbox]), select, .sides span, a[download]")]
    .filter((one) => one.getClientRects().length && !one.closest("#drawer"))
    .filter((one) => {
        const { width, height } = one.getBoundingClientRect();
        const isCut = one.matches("button") && one.scrollWidth > one.clientWidth;
        return height < 44 || width < 44 || isCut;
    })
    .map((one) => one.outerHTML.slice(0, 80))"""
"""Targets that a thumb misses, or whose words reach beyond them."""


async def width_of(page: Page, selector: str) -> float:
    box: Any = await page.locator(selector).bounding_box()
    return float(box["width"])


async def test_twelve_positions_are_whole_on_a_laptop_and_twenty_on_a_desk_screen(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        fresh = {"symbol": OPTION, "price": 512.35}
        await desk.tick(fresh)
        for number in range(19):
            await desk.open(OPTION, quantity=number + 1, stopLoss=400, target=700)
        index = {"quantity": 1500, "entryPrice": 22150.35, "stopLoss": 21950.25, "target": 22450.75}
        for price in (22150.4, 22260, 122_000):
            symbol = f"INDEX{int(price)}"
            await desk.tick({"symbol": symbol, "price": price})
            await desk.open(symbol, **index | ({"target": 150_000} if price > 1e5 else {}))
        for width, height, rows in ((1440, 900, 12), (1920, 1080, 20)):
            await page.set_viewport_size({"width": width, "height": height})
            await desk.tick(fresh)  # a warning of old prices would take the place of rows
            await show(page, ingest_server, desk.session_id, symbols=OPTION)
            await expect(page.locator("#positions tbody tr")).to_have_count(22)
            assert await page.evaluate(WHOLE_ROWS) >= rows
            assert await page.evaluate(SMALL) == []
            assert await page.evaluate(CUT) == []
            assert await page.evaluate(COLUMNS) == 1
        await page.set_viewport_size({"width": 1280, "height": 720})
        # The chart takes a new size in the next frame.
        await page.wait_for_function(f"() => !{CUT}.length")
        assert await page.evaluate(COLUMNS) == 1
        table = page.locator(".positions .scroll")
        assert await table.evaluate("one => one.scrollWidth <= one.clientWidth")
        await page.set_viewport_size({"width": 2560, "height": 1440})
        assert await width_of(page, ".book") > 1800
        await fits(page)
        await page.set_viewport_size({"width": 720, "height": 450})  # 1440 at 200 %
        assert await page.evaluate("document.documentElement.scrollWidth") <= 720
        await fits(page)


@pytest.mark.own_tab
async def test_on_a_phone_ticket_and_close_are_a_tap_away_and_every_button_is_large_enough(
    page: Page, ingest_server: str
) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    browser = await page.context.new_cdp_session(page)
    await browser.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "THUMB", "price": 100}, {"symbol": OPTION, "price": 100})
        for _ in range(2):
            await desk.open("THUMB", stopLoss=50, target=200)
        order = {"symbol": OPTION, "quantity": 50, "type": "LIMIT", "price": 95, "validity": "GTC"}
        guards = {"stopLoss": 80, "target": 120, "trailingStop": 5}
        await desk.post(f"sessions/{desk.session_id}/orders", order | guards)
        await show(page, ingest_server, desk.session_id, symbols="THUMB")
        await expect(page.locator("#pending li")).to_have_count(1)
        rows = page.locator("#positions tbody tr")
        await expect(rows).to_have_count(2)
        for tab in ("History", "Log", "Sessions", "Orders", "Positions"):
            await page.get_by_role("tab", name=tab).click()
            assert await page.evaluate(TOO_SMALL) == []
        upper: Any = await rows.first.locator(".actions").bounding_box()
        lower: Any = await rows.last.bounding_box()
        assert upper["y"] + upper["height"] <= lower["y"]
        await press(page, "Chart")
        await desk.tick({"symbol": "THUMB", "price": 100.1})  # its first candle
        # Panels above the chart grow while prices are old, and shrink again.
        await page.wait_for_function(LABELS_ARE_HIT)
        await press(page, "Sell…")
        place = page.locator("#place")
        await expect(place).to_have_text("Sell 1 THUMB, market")
        await expect(place).to_be_in_viewport()
        await expect(page.locator("#quantity")).to_be_focused()
        await press(page, "Watchlist")
        await expect(page.locator(".tile .name")).to_be_in_viewport()
        await press(page, "Positions")
        close = rows.first.get_by_role("button", name="Close trade")
        await expect(close).to_be_in_viewport()
        assert await page.evaluate("document.documentElement.scrollTop") == 0


async def test_panels_are_resized_by_keyboard_or_mouse_and_remembered(
    page: Page, server: str, desk: Desk
) -> None:
    await show(page, server, desk.session_id, symbols="NIFTY")
    before = await width_of(page, ".prices")
    edge = page.get_by_role("separator", name="Width of the watchlist")
    await edge.press("ArrowRight")
    await edge.press("ArrowRight")
    assert await width_of(page, ".prices") == pytest.approx(before + 32, abs=1)
    await expect(edge).to_have_attribute("aria-valuenow", str(round(before + 32)))
    at: Any = await edge.bounding_box()
    await page.mouse.move(at["x"] + 3, at["y"] + 40)
    await page.mouse.down()
    await page.mouse.move(at["x"] + 43, at["y"] + 40)
    await page.mouse.up()
    assert await width_of(page, ".prices") == pytest.approx(before + 72, abs=2)
    await page.reload()
    await expect(figure(page, "totalTrades")).to_have_text(DIGIT)
    assert await width_of(page, ".prices") == pytest.approx(before + 72, abs=2)
    await page.keyboard.press("v")
    await press(page, "Panels as at first")
    assert await width_of(page, ".prices") == pytest.approx(before, abs=1)


async def test_text_and_rows_are_as_large_as_was_chosen_also_after_a_reload(
    page: Page, server: str, desk: Desk
) -> None:
    await desk.open("NIFTY")
    await show(page, server, desk.session_id)
    await press(page, "Text, rows, panels")
    await page.get_by_label("Text", exact=True).select_option("larger")
    await page.get_by_label("Rows of tables").select_option("tall, for fingers")
    await press(page, "Done")
    for _ in range(2):
        row = page.locator("#positions tbody tr")
        await expect(row).to_have_count(1)
        assert await page.evaluate("getComputedStyle(document.documentElement).fontSize") == "18px"
        assert await row.evaluate("row => row.getBoundingClientRect().height") >= 44
        await page.reload()


async def test_the_lists_of_a_session_are_tabs_with_arrow_keys_and_the_last_one_is_remembered(
    page: Page, server: str, desk: Desk
) -> None:
    await show(page, server, desk.session_id)
    positions, orders = (page.get_by_role("tab", name=name) for name in ("Positions", "Orders"))
    await positions.focus()
    await page.keyboard.press("ArrowRight")
    await expect(orders).to_be_focused()
    await expect(orders).to_have_attribute("aria-selected", "true")
    await expect(page.get_by_text("No order waits for its price.")).to_be_visible()
    await expect(page.get_by_text("No open positions.")).to_be_hidden()
    await page.reload()
    await expect(orders).to_have_attribute("aria-selected", "true")
    await orders.press("Home")
    await expect(positions).to_be_focused()
    await expect(page.get_by_text("No open positions.")).to_be_visible()


async def test_positions_are_sorted_by_column_and_summed_per_symbol(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "AAA", "price": 100}, {"symbol": "BBB", "price": 50})
        first = await desk.open("BBB", quantity=10)
        second = await desk.open("AAA", side="SELL", quantity=30)
        third = await desk.open("AAA", quantity=25)
        await desk.tick({"symbol": "AAA", "price": 101}, {"symbol": "BBB", "price": 52})
        await show(page, ingest_server, desk.session_id)
        rows = page.locator("#positions tbody tr")
        await expect(page.locator("#total-pnl")).to_have_text("▲ +₹15.00")
        nets = page.locator("#nets li")
        await expect(nets).to_have_text(["AAA short 5 ▼ −₹5.00", "BBB long 10 ▲ +₹20.00"])

        async def are(*trades: int) -> None:
            for number, trade in enumerate(trades):
                await expect(rows.nth(number)).to_have_attribute("data-trade", str(trade))

        await are(first, second, third)
        head = page.locator("#positions th[data-sort=pnl]")
        by_pnl = [second, first, third]
        for wanted, told in ((by_pnl, "ascending"), (by_pnl[::-1], "descending")):
            await head.get_by_role("button").click()
            await expect(head).to_have_attribute("aria-sort", told)
            await are(*wanted)
        await page.reload()
        await expect(rows).to_have_count(3)
        await are(*by_pnl[::-1])
        await head.get_by_role("button").click()
        await are(first, second, third)


async def test_only_rows_in_sight_are_painted_and_others_when_they_come_into_sight(
    page: Page, ingest_server: str
) -> None:
    symbols = [f"FAR{number}" for number in range(60)]
    async with Desk.at(ingest_server) as desk:

        async def push(price: float) -> None:
            await desk.tick(*({"symbol": name, "price": price} for name in symbols))

        await push(100)
        for symbol in symbols[:40]:
            await desk.open(symbol, quantity=10)
        await show(page, ingest_server, desk.session_id, symbols=",".join(symbols), interval=100)
        lists = (page.locator(".tile .last b"), page.locator("#positions tbody .last span"))
        price = 100

        async def only_these_follow(seen: list[Locator], hidden: list[Locator]) -> None:
            """Soon: the browser says a moment later what has gone out of sight."""
            nonlocal price
            for _ in range(TRIES):
                price += 1
                await push(price)
                for one in seen:
                    await expect(one).to_have_text(f"{price}.00")
                if all([await one.inner_text() != f"{price}.00" for one in hidden]):
                    return
            raise AssertionError("what is out of sight is painted")

        first, last = ([prices.first for prices in lists], [prices.last for prices in lists])
        for one in first:
            await expect(one).to_have_text("100.00")
        await only_these_follow(first, last)
        for one in last:
            await one.scroll_into_view_if_needed()
            await expect(one).to_have_text(f"{price}.00")
        await only_these_follow(last, first)
