"""Reports and the day's curve on the console, by a clock in the hands of the test."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.console.parts import bring_on_screen, fits, position, show, violations
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until

CUT = """picture => [...picture.querySelectorAll("b")].filter(
    (one) => one.scrollWidth > one.clientWidth).length"""
MINUTE_MS, DAY_MS = 60_000, 86_400_000
MONDAY_MS = 1_795_408_200_000  # 2026-11-23 10:00 in India


class Clock:
    """The server's clock."""

    now_ms = MONDAY_MS

    def __call__(self) -> int:
        return self.now_ms


async def trade(rest: Rest, session_id: int, pnl: float, **order: object) -> None:
    opened = await rest.open_trade(session_id, quantity=1, entryPrice=1000, **order)
    await rest.close_trade(opened["tradeId"], 1000 + pnl)


@pytest_asyncio.fixture(loop_scope="session")
async def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture(loop_scope="session")
async def rest(make_settings: MakeSettings, clock: Clock) -> AsyncIterator[Rest]:
    async with serve_here(make_settings(), now=clock) as rest:
        yield rest


def cells(page: Page, row: str) -> Locator:
    """The row of a key in the table."""
    return page.locator(f"#report tr:has(th:text-is('{row}'))")


async def test_reports_are_a_calendar_and_numbers_of_what_was_chosen(
    page: Page, rest: Rest, clock: Clock
) -> None:
    session_id = await rest.new_session()
    await trade(rest, session_id, 500, symbol="TCS", tags=["gap"])
    clock.now_ms += DAY_MS
    await trade(rest, session_id, -200, symbol="NIFTY")
    await trade(rest, session_id, 80, symbol="TCS")
    await show(page, rest.url, session_id)
    picture = page.locator("#report-picture")
    await page.get_by_role("tab", name="Reports").click()
    await expect(picture).to_have_accessible_name(
        "P&L by day: best 2026-11-23 +₹500.00, worst 2026-11-24 −₹120.00"
    )
    squares = picture.locator(".day")
    await expect(squares).to_have_count(7)
    await expect(squares.nth(0)).to_have_text("23 Nov▲ ₹500")
    await expect(squares.nth(1)).to_have_text("24▼ ₹120")
    await expect(squares.nth(2)).to_have_text("25")
    # The newest day comes first.
    await expect(page.locator("#report-rows th")).to_have_text(["2026-11-24", "2026-11-23"])
    await expect(cells(page, "2026-11-24").locator("td")).to_have_text(
        [
            *("▼ −₹120.00", "₹0.00", "2", "50.00%", "0.4", "+₹80.00", "−₹200.00"),
            *("+₹80.00", "−₹200.00", "−₹200.00"),
        ]
    )
    await expect(cells(page, "Total").locator("td").first).to_have_text("▲ +₹380.00")

    form = page.locator("#report-form")
    await form.get_by_label("by").select_option("tag")
    await expect(page.locator("#report-rows th")).to_have_text(["gap", "no tag"])
    await expect(picture.locator(".stripe")).to_have_text(["gap▲ ₹500", "no tag▼ ₹120"])
    await form.get_by_label("by").select_option("hour")
    await expect(page.locator("#report-rows th")).to_have_text(["10:00–10:59"])
    await form.get_by_label("by").select_option("reason")
    await expect(page.locator("#report-rows th")).to_have_text(["MANUAL"])
    await form.get_by_label("by").select_option("tag")
    await form.get_by_label("from").fill("2026-11-24")
    await expect(page.locator("#report-rows th")).to_have_text(["no tag"])
    await form.get_by_label("to").fill("2026-11-22")
    await expect(page.locator("#no-report")).to_have_text("Nothing was closed in this time.")
    await expect(page.locator("#report")).to_be_hidden()
    await form.get_by_label("to").fill("")
    await form.get_by_label("net of charges").check()
    await expect(cells(page, "no tag").locator("td").first).to_have_text("▼ −₹120.00")
    await trade(rest, session_id, 20)
    await expect(cells(page, "no tag").locator("td").first).to_have_text("▼ −₹100.00")

    other = await rest.new_session()
    await trade(rest, other, 7)
    on_its_way = asyncio.Event()

    async def hold(route: Route) -> None:
        await on_its_way.wait()
        await route.continue_()

    await page.route(f"**/sessions/{other}/report?*", hold)
    await bring_on_screen(page, other)
    await expect(page.locator("#no-report")).to_have_text("Adding up…")
    await expect(page.locator("#report")).to_be_hidden()  # that of the session before
    on_its_way.set()
    await expect(cells(page, "Total").locator("td").first).to_have_text("▲ +₹7.00")


