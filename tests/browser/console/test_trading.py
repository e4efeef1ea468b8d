"""The console in a real browser against a real server: what a trader does on it."""

from __future__ import annotations

import asyncio
import json
import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import (
    DIGIT,
    LIVE,
    changes,
    figure,
    link,
    log,
    position,
    press,
    show,
    tile,
    toast,
)
from tests.kit.server import MakeServer


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_a_trade_is_seen_from_its_opening_to_its_closing(
    page: Page, server: str, desk: Desk, transport: str
) -> None:
    await show(
        page, server, desk.session_id, symbols="NIFTY,TCS", interval=200, transport=transport
    )
    await expect(page.get_by_text("Simulated prices")).to_be_visible()
    await expect(link(page)).to_have_text(LIVE[transport])
    await expect(page.get_by_text("No open positions.")).to_be_visible()
    await expect(tile(page, "TCS").locator(".last b")).to_have_text(DIGIT)
    await changes(tile(page, "NIFTY").locator(".last b"))

    await page.locator("#symbol").fill("nifty")
    await press(page, "Buy 65 NIFTY, market")
    row = page.locator("#positions tbody tr")
    await expect(row).to_contain_text("BUY 65 NIFTY")
    await expect(toast(page, "Opened BUY 65 NIFTY")).to_be_visible()
    pnl = row.locator(".pnl b")
    await expect(pnl).to_have_text(re.compile(r"[▲▼] [+−]₹"))
    await changes(pnl)
    await expect(figure(page, "openClosed")).to_have_text("1 open · 0 closed")

    await row.get_by_role("button", name="Close trade").click()
    await expect(page.locator("#close-what")).to_contain_text("BUY 65 NIFTY")
    await page.locator("#close-do").click()
    await expect(row).to_have_count(0)
    await expect(figure(page, "openClosed")).to_have_text("0 open · 1 closed")
    await expect(toast(page, "Closed NIFTY")).to_contain_text("by hand")
    await expect(page.locator("#log")).to_contain_text("By hand")
    assert await log(page) == await desk.trade_ids()


async def test_a_position_shows_how_far_stop_and_target_are(page: Page, ingest_server: str) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "PLACE", "price": 100})
        long = await desk.open("PLACE", stopLoss=90, target=130)
        short = await desk.open("PLACE", side="SELL", stopLoss=110, target=60)
        bare = await desk.open("PLACE")
        await show(page, ingest_server, desk.session_id, interval=100)
        await desk.tick({"symbol": "PLACE", "price": 107.5})
        levels = position(page, long).locator(".levels")
        await expect(levels).to_contain_text("Stop 90.00 · 17.50 away")
        await expect(levels).to_contain_text("Target 130.00 · 22.50 away")
        await expect(position(page, bare)).to_contain_text("no stop")
        places = [
            await position(page, trade).locator(".now").evaluate("dot => dot.style.left")
            for trade in (long, short)
        ]
        assert places == ["43.8%", "5%"]  # from stop on the left to target on the right
        await expect(position(page, long).locator(".pnl")).to_contain_text("▲ +₹375.00")
        await expect(position(page, short).locator(".pnl")).to_contain_text("▼ −₹375.00")


async def test_a_refused_order_is_explained_beside_the_field_as_text(
    page: Page, server: str, desk: Desk
) -> None:
    await show(page, server, desk.session_id, symbols="NIFTY")
    await page.locator("#stopLoss").fill("9999999")
    await press(page, "Buy 65 NIFTY, market")
    stop = page.locator("#stopLoss")
    await expect(stop).to_have_attribute("aria-invalid", "true")
    await expect(stop).to_be_focused()
    await expect(stop).to_have_accessible_description(
        re.compile("^Stop must be below the last price")
    )

    for typed in ("1e999", "0x10", "1400.000000000000001"):  # never another stop, never none
        await stop.fill(typed)
        await page.locator("#place").click()
        await expect(stop).to_have_accessible_description(re.compile("^Stop: expected a number"))

    await stop.fill("")
    symbol = page.locator("#symbol")
    await symbol.fill("<b>x</b>")
    await expect(page.locator("#quantity")).to_have_value("1")
    await page.locator("#place").click()
    await expect(symbol).to_have_accessible_description(re.compile("<b>x</b>", re.IGNORECASE))
    assert await page.locator("#ticket p b").count() == 0

    await symbol.fill("NIFTY")
    await expect(page.locator("#quantity")).to_have_value("65")
    await symbol.blur()  # what is empty from now on stays so
    await page.locator("#quantity").fill("")
    await page.locator("#place").click()
    await expect(page.locator("#quantity")).to_have_accessible_description("Quantity is required")
    assert await desk.trade_ids() == []


