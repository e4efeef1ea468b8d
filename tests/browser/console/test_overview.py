"""All sessions at once, and the rules of the one on screen."""

from __future__ import annotations

import asyncio
import re

from playwright.async_api import Locator, Page, Route, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import bring_on_screen, show, violations
from tests.kit.waiting import until


def row(page: Page, desk: Desk) -> Locator:
    return page.locator(f'#overview tr[data-session="{desk.session_id}"]')


async def open_tab(page: Page, name: str) -> None:
    await page.get_by_role("tab", name=re.compile(name)).click()


async def shows(cell: Locator, text: str) -> None:
    """The server may have many sessions; rows out of sight are painted once they are seen, and
    what appears above a list pushes its last rows out."""

    async def in_sight() -> bool:
        await cell.scroll_into_view_if_needed()
        return await cell.inner_text() == text

    await until(in_sight)


async def test_the_overview_shows_each_session_as_it_changes_and_leads_into_it(
    page: Page, server: str, desk: Desk
) -> None:
    async with Desk.at(server, name="Opening range") as other:
        await show(page, server, desk.session_id, symbols="NIFTY")
        await open_tab(page, "Sessions")
        await expect(row(page, other)).to_contain_text("Opening range")
        await expect(row(page, desk)).to_have_attribute("aria-current", "true")
        today, _, open_trades = await row(page, other).locator("td.number").all()
        await shows(open_trades, "0")
        trade = await other.open(entryPrice=100)
        await shows(open_trades, "1")
        await other.close(trade, price=101)
        await shows(open_trades, "0")
        await shows(today, "▲ +₹50.00")
        await other.post(f"sessions/{other.session_id}/close-all", {"reason": "too wild today"})
        await expect(row(page, other)).to_contain_text("HALTED")
        await expect(row(page, other)).to_contain_text(
            re.compile(r"kill switch · at \d\d:\d\d:\d\d · too wild today")
        )
        await expect(page.get_by_role("alert")).to_be_empty()
        await (
            row(page, other).get_by_role("button", name="Opening range", exact=False).first.click()
        )
        await expect(page.get_by_label("Session on screen")).to_have_value(str(other.session_id))
        await expect(page.get_by_role("tab", name="Positions")).to_be_focused()
        await expect(page.locator("#session-status")).to_have_text("HALTED")


async def test_a_session_is_renamed_and_stopped_from_the_overview_after_a_question(
    page: Page, server: str, desk: Desk
) -> None:
    async with Desk.at(server, name="Old name") as other:
        await show(page, server, desk.session_id, symbols="NIFTY")
        await open_tab(page, "Sessions")
        await row(page, other).get_by_role("button", name="Rename").click()
        await page.locator("#new-name").fill("Gap & go")
        await page.keyboard.press("Enter")
        await expect(row(page, other)).to_contain_text("Gap & go")
        assert (await other.figures())["name"] == "Gap & go"
        stop = row(page, other).get_by_role("button", name="Stop")
        await stop.click()
        dialog = page.locator("#stop-dialog")
        await expect(dialog).to_contain_text(f"Stop session {other.session_id}?")
        await dialog.get_by_role("button", name="Cancel").click()
        await expect(stop).to_be_focused()
        assert (await other.figures())["status"] == "ACTIVE"
        await stop.click()
        await dialog.get_by_role("button", name="Stop it").click()
        await expect(row(page, other)).to_contain_text("STOPPED")
        await expect(stop).to_be_hidden()
        assert (await other.figures())["status"] == "STOPPED"
        await expect(page.locator("#overview-title")).to_be_focused()  # the button is gone

        async with Desk.at(server, name="Stopped unseen") as third:
            await expect(row(page, third)).to_contain_text("ACTIVE")
            stream = "moduleNamed('stream')"
            await page.evaluate(f"{stream}.then(({{ client }}) => client.close())")
            await third.change(status="STOPPED")
            await page.evaluate(f"{stream}.then(({{ client }}) => client.connect())")
            await expect(row(page, third)).to_have_count(0)
            await expect(row(page, desk)).to_contain_text("ACTIVE")


