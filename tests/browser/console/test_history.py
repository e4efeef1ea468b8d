"""The console's closed trades: found again, told event by event, on paper and as CSV."""

from __future__ import annotations

import csv
import re
from datetime import datetime
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import press, show, violations
from tests.kit.waiting import until


async def _never(_route: Route) -> None:
    """Leaves a question without an answer."""


async def _with_another_trade_of_each_number(route: Route) -> None:
    answer = await route.fetch()
    document = await answer.json()
    for trade in document["trades"]:
        trade["symbol"] = "ANEW"
    await route.fulfill(json=document)


async def test_closed_trades_are_found_by_symbol_side_and_tag_and_exported_as_shown(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk, Desk.at(ingest_server) as other:
        await desk.tick({"symbol": "BYGONE", "price": 100}, {"symbol": "GONE", "price": 50})
        first = await desk.open("BYGONE", quantity=10, tags=["breakout"])
        second = await desk.open("GONE", side="SELL", quantity=20)
        for trade, price in ((second, 51), (first, 101)):
            await desk.close(trade, price=price)
        await show(page, ingest_server, desk.session_id)
        await page.get_by_role("tab", name="History").click()
        rows = page.locator("#history tbody tr")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text(f"BUY 10 BYGONE #{first}")  # closed last
        await expect(rows.last).to_contain_text(f"SELL 20 GONE #{second}")
        await expect(rows.last).to_contain_text("▼ −₹20.00")
        await expect(rows.last).to_contain_text("By hand")
        assert not await violations(page)

        panel = page.locator("#history-filter")
        await panel.get_by_label("Tag").fill("breakout")
        await expect(rows).to_have_count(1)
        await expect(rows).to_contain_text(f"BUY 10 BYGONE #{first}")
        async with page.expect_download() as download:
            await panel.get_by_role("link", name="CSV").click()
        text = (await (await download.value).path()).read_text(encoding="utf-8")
        assert [row["tradeId"] for row in csv.DictReader(StringIO(text))] == [str(first)]
        await panel.get_by_label("Side").select_option("SELL")
        await expect(page.get_by_text("No closed trade is like that.")).to_be_visible()
        await panel.get_by_label("Tag").fill("No tag!")
        await expect(page.locator("#history-error")).to_contain_text("tag")

        await panel.get_by_label("Tag").fill("")
        await expect(rows).to_have_count(1)
        await panel.get_by_label("Side").select_option("")
        await panel.get_by_label("Symbol").fill("bygone")
        await expect(rows).to_contain_text([f"BUY 10 BYGONE #{first}"])
        await panel.get_by_label("Symbol").fill("")
        await panel.get_by_label("to", exact=True).fill("2026-01-01")
        await expect(page.get_by_text("No closed trade is like that.")).to_be_visible()
        await panel.get_by_label("From").fill("2026-01-01")
        await panel.get_by_label("to", exact=True).fill("")
        await expect(rows).to_have_count(2)
        await panel.get_by_label("Side").select_option("SELL")
        await expect(rows).to_have_count(1)
        third = await desk.open("BYGONE", side="SELL", entryPrice=100)
        await desk.close(third, price=99)
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text(f"#{third}")
        # A wiped store gives its numbers again.
        closed = "**/trades?status=CLOSED**"
        await page.route(closed, _with_another_trade_of_each_number)
        await panel.get_by_label("Side").select_option("")
        await expect(rows.first).to_contain_text(f"SELL 50 ANEW #{third}")
        await page.unroute(closed)
        await page.route(f"**/sessions/{other.session_id}/trades?status=CLOSED**", _never)
        await page.get_by_label("Session on screen").select_option(str(other.session_id))
        await expect(rows).to_have_count(0)  # those of the session that has left


async def test_a_trade_opens_to_its_whole_story(page: Page, ingest_server: str) -> None:
    async with Desk.at(ingest_server, charges="NSE_OPTIONS") as desk:
        await desk.tick({"symbol": "STORY", "price": 195.25})
        trade = await desk.open("STORY", stopLoss=190, tags=["morning"], note="by the book")
        await desk.tick({"symbol": "STORY", "price": 195.5})
        await desk.change_trade(trade, target=200)
        await desk.close(trade, quantity=20, price=196)
        await desk.close(trade, price=196.3)
        await show(page, ingest_server, desk.session_id)
        await page.get_by_role("tab", name="History").click()
        await page.locator("#history").get_by_role("button", name=f"#{trade}").click()
        story = page.get_by_role("dialog", name=f"Trade #{trade}: BUY 50 STORY")
        lines = story.locator("#story li")
        await expect(lines).to_have_text(
            [
                re.compile(r"Opened 50 at 195\.25: stop 190\.00, no target$"),
                re.compile(r"By hand: stop 190\.00, target 200\.00$"),
                re.compile(r"Closed 20 at 196\.00, 30 left: \+₹15\.00$"),
                re.compile(
                    r"By hand: closed 30 at 196\.30\. "
                    r"P&L of all parts \+₹46\.50, net of charges −\W₹"
                ),
            ]
        )
        await expect(story).to_contain_text(re.compile("Charges ₹.*Brokerage ₹.*STT ₹.*GST ₹"))
        await expect(story).to_contain_text("#morning by the book")
        words = re.compile(r"^Chart of STORY, bars of 1m: \d.*; fills: BUY 50, SELL 20, SELL 30$")
        await expect(story.locator("#story-chart")).to_have_attribute("aria-label", words)
        assert not await violations(page)


@pytest.mark.own_tab
async def test_what_is_printed_is_the_trades_of_today_as_a_table(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "PAPER", "price": 100})
        trades = [await desk.open("PAPER") for _ in range(60)]
        for number, trade in enumerate(trades):
            await desk.close(trade, price=101 if number else 99)
        await page.add_init_script("globalThis.print = () => { globalThis.printed = true; }")
        await show(page, ingest_server, desk.session_id)
        await page.get_by_role("tab", name="History").click()
        await expect(page.locator("#history tbody tr")).to_have_count(50)
        await press(page, "Print today")
        await until(lambda: page.evaluate("globalThis.printed"))
        await page.emulate_media(media="print")
        await expect(page.locator("#history tbody tr")).to_have_count(60)
        today = datetime.now(ZoneInfo("Asia/Kolkata")).date().isoformat()
        await expect(page.locator("#print-title")).to_contain_text(today)
        for hidden in ("#top", "#ticket", "#history-filter", ".session"):
            await expect(page.locator(hidden)).to_be_hidden()
        total = page.locator("#history tfoot")
        await expect(total).to_have_text(re.compile(r"^60 trades▲ \+₹2,900\.00.*59 won · 1 lost$"))
        shown = await page.locator("#history tfoot tr").last.bounding_box()
        assert shown is not None
        assert shown["height"] > 0