async def test_a_refused_close_is_explained_beside_the_price_and_leaves_the_position(
    page: Page, server: str, desk: Desk
) -> None:
    trade = await desk.open()
    await show(page, server, desk.session_id)
    await position(page, trade).get_by_role("button", name="Close trade").click()
    await page.get_by_label("Closed at").fill("cheap")
    await page.locator("#close-do").click()
    price = page.locator("#price")
    await expect(price).to_have_accessible_description(re.compile("^Closed at: expected a number"))
    await page.keyboard.press("Escape")
    await expect(position(page, trade).get_by_role("button", name="Close trade")).to_be_focused()

    await page.keyboard.press("Enter")
    await expect(price).to_have_value("")
    await page.get_by_label("Closed at").fill("15,50")  # 15.50 or 1550: nobody knows
    await page.locator("#close-do").click()
    await expect(price).to_have_accessible_description(re.compile("^Closed at: expected a number"))
    await page.get_by_label("Closed at").fill("1,500.5")
    await page.locator("#close-do").click()
    await press(page, "Book it")
    await expect(page.locator("#log")).to_contain_text("at 1,500.50")


async def test_a_session_is_made_chosen_and_led_through_its_states(
    page: Page, server: str, desk: Desk
) -> None:
    await show(page, server, desk.session_id)
    await press(page, "New…")
    await page.get_by_label("Starting capital, ₹").fill("0")
    await press(page, "Create session")
    await expect(page.locator("#startingCapital")).to_have_accessible_description(DIGIT)
    await page.get_by_label("Starting capital, ₹").fill("1,75,000.50")
    await page.get_by_role("textbox", name="Name").fill("Evening")
    await press(page, "Create session")
    await expect(figure(page, "currentCapital")).to_have_text("₹1,75,000.50")
    sessions = page.get_by_label("Session on screen")
    await expect(sessions.locator("option:checked")).to_contain_text("Evening")

    status = page.locator("#session-status")
    await page.get_by_role("button", name="Pause").press("Enter")
    await expect(status).to_have_text("PAUSED")
    await expect(page.locator("#session-title")).to_be_focused()  # "Pause" is gone
    await page.locator("#place").click()
    await expect(page.locator("#ticket [data-error-form]")).to_contain_text("PAUSED")
    await press(page, "Resume")
    await expect(status).to_have_text("ACTIVE")
    in_log = [
        re.compile(f"Session {new}.*Evening.*by hand", re.DOTALL) for new in ("ACTIVE", "PAUSED")
    ]
    await expect(page.locator("#log tbody tr")).to_have_text(in_log)
    await page.reload()
    await expect(page.locator("#log tbody tr")).to_have_text(in_log)
    await expect(page.locator("#ticket [data-error-form]")).to_be_empty()
    await page.locator("#place").dblclick()
    await expect(page.locator("#positions tbody tr")).to_have_count(1)
    await press(page, "Stop…")
    await press(page, "Stop it")
    await expect(page.locator("#session-error")).to_contain_text("open")
    await expect(status).to_have_text("ACTIVE")
    await expect(figure(page, "totalTrades")).to_have_text("1")  # a double click is one press

    await sessions.select_option(str(desk.session_id))
    await expect(figure(page, "currentCapital")).to_have_text("₹50,000.00")
    await expect(page.locator("#positions tbody tr")).to_have_count(0)
    assert f"session={desk.session_id}" in urlsplit(page.url).query


