"""The console in a real browser: guards, parts, pending entries, and closing everything."""

from __future__ import annotations

import re

from playwright.async_api import Page, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import position, press, show, toast, violations


async def test_guards_are_changed_in_a_dialog_that_explains_what_is_refused(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "GUARDED", "price": 100})
        trade = await desk.open("GUARDED", stopLoss=90, target=130)
        await show(page, ingest_server, desk.session_id)
        levels = position(page, trade).locator(".levels")
        await press(page, f"Guards of trade {trade}, GUARDED")
        await expect(page.locator("#guards-what")).to_contain_text(
            "from 100.00, last 100.00: stop 90.00 (10.00 away), target 130.00 (30.00 away)."
        )
        await expect(page.locator("#guard-stopLoss")).to_have_value("90")
        await page.locator("#guard-stopLoss").fill("101")
        await press(page, "Change guards")
        refusal = page.locator("#change-guards .error", has_text="Stop at")
        await expect(refusal).to_contain_text("100")

        await page.locator("#guard-stopLoss").fill("95")
        await desk.change_trade(trade, stopLoss=91, target=1_40_000.5)  # meanwhile, by somebody
        await expect(page.locator("#guard-target")).to_have_value("1,40,000.5")
        await expect(page.locator("#guard-stopLoss")).to_have_value("95")  # it was typed
        await page.locator("#guard-target").fill("")
        await page.get_by_label("Trail the stop by").fill("5")
        await press(page, "Change guards")
        await expect(page.locator("#guards-dialog")).to_be_hidden()
        await expect(levels).to_contain_text("Stop 95.00 · 5.00 away · trails by 5.00")
        await expect(levels).to_contain_text("no target")
        await expect(page.get_by_role("button", name=f"Guards of trade {trade}")).to_be_focused()

        await desk.tick({"symbol": "GUARDED", "price": 110})
        await expect(levels).to_contain_text("Stop 105.00 · 5.00 away")
        await levels.hover()
        words = "stop 105.00 (5.00 away), no target, trails by 5.00"
        await expect(levels).to_have_attribute("title", words)
        assert not await violations(page)
        await press(page, f"Guards of trade {trade}, GUARDED")
        await desk.close(trade)
        await expect(page.locator("#guards-what")).to_have_text(f"#{trade} is closed by now.")
        await expect(page.get_by_role("button", name="Change guards")).to_be_hidden()


async def test_a_part_of_a_position_is_closed_and_the_rest_stays(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "PARTED", "price": 100})
        trade = await desk.open("PARTED", stopLoss=90)
        await show(page, ingest_server, desk.session_id)
        await desk.tick({"symbol": "PARTED", "price": 104})
        await press(page, f"Close trade {trade}, PARTED")
        await page.get_by_label("How many").fill("60")
        await page.locator("#close-do").click()
        await expect(page.locator("#close-trade .error").first).to_contain_text("50")
        await page.get_by_label("How many").fill("20")
        await page.locator("#close-do").click()
        await expect(position(page, trade)).to_contain_text("BUY 30 PARTED")
        await expect(position(page, trade).locator(".pnl")).to_contain_text("+₹120.00")
        await expect(page.locator("#log")).to_contain_text("+₹80.00")
        assert (await desk.figures())["totalPnL"] == 80


async def test_pending_entries_are_listed_until_they_fill_or_are_cancelled(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "AWAITED", "price": 100})
        orders = f"sessions/{desk.session_id}/orders"
        order = {"symbol": "AWAITED", "quantity": 50, "type": "LIMIT", "price": 95, "stopLoss": 80}
        first = (await desk.post(orders, order))["order"]["orderId"]
        # With its own symbol, or with none, the watchlist would know how far the price is.
        await show(page, ingest_server, desk.session_id, symbols="NIFTY")
        await page.get_by_role("tab", name="Orders").click()
        rows = page.locator("#pending li")
        await expect(rows).to_have_text(
            f"BUY 50 AWAITED limit 95.00#{first}today · stop 80.00Cancel"
        )
        stop = {**order, "side": "SELL", "type": "STOP", "price": 90, "stopLoss": None}
        second = (await desk.post(orders, stop | {"validity": "GTC"}))["order"]["orderId"]
        await expect(rows.nth(1)).to_contain_text("SELL 50 AWAITED stop 90.00")
        await expect(page.locator("#pending-count")).to_have_text("2 waiting")
        named = """([id, symbol]) => moduleNamed("model")
            .then(({ model }) => model.orders.set(id, { ...model.orders.get(id), symbol }))"""
        for symbol in ("ANEW", "AWAITED"):  # a wiped store gives its numbers again
            await page.evaluate(named, [second, symbol])
            await expect(rows.nth(1)).to_contain_text(f"SELL 50 {symbol} stop 90.00")
        assert not await violations(page)

        await desk.tick({"symbol": "AWAITED", "price": 94})
        await expect(rows).to_have_count(1)
        await expect(page.locator("#open-count")).to_have_text("1 open")
        await expect(page.locator("#positions tbody tr")).to_contain_text("BUY 50 AWAITED")
        await page.route("**/orders/*", lambda route: route.abort())
        await page.get_by_role("button", name=f"Cancel order {second}").press("Enter")
        await expect(rows).to_contain_text("Not known yet whether it was done")
        await page.unroute("**/orders/*")
        await expect(rows).to_have_count(0)
        await expect(page.locator("#orders-title")).to_be_focused()
        await desk.tick({"symbol": "AWAITED", "price": 89})
        assert (await desk.figures())["openTrades"] == 1