async def test_a_report_that_is_refused_or_cut_says_why(page: Page, rest: Rest) -> None:
    session_id = await rest.new_session()
    await show(page, rest.url, session_id)
    await page.get_by_role("tab", name="Reports").click()
    await expect(page.locator("#no-report")).to_have_text("Nothing was closed in this time.")
    refused = {"status": 503, "json": {"detail": "the database does not answer"}}
    cut = {"status": 200, "body": '{"rows": ['}
    for answer, by, why in (
        (refused, "week", "the database does not answer"),
        (cut, "month", "the server can't be reached"),
    ):
        await page.route("**/report?*", lambda route, _, answer=answer: route.fulfill(**answer))
        await page.locator("#report-form").get_by_label("by").select_option(by)
        await expect(page.locator("#report-error")).to_have_text(why)
        await page.unroute("**/report?*")
    await expect(page.locator("#report-error")).to_be_empty()


async def test_reports_are_accessible_in_both_themes_and_fit_a_phone(
    page: Page, rest: Rest, clock: Clock
) -> None:
    session_id = await rest.new_session()
    for pnl in (1_234_567.5, -7_654_321.25, 0):
        await trade(rest, session_id, max(pnl, -1000) if pnl < 0 else pnl, symbol="VERYLONGNAME")
        clock.now_ms += DAY_MS
    clock.now_ms += 100 * DAY_MS
    await trade(rest, session_id, 12_345, symbol="VERYLONGNAME")
    await show(page, rest.url, session_id)
    await page.get_by_role("tab", name="Reports").click()
    # Weeks are columns, and no amount is cut.
    await expect(page.locator("#report-more")).to_have_text(
        "The calendar shows the newest 13 weeks."
    )
    picture = page.locator("#report-picture")
    assert await picture.evaluate("one => one.clientHeight") < 400
    assert await picture.evaluate(CUT) == 0
    for by, of_picture in (("day", ".day.gain"), ("symbol", ".stripe")):
        await page.locator("#report-form").get_by_label("by").select_option(by)
        await expect(page.locator(f"#report-picture {of_picture}")).to_have_count(1)
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme)
            assert not await violations(page)
    await page.set_viewport_size({"width": 360, "height": 740})
    await fits(page)


async def test_the_curve_begins_with_the_stored_day_and_shows_a_restart_as_a_gap(
    page: Page, make_settings: MakeSettings, clock: Clock
) -> None:
    settings = make_settings()

    async def pass_minutes(rest: Rest, session_id: int, prices: list[float]) -> None:
        for price in prices:
            await rest.tick("BANKNIFTY", price)  # first: a minute is noted as soon as it begins
            clock.now_ms += MINUTE_MS
            at = clock.now_ms // MINUTE_MS * MINUTE_MS

            async def is_stored(at: int = at) -> bool:
                _, curve = await rest.call("GET", f"/sessions/{session_id}/curve?from={at}")
                return bool(curve["rows"])

            await until(is_stored)

    async with serve_here(settings, now=clock) as rest:
        session_id = await rest.new_session()
        await rest.open_trade(session_id, quantity=100, entryPrice=200)
        await rest.tick("BANKNIFTY", 200)
        await pass_minutes(rest, session_id, [210, 220, 205])
    clock.now_ms += 20 * MINUTE_MS
    async with serve_here(settings, now=clock) as rest:
        await pass_minutes(rest, session_id, [190, 195, 195])
        await show(page, rest.url, session_id)
        await expect(position(page, 1)).to_be_visible()
        await page.keyboard.press("c")
        curve = page.get_by_role("img", name="P&L curve")
        await expect(curve).to_have_accessible_name(re.compile("highest \\+₹2,000.00"))
        points = await page.evaluate("""async () => {
            const { model } = await moduleNamed("model");
            return model.equity.points.map(({ t, away }) => ({ t, away: Boolean(away) }));
        }""")
        gaps = [point["t"] for point in points if point["away"]]
        assert len(gaps) == 1
        assert gaps[0] >= MONDAY_MS + 23 * MINUTE_MS
        # Over the gap nothing is painted but the lines of the axis.
        painted = """canvas => {
            const ink = canvas.getContext("2d"), scale = canvas.width / canvas.clientWidth;
            const count = part => {
                const x = Math.round((66 + (canvas.clientWidth - 80) * part) * scale);
                const { data } = ink.getImageData(x, 0, 1, canvas.height);
                return data.filter((value, index) => index % 4 === 3 && value).length;
            };
            return [count(0.04), count(0.4)];
        }"""
        of_line, of_gap = await curve.evaluate(painted)
        assert of_line > of_gap + 5