async def test_all_pages_of_the_sessions_can_be_chosen_from(
    page: Page, server: str, desk: Desk
) -> None:
    async def in_small_pages(route: Route) -> None:
        await route.continue_(url=route.request.url.replace("limit=1000", "limit=1"))

    await page.route("**/sessions?*", in_small_pages)
    async with Desk.at(server, name="Behind the first page") as last:
        await show(page, server, desk.session_id)
        chooser = page.get_by_label("Session on screen")
        await expect(chooser).to_contain_text("Behind the first page")
        await chooser.select_option(str(last.session_id))
        await expect(page).to_have_url(re.compile(f"session={last.session_id}"))


async def test_symbols_come_and_go_and_the_address_follows(
    page: Page, server: str, desk: Desk
) -> None:
    await show(page, server, desk.session_id, symbols="NIFTY", interval=500)
    await expect(tile(page, "NIFTY")).to_be_visible()
    add = page.get_by_label("Add symbols")
    await add.fill("tcs, NOSUCH")
    await add.press("Enter")
    await expect(tile(page, "TCS")).to_be_visible()
    await expect(page.locator("#symbols-error")).to_have_text("The feed has no NOSUCH.")
    await page.get_by_role("button", name="Remove NIFTY").click()
    await expect(tile(page, "NIFTY")).to_have_count(0)
    await page.get_by_label("every").select_option("200 ms")
    wanted = f"session={desk.session_id}&symbols=TCS&interval=200"
    await expect(page).to_have_url(f"{server}/?{wanted}")

    await page.reload()
    await expect(tile(page, "TCS").locator(".last b")).to_have_text(DIGIT)
    await expect(page).to_have_url(f"{server}/?{wanted}")
    assert await page.locator(".tile").count() == 1


async def test_one_bad_symbol_in_a_list_refuses_only_itself_and_stays_to_be_corrected(
    page: Page, server: str
) -> None:
    await page.goto(f"{server}/?symbols=NIFTY,$$")
    error = page.locator("#symbols-error")
    await expect(tile(page, "NIFTY")).to_be_visible()
    await expect(error).to_contain_text("No symbol: “$$”.")
    add = page.get_by_label("Add symbols")
    await expect(add).to_have_value("$$")
    await add.fill("tcs (bad), infy reliance")
    await expect(error).to_be_empty()
    await add.press("Enter")
    await expect(page.locator(".tile")).to_have_count(4)
    await expect(error).to_contain_text("No symbol: “(BAD)”.")
    await expect(add).to_have_value("(BAD)")


async def test_an_empty_console_says_how_to_push_a_price(page: Page, ingest_server: str) -> None:
    await page.goto(f"{ingest_server}/?symbols=")
    await expect(page.locator("#how-to-push")).to_be_visible()
    line = await page.locator("#push").inner_text()
    pushing = await asyncio.create_subprocess_shell(f"{line} -s", stdout=asyncio.subprocess.PIPE)
    said, _ = await pushing.communicate()
    assert json.loads(said) == {"accepted": 1, "rejected": []}
    await page.get_by_label("Add symbols").fill("nifty")
    await press(page, "Add")
    await expect(tile(page, "NIFTY").locator(".last b")).to_have_text("22,150.50")


async def test_an_address_that_makes_no_sense_is_explained(page: Page, server: str) -> None:
    await page.goto(f"{server}/?session=abc&transport=pigeon")
    alerts = page.locator("#alerts")
    await expect(alerts).to_contain_text("session in the address: expected a positive integer")
    await expect(alerts).to_contain_text("transport in the address: expected auto, ws or sse")
    await page.goto(f"{server}/?session=987654")
    await expect(alerts).to_contain_text("session 987654 not found")


async def test_the_demo_moves_by_itself(page: Page, demo_server: str) -> None:
    await page.goto(demo_server)
    await expect(page.get_by_text("DEMO · simulated prices")).to_be_visible()
    await expect(page).to_have_url(
        re.compile(r"\?session=6&symbols=BANKNIFTY,NIFTY,RELIANCE&interval=1000$")
    )
    await expect(page.locator(".tile")).to_have_count(3)
    await expect(figure(page, "startingCapital")).to_have_text("started with ₹50,000")
    await changes(tile(page, "NIFTY").locator(".last b"))