async def test_the_log_tells_every_event_of_the_session_in_words(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server, name="Told") as desk:
        await desk.tick({"symbol": "LOGGED", "price": 100})
        limit = {"symbol": "LOGGED", "quantity": 5, "type": "LIMIT", "price": 90}
        answer = await desk.post(f"sessions/{desk.session_id}/orders", limit)
        await show(page, ingest_server, desk.session_id, symbols="LOGGED")
        trade = await desk.open("LOGGED", stopLoss=95)
        await desk.change_trade(trade, target=110)
        await desk.close(trade, quantity=20, price=101)
        await desk.close(trade, price=102)
        await desk.post(f"sessions/{desk.session_id}/close-all", {"reason": "enough"})
        await page.get_by_role("tab", name="Log").click()
        rows = page.locator("#log tbody tr")
        order = answer["order"]["orderId"]
        at = r"^\d\d:\d\d:\d\d\s*"
        told = (
            rf"Order cancelled\s*LOGGED order #{order} session {desk.session_id} is HALTED",
            r"Session HALTED\s*Told\s*kill switch: enough",
            rf"By hand\s*BUY 50 LOGGED #{trade}\s*30 at 102.00, P&L of all parts\s*▲ \+₹80.00",
            rf"Part closed\s*BUY 20 LOGGED #{trade}\s*20 at 101.00 · 30 left\s*▲ \+₹20.00",
            rf"Guards\s*BUY 50 LOGGED #{trade}\s*by hand · stop 95.00, target 110.00",
            rf"Opened\s*BUY 50 LOGGED #{trade}\s*at 100.00 · stop 95.00, no target",
            rf"Order\s*BUY 5 LOGGED order #{order}\s*limit 90.00 · no stop, no target",
        )
        await expect(rows).to_have_text([re.compile(at + one) for one in told])


async def test_everything_is_closed_after_one_question_that_names_it_all(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "ENDED", "price": 100}, {"symbol": "OVER", "price": 50})
        trades = [await desk.open("ENDED"), await desk.open("OVER", side="SELL", quantity=7)]
        order = {"symbol": "ENDED", "quantity": 1, "type": "LIMIT", "price": 1}
        await desk.post(f"sessions/{desk.session_id}/orders", order)
        await show(page, ingest_server, desk.session_id)
        await expect(page.locator("#pending li")).to_have_count(1)
        await press(page, "Close all…")
        await expect(page.locator("#kill-title")).to_contain_text("all 2 positions")
        await expect(page.locator("#kill-list li")).to_have_text(
            [f"BUY 50 ENDED #{trades[0]}, last 100.00", f"SELL 7 OVER #{trades[1]}, last 50.00"]
        )
        await expect(page.locator("#kill-orders")).to_contain_text(
            "Pending entries that end with the halt: 1."
        )
        assert not await violations(page)
        await press(page, "Cancel")
        assert await desk.open_trades() == trades[::-1]

        await press(page, "Close all…")
        await desk.close(trades[1])  # by somebody else, while it is asked
        await expect(page.locator("#kill-list li")).to_have_count(1)
        await expect(page.locator("#kill-title")).to_contain_text("Close the one position")
        await page.get_by_role("button", name="Close all", exact=True).click()
        await expect(page.get_by_text("No open positions.")).to_be_visible()
        await expect(page.locator("#positions-title")).to_be_focused()
        await expect(page.locator("#session-status")).to_have_text("HALTED")
        await expect(page.locator("#pending li")).to_have_count(0)
        await expect(toast(page, "Closed 1 position of session")).to_have_count(1)
        await expect(page.locator("#log")).to_contain_text("By hand (kill switch)")
        assert await desk.open_trades() == []
