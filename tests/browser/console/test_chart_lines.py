"""Lines of the chart: stops, targets and waiting entries, moved by pointer and by keyboard."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import fits, show, toast, violations

DRAGGED, KEYED = "NIFTY26DEC91000CE", "NIFTY26DEC92000CE"
"""Options: their tick is 0.05."""
OFF = re.compile("moved")


def line(page: Page, title: str) -> Locator:
    return page.get_by_role("slider", name=title, exact=True)


async def grab(page: Page, title: str, by_px: float) -> None:
    """Take the line at its right end, or at its label where it is beyond the scale, move it down
    by so much, and hold it there."""
    is_beyond = await line(page, title).get_attribute("data-beyond") is not None
    handle = line(page, title).locator(".label") if is_beyond else line(page, title)
    strip = await handle.bounding_box()
    assert strip
    await handle.hover(position={"x": strip["width"] - 20, "y": strip["height"] / 2})
    strip = await handle.bounding_box()  # it stands still by now
    assert strip
    x, y = strip["x"] + strip["width"] - 20, strip["y"] + strip["height"] / 2
    await page.mouse.move(x, y)
    await page.mouse.down()
    await expect(line(page, title)).to_be_focused()
    for part in (0.5, 1):
        await page.mouse.move(x, y + by_px * part)


async def level(page: Page, title: str) -> float:
    return float(await line(page, title).get_attribute("aria-valuenow") or "nan")


async def placed(desk: Desk, **order: Any) -> int:
    fields = {"quantity": 75, "type": "LIMIT"} | order
    answer = await desk.post(f"sessions/{desk.session_id}/orders", fields)
    return int(answer["order"]["orderId"])


async def test_lines_are_dragged_with_a_readout_and_sent_when_they_are_let_go(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": DRAGGED, "price": 100})
        trade = await desk.open(DRAGGED, quantity=75, stopLoss=98, target=103)
        order = await placed(desk, symbol=DRAGGED, price=97)
        chart = page.locator("#bars-chart")
        stop, entry = f"Stop #{trade}", f"BUY 75 limit, order #{order}"
        await show(page, ingest_server, desk.session_id, symbols=DRAGGED, interval=100)
        await desk.tick({"symbol": DRAGGED, "price": 100.1})
        await expect(chart).to_have_attribute("aria-label", re.compile("now 100.10"))
        await expect(line(page, stop)).to_have_attribute("aria-valuetext", "98.00")
        # Far from the candles it stands at the edge, and a press that is not quite still is none.
        await expect(line(page, stop)).to_have_attribute("data-beyond", "below")
        await expect(line(page, stop)).to_have_text(f"98.00{stop}")
        await expect(line(page, f"Target #{trade}")).to_have_attribute("data-beyond", "above")
        await grab(page, stop, -2)
        await page.mouse.up()
        await grab(page, stop, -12)
        words = re.compile(r"^Stop #\d+(9[89]\.\d[05]) · \d\.\d+% below .* 100\.10 · −₹\d+\.\d\d")
        await expect(line(page, stop)).to_have_text(words)
        await expect(line(page, f"Target #{trade}")).to_have_attribute("aria-valuetext", "103.00")
        moved = await level(page, stop)
        assert moved > 98
        assert [one["stopLoss"] for one in await desk.trades()] == [98]
        await page.mouse.up()
        await expect(line(page, stop)).not_to_have_class(OFF)
        assert [one["stopLoss"] for one in await desk.trades()] == [moved]
        await grab(page, entry, 12)
        await expect(line(page, entry)).to_contain_text("value ₹7,")  # further away than it was
        moved = await level(page, entry)
        await page.mouse.up()
        await expect(line(page, entry)).not_to_have_class(OFF)
        assert await level(page, entry) == moved < 97
        # A stop above the price is refused, and the line goes back; Escape lets go of it.
        before = await level(page, stop)
        await grab(page, stop, -400)
        await page.mouse.up()
        await expect(page.locator("#alerts")).to_contain_text(f"{stop}: ")
        await expect(line(page, stop)).to_have_attribute("aria-valuenow", f"{before:g}")
        await grab(page, stop, 12)
        await page.keyboard.press("Escape")
        await page.mouse.up()
        await expect(line(page, stop)).to_have_attribute("aria-valuenow", f"{before:g}")
        assert [one["stopLoss"] for one in await desk.trades()] == [before]
        await fits(page)


async def test_lines_are_moved_by_keyboard_and_a_halt_forbids_to_loosen(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": KEYED, "price": 100})
        trade = await desk.open(KEYED, quantity=75, stopLoss=98.03)
        order = await placed(desk, symbol=KEYED, price=97, stopLoss=95)
        stop, entry = line(page, f"Stop #{trade}"), line(page, f"BUY 75 limit, order #{order}")
        await show(page, ingest_server, desk.session_id, symbols=KEYED, interval=100)
        chart = page.locator("#bars-chart")
        await expect(chart).to_have_attribute("aria-label", re.compile("^Chart of .* bars: "))
        await stop.focus()
        for key, text in (("ArrowUp", "98.05"), ("PageUp", "98.55"), ("ArrowDown", "98.50")):
            await page.keyboard.press(key)
            await expect(stop).to_have_attribute("aria-valuetext", re.compile(f"^{text} · 1"))
        await expect(stop).to_have_attribute(
            "aria-valuetext", re.compile("−₹112.50 · not sent yet")
        )
        assert await violations(page) == ""
        await page.set_viewport_size({"width": 390, "height": 844})
        await fits(page)
        await stop.press("Escape")  # the other layout may have taken the focus
        await expect(stop).to_have_attribute("aria-valuetext", "98.03")
        await page.keyboard.press("PageUp")
        await page.keyboard.press("Enter")
        await expect(stop).to_have_attribute("aria-valuetext", "98.50")
        await expect(stop).to_be_focused()
        await entry.focus()
        await page.keyboard.press("PageDown")
        await page.keyboard.press("Enter")
        await expect(entry).to_have_attribute("aria-valuetext", "96.50")
        await expect(line(page, f"Stop of order #{order}")).to_be_visible()
        await desk.change(status="HALTED")
        await expect(entry).to_have_count(0)
        words = re.compile("Halted, by hand at ")
        await expect(chart).to_have_attribute("aria-label", words)
        await stop.focus()
        await page.keyboard.press("PageDown")
        await page.keyboard.press("Enter")
        await expect(page.locator("#alerts")).to_contain_text("HALTED")
        await expect(stop).to_have_attribute("aria-valuetext", "98.50")
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("Tab")  # what was not sent is taken back
        await expect(stop).to_have_attribute("aria-valuetext", "98.50")
        assert [one["stopLoss"] for one in await desk.trades()] == [98.5]
        # Without the stream, whose event would say it.
        await page.evaluate("moduleNamed('stream').then((it) => it.client.close())")
        await stop.focus()
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("Enter")
        await expect(toast(page, f"Stop #{trade} is at 98.55.")).to_be_visible()
        await expect(stop).to_have_attribute("aria-valuetext", "98.55")