async def test_the_curve_and_the_log_begin_with_what_was_before_the_page(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        for price in (110, 130):
            await desk.close(await desk.open("PAST", entryPrice=100), price=price)
        left = await desk.open("PAST", entryPrice=100)  # a symbol that has no price
        watched_from = (await desk.figures())["timestamp"]
        await show(page, ingest_server, desk.session_id)
        await expect(position(page, left)).to_contain_text("no price yet")
        await page.keyboard.press("c")
        curve = page.get_by_role("img", name="P&L curve")
        await expect(curve).to_have_accessible_name(
            re.compile(r"now \+₹2,000.00, highest \+₹2,000.00, lowest ₹0.00")
        )
        drawn = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(Boolean)"
        assert await curve.evaluate(drawn)
        assert await log(page) == await desk.trade_ids()
        assert await page.locator("#toasts .toast").count() == 0  # old news
        is_slope = """async (from) => {
            const { model } = await moduleNamed("model");
            const { points } = model.equity;
            const index = points.findIndex(({ t }) => t > Date.parse(from));
            const isRow = points[index - 1].t % 60_000 === 0; // a minute has ended meanwhile
            return !isRow && !points[index].gap;
        }"""
        # Nothing is known of the time before.
        assert not await page.evaluate(is_slope, watched_from)


async def test_a_stale_price_and_a_late_feed_are_seen_at_once(
    page: Page, server_process: MakeServer
) -> None:
    url = await server_process("--feed", "ingest").start()
    async with Desk.at(url) as desk:
        await show(page, url, desk.session_id, symbols="OLD,NEW,NEVER", interval=100)
        banner = page.locator("#feed-banner")
        await expect(banner).to_have_text(
            "Price feed ingest is DEGRADED: waiting for the first tick. "
            "Stops and targets wait for fresh prices."
        )
        ts = "2026-01-01T09:15:00+05:30"
        await desk.tick({"symbol": "OLD", "price": 10, "ts": ts})
        await desk.tick({"symbol": "NEW", "price": 10})
        await expect(banner).to_be_hidden()
        old = tile(page, "OLD")
        await expect(old.locator(".age")).to_have_text("STALE since 01 Jan, 09:15:00 · ingest")
        assert await old.evaluate("tile => getComputedStyle(tile).outlineStyle") == "dashed"
        await expect(tile(page, "NEW").locator(".age")).to_have_text(
            re.compile(r"^(now|\d s) · ingest$")
        )
        await expect(tile(page, "NEVER").locator(".age")).to_have_text("no price yet")


@pytest.mark.own_tab
async def test_trades_ring_and_notify_if_asked_to(page: Page, server: str, desk: Desk) -> None:
    await page.context.grant_permissions(["notifications"])
    await page.add_init_script("""
        globalThis.told = [];
        globalThis.Notification = class { static permission = "granted";
            static requestPermission = async () => "granted";
            constructor(_, { body }) { told.push(body); } };
        const start = OscillatorNode.prototype.start;
        OscillatorNode.prototype.start = function (at) { told.push("♪"); start.call(this, at); };
        Object.defineProperty(document, "hidden", { get: () => true });
    """)
    await show(page, server, desk.session_id)
    trade = await desk.open()
    await expect(toast(page, "Opened")).to_be_visible()
    assert await page.evaluate("told") == []

    await page.get_by_role("button", name="Sound on trades").click()
    await page.get_by_role("button", name="Desktop notifications").click()
    await desk.close(trade, price=2000)
    await expect(toast(page, "Closed RELIANCE")).to_be_visible()
    told = await page.evaluate("told")
    assert told[:3] == ["♪"] * 3  # one to try it, two that rise for a gain
    assert "Closed RELIANCE +₹" in told[3]
    await page.reload()
    await expect(page.get_by_role("button", name="Sound on trades")).to_have_attribute(
        "aria-pressed", "true"
    )