async def test_rules_say_how_far_they_are_from_tripping_and_are_changed_by_a_form(
    page: Page, server: str, desk: Desk
) -> None:
    await show(page, server, desk.session_id, symbols="NIFTY")
    rules = page.locator("#rules-list")
    await expect(page.get_by_text("No rule is set")).to_be_visible()
    await page.get_by_role("button", name="Change rules").click()
    await page.get_by_label("Halt at a loss of").fill("2,000")
    await page.get_by_label("Open trades").fill("3")
    await page.get_by_label("Lock a profit from").fill("1000")
    await page.keyboard.press("Enter")
    await expect(page.locator("#rules-dialog")).to_contain_text("a profit lock needs both")
    await page.get_by_label("and halt below").fill("500")
    await page.keyboard.press("Enter")
    await expect(page.locator("#rules-dialog")).to_be_hidden()
    await expect(rules).to_contain_text("Daily loss ₹2,000")
    await expect(rules).to_contain_text("₹2,000.00 left")
    await expect(rules).to_contain_text("armed in ₹1,000.00")
    assert (await desk.figures())["rules"] == {
        "maxDailyLoss": 2000,
        "profitLock": {"armAt": 1000, "floor": 500},
        "maxOpenTrades": 3,
    }
    trade = await desk.open(entryPrice=100, symbol="NIFTY", quantity=1)
    await expect(rules).to_contain_text("1 now")
    await desk.close(trade, price=90)
    await expect(rules).to_contain_text("₹1,990.00 left")
    await desk.change(status="HALTED")
    await expect(page.locator("#halts li").first).to_contain_text(
        re.compile(r"HALTED · by hand · at \d\d:\d\d:\d\d")
    )
    changes = await page.locator("#halts li").all_inner_texts()
    await page.get_by_role("button", name="Change rules").click()
    await desk.change(rules={"maxTradesPerDay": 9})  # by somebody else, while the form is open
    await page.get_by_label("Halt at a loss of").fill("")
    await page.keyboard.press("Enter")
    await expect(rules).not_to_contain_text("Daily loss")
    await expect(rules).to_contain_text("Trades a day 9")
    await expect(page.locator("#halts li")).to_have_text(changes)  # other rules: no other status

    async with Desk.at(server) as other:
        await page.get_by_role("button", name="Change rules").click()
        await page.locator("#maxOpenTrades").fill("7")

        seen = asyncio.Event()

        async def change_before(route: Route) -> None:
            await other.change(rules={"maxOpenTrades": 5})
            await seen.wait()
            await route.continue_()

        await page.route(f"**/sessions/{other.session_id}/curve?*", change_before)
        await bring_on_screen(page, other.session_id)
        await expect(rules).to_contain_text("Open trades 5")  # though its past is on the way
        seen.set()
        await page.keyboard.press("Enter")
        problem = page.locator("#rules-dialog [data-error-form]")
        await expect(problem).to_have_text("Another session came on screen.")
        assert (await other.figures())["rules"] == {"maxOpenTrades": 5}
    assert (await desk.figures())["rules"]["maxOpenTrades"] == 3


async def test_axe_finds_no_violation_in_rules_and_sessions(
    page: Page, server: str, desk: Desk
) -> None:
    rules = {"maxDailyLoss": 2000, "squareOff": "15:15"}
    await desk.change(name="Supercalifragilistic" * 9, rules=rules)
    await show(page, server, desk.session_id, symbols="NIFTY")
    await expect(page.locator("#rules-list li").first).to_be_visible()
    await open_tab(page, "Sessions")
    await expect(page.locator("#overview tbody tr").first).to_be_visible()
    assert await violations(page) == ""
