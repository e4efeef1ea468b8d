"""Orders on the console: whose they are, what became of them, and which prices they go by."""

from __future__ import annotations

import re
import signal

from playwright.async_api import Page, Route, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import (
    DIGIT,
    LIVE,
    bring_on_screen,
    figure,
    link,
    position,
    press,
    show,
    toast,
)
from tests.kit.proxy import Proxy
from tests.kit.server import MakeServer
from tests.kit.waiting import until

SENDING = "#ticket [data-sending]"
RED, GREEN = 0, 1
"""Where they are in a colour."""


async def lose_the_stream(page: Page, proxy: Proxy) -> None:
    """Of a page that takes WebSocket only; its REST calls get through."""
    proxy.refuses_websockets = True
    proxy.drop()
    await expect(page.locator("body")).to_have_attribute("data-link", "lost")


async def test_orders_and_halts_wait_until_the_chosen_session_is_on_screen(
    page: Page, proxy: Proxy, desk: Desk
) -> None:
    async with Desk.at(proxy.url, name="The other") as other:
        trade = await desk.open()
        await show(page, proxy.url, desk.session_id, symbols="TCS", transport="ws")
        await expect(position(page, trade)).to_be_visible()
        await lose_the_stream(page, proxy)
        await page.get_by_label("Session on screen").select_option(str(other.session_id))
        buy, halt = page.locator("#place"), page.get_by_role("button", name="Halt")
        for button in (buy, halt, position(page, trade).get_by_role("button", name="Close trade")):
            await expect(button).to_be_disabled()
        await expect(page.locator("#session-note")).to_contain_text(
            f"Waiting for session {other.session_id}: what is shown is still session"
        )
        await expect(page.locator("#preview")).to_contain_text("Waiting for session")

        proxy.refuses_websockets = False
        # Not by a click, for which it must be visible: the page may have come back by itself.
        await page.locator("#reconnect").dispatch_event("click")
        await expect(page.get_by_text("No open positions.")).to_be_visible()
        await expect(page.locator("#session-note")).to_be_empty()
        await buy.click()
        await expect(page.locator(SENDING)).to_contain_text(f"in session {other.session_id}")
        await halt.click()
        await expect(page.locator("#session-status")).to_have_text("HALTED")
        assert (await other.figures())["status"] == "HALTED"
        assert len(await other.trade_ids()) == 1
        assert await desk.trade_ids() == [("trade_opened", trade)]
        assert (await desk.figures())["status"] == "ACTIVE"


async def test_without_the_stream_an_order_still_says_what_became_of_it(
    page: Page, proxy: Proxy, desk: Desk
) -> None:
    await show(page, proxy.url, desk.session_id, symbols="NIFTY", transport="ws")
    await lose_the_stream(page, proxy)
    rows = page.locator("#positions tbody tr")
    await page.locator("#place").click()
    await expect(rows).to_have_count(1)
    first = await page.locator(SENDING).inner_text()
    assert re.match(rf"Opened #\d+ in session {desk.session_id}: BUY 65 NIFTY at \d", first)
    await expect(rows.first.locator(".last small")).to_be_empty()  # its price is not one of now
    await page.locator("#place").click()  # the same once more is meant so
    await expect(rows).to_have_count(2)
    await rows.first.get_by_role("button", name="Close trade").click()
    await page.locator("#close-do").click()
    await expect(rows).to_have_count(1)
    await expect(toast(page, "Closed #")).to_be_visible()
    await press(page, "Halt")
    await expect(page.locator("#session-note")).to_have_text(
        f"Session {desk.session_id} is HALTED."
    )
    await expect(page.locator("#session-status")).to_have_text("HALTED")
    happened = [what for what, _ in await desk.trade_ids()]
    assert happened == ["trade_closed", "trade_opened", "trade_opened"]
    # Another session is chosen and this one again: nothing of the time between is missing.
    for trade in await desk.open_trades():
        await desk.close(trade)
    for chosen in (desk.session_id + 1_000_000, desk.session_id):
        stream = "moduleNamed('stream')"
        await page.evaluate(f"{stream}.then(({{ showSession }}) => showSession({chosen}))")
    proxy.refuses_websockets = False
    await page.locator("#reconnect").dispatch_event("click")
    await expect(rows).to_have_count(0)
    await expect(page.locator("#log tr[data-type=trade_closed]")).to_have_count(2)


async def test_an_order_whose_answer_is_lost_is_asked_for_by_its_key_and_the_next_has_another(
    page: Page, server: str, desk: Desk
) -> None:
    keys: list[str] = []

    async def carry(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            await route.fetch()  # it is done, and nobody hears of it
            await route.fulfill(status=503, json={"detail": "the store is not reachable"})
        else:
            await route.continue_()

    await page.route("**/trades", carry)
    await show(page, server, desk.session_id, symbols="NIFTY")
    place, said = page.locator("#place"), page.locator(SENDING)
    await place.click()
    await expect(said).to_have_text(
        "Not known yet whether it was done: the store is not reachable. "
        "Asking again; nothing is done twice."
    )
    await expect(place).to_have_attribute("aria-disabled", "true")
    await expect(said).to_have_text(re.compile("^Opened #"))
    await expect(page.locator("#ticket [data-error-form]")).to_be_empty()
    assert len(await desk.trade_ids()) == 1
    await place.click()
    await until(lambda: len(keys) == 3)
    await expect(page.locator("#positions tbody tr")).to_have_count(2)
    assert keys[0] == keys[1] != keys[2]


async def test_in_a_freeze_the_title_shows_no_profit_and_an_order_is_done_once_after_it(
    page: Page, server_process: MakeServer
) -> None:
    server = server_process("--feed", "sim")
    url = await server.start()
    async with Desk.at(url) as desk:
        await desk.open(entryPrice=1)
        await show(page, url, desk.session_id, symbols="NIFTY", interval=60_000)
        await expect(page).to_have_title(re.compile(r"^\+₹"))
        await page.evaluate("""async () => {
            const { model } = await moduleNamed("model");
            new MutationObserver(() => {
                globalThis.untrueMs ??= performance.now() - model.heardAt;
            }).observe(document.querySelector("title"), { childList: true });
        }""")
        server.process.send_signal(signal.SIGSTOP)
        await page.locator("#place").click()
        await expect(page.locator(SENDING)).to_have_text(re.compile("^Sending…"))
        await expect(page).to_have_title(f"not live · Session {desk.session_id} · vyomo-rt")
        untrue_ms = await page.evaluate("untrueMs")
        await expect(page.locator("#link-banner-text")).to_have_text(
            re.compile(r"^Figures are as of \d\d:\d\d:\d\d IST\. The server fell silent\.$")
        )
        await expect(page.locator(".figures")).to_have_css("filter", "grayscale(1)")
        server.process.send_signal(signal.SIGCONT)
        assert untrue_ms < 10_000  # it takes 4.5 s where the machine is idle
        await expect(page.locator(SENDING)).to_have_text(re.compile("^Opened #"))
        await expect(page.locator("#positions tbody tr")).to_have_count(2)
        await expect(page).to_have_title(re.compile(r"^[+−]₹"))
        assert len(await desk.trade_ids()) == 2


async def test_a_fill_made_elsewhere_is_booked_on_its_own_form_and_asked_about_if_it_is_far(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "FAR", "price": 23_841})
        await show(page, ingest_server, desk.session_id, symbols="FAR")
        await page.locator("#quantity").fill("75")
        await press(page, "A fill made elsewhere…")
        book = page.locator("#book-dialog")
        await expect(book).to_contain_text("nothing is ordered, and it waits for no price")
        await expect(book.get_by_label("Quantity")).to_have_value("75")
        filled, dialog = book.get_by_label("Filled at"), page.locator("#fill-dialog")
        await filled.fill("23000")
        await expect(page.locator("#book-preview")).to_contain_text(
            "Filled at 23,000.00: 3.53% below the last price 23,841.00 · value ₹17,25,000.00"
        )
        stop = book.get_by_label("Stop at")
        await stop.fill("23400")
        await expect(stop).to_have_accessible_description(
            "Stop at must be below “Filled at” 23,000.00 for a BUY"
        )
        await stop.fill("")
        await press(page, "Book the fill")
        await expect(dialog).to_contain_text("with a P&L of +₹63,075.00: it is no limit order")
        await press(page, "Don’t")
        assert await desk.trade_ids() == []
        await press(page, "Book the fill")
        await press(page, "Book it")
        row = page.locator("#positions tbody tr")
        await expect(row).to_contain_text("23,000.00")
        await expect(book).to_be_hidden()

        await press(page, "A fill made elsewhere…")
        await filled.fill("23800")  # as near as a fill may be
        await press(page, "Book the fill")
        await expect(row).to_have_count(2)
        await expect(dialog).to_be_hidden()
        await row.first.get_by_role("button", name="Close trade").click()
        await page.get_by_label("Closed at").fill("24000")
        await expect(page.locator("#close-what")).to_contain_text("0.67% above the last price")
        await page.locator("#close-do").click()
        await expect(row).to_have_count(1)

        await press(page, "A fill made elsewhere…")
        await filled.fill("23800")
        happened = await desk.trade_ids()
        async with Desk.at(ingest_server) as other:
            await bring_on_screen(page, other.session_id)
            await press(page, "Book the fill")
            problem = book.locator("[data-error-form]")
            await expect(problem).to_have_text("Another session came on screen.")
            assert await other.trade_ids() == []
        assert await desk.trade_ids() == happened


async def test_an_entry_that_waits_says_so_and_one_that_does_not_is_filled_at_once(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "WAITS", "price": 100})
        await show(page, ingest_server, desk.session_id, symbols="WAITS")
        ticket, preview = page.locator("#ticket"), page.locator("#preview")
        await page.locator("#quantity").fill("50")
        await expect(ticket.get_by_label("Limit price")).to_be_hidden()
        await ticket.get_by_text("Limit", exact=True).click()
        await ticket.get_by_label("Limit price").fill("90")
        await expect(page.locator("#place")).to_have_text("Buy 50 WAITS, limit 90.00")
        await expect(preview).to_contain_text("Waits: 10.00% below the last price 100.00")
        stop = ticket.get_by_label("Stop", exact=True).and_(page.locator("#stopLoss"))
        await stop.fill("95")
        await expect(stop).to_have_accessible_description(
            "Stop must be below the limit price 90.00 for a BUY"
        )
        await stop.fill("85")
        await expect(preview).to_contain_text("at risk to the stop ₹250.00")
        await page.locator("#place").click()
        await expect(page.locator(SENDING)).to_have_text(
            re.compile(r"^Order #\d+ waits in session \d+: BUY 50 WAITS, limit 90\.00\.$")
        )
        await expect(page.locator("#pending li")).to_contain_text("limit 90.00")

        await ticket.get_by_text("Sell", exact=True).click()
        await ticket.locator("[value=STOP] + span").click()
        await ticket.get_by_label("Stop price").fill("100")
        await expect(preview).to_contain_text("Filled at once: the last price is 100.00")
        await page.locator("#place").click()
        await expect(page.locator(SENDING)).to_have_text(re.compile("^Opened #.*SELL 50 WAITS"))
        await expect(page.locator("#pending li")).to_have_count(1)
        assert [what for what, _ in await desk.trade_ids()] == ["trade_opened"]


async def test_a_button_says_what_it_does_in_its_colour_and_quantities_step_by_lots(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "NIFTY", "price": 22_000}, {"symbol": "ONES", "price": 10})
        await show(page, ingest_server, desk.session_id, symbols="NIFTY,ONES")
        place, quantity = page.locator("#place"), page.locator("#quantity")
        await expect(place).to_have_text("Buy 65 NIFTY, market")
        await expect(page.locator("#preview")).to_contain_text("1 lot of 65")
        await press(page, "ONES")
        await expect(place).to_have_text("Buy 1 ONES, market")
        await press(page, "NIFTY")
        await expect(quantity).to_have_value("65")
        await quantity.press("ArrowUp")
        await expect(place).to_have_text("Buy 130 NIFTY, market")
        await expect(page.locator("#preview")).to_contain_text("2 lots of 65")
        await quantity.fill("50")
        await expect(page.locator("#preview")).to_contain_text("a lot is 65")
        await press(page, "ONES")
        await expect(place).to_have_text("Buy 50 ONES, market")  # as it was typed
        await press(page, "NIFTY")

        async def has_colour(strong: int, weak: int) -> bool:
            await desk.tick({"symbol": "NIFTY", "price": 22_000})  # an old one makes it grey
            colour = "getComputedStyle(document.querySelector('#place')).backgroundColor"
            channels = await page.evaluate(f"{colour}.match(/\\d+/g).map(Number)")
            return bool(channels[strong] > channels[weak])

        await until(lambda: has_colour(GREEN, RED))
        await page.get_by_text("Sell", exact=True).click()
        await expect(place).to_have_text("Sell 50 NIFTY, market")
        await until(lambda: has_colour(RED, GREEN))
        await press(page, "ONES")
        await page.reload()
        await expect(place).to_have_text("Buy 1 ONES, market")  # the symbol that was chosen


async def test_the_rule_that_would_refuse_an_order_is_named_before_it_is_sent(
    page: Page, ingest_server: str
) -> None:
    rules = {"maxOrderValue": 5000, "maxOpenTrades": 2}
    async with Desk.at(ingest_server, rules=rules) as desk:
        await desk.tick({"symbol": "RULED", "price": 100})
        await show(page, ingest_server, desk.session_id, symbols="RULED")
        quantity, refusal = page.locator("#quantity"), page.locator("#refusal")
        await quantity.fill("51")
        await expect(refusal).to_have_text(
            "A rule of the session refuses it: one opening is worth ₹5,000.00 at most."
        )
        await page.locator("#place").click()
        await expect(page.locator("#ticket [data-error-form]")).to_contain_text(
            "Value of an opening: "
        )
        await expect(refusal).to_be_hidden()  # said once
        await quantity.fill("50")
        await expect(refusal).to_be_empty()
        for _ in range(2):
            await desk.open("RULED", quantity=1, entryPrice=100)
        await expect(refusal).to_contain_text("2 trades are open already")
        await desk.change(rules={"maxOpenTrades": 3})
        await expect(refusal).to_be_empty()
        await desk.change(status="PAUSED")
        await expect(refusal).to_have_text("The session is PAUSED: it opens nothing.")
        assert len(await desk.trade_ids()) == 2


async def test_a_half_is_closed_and_the_rest_reversed_or_it_is_said_where_it_stands(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "TURNS", "price": 100})
        trade = await desk.open("TURNS")
        await show(page, ingest_server, desk.session_id, symbols="TURNS")
        await press(page, f"Close half of trade {trade}, TURNS")
        await expect(page.locator("#close-do")).to_have_text("Close 25 of 50 TURNS")
        await page.locator("#close-do").click()
        await expect(position(page, trade)).to_contain_text("25 TURNS")

        await desk.tick({"symbol": "TURNS", "price": 100})  # an old price opens nothing
        await press(page, f"Reverse trade {trade}, TURNS")
        await expect(page.get_by_label("How many")).to_be_hidden()
        await expect(page.locator("#close-do")).to_have_text("Close 25 TURNS, then SELL 25")
        await expect(page.locator("#close-what")).to_contain_text("has no stop and no target")
        await page.locator("#close-do").click()
        row = page.locator("#positions tbody tr")
        await expect(row).to_contain_text("SELL 25 TURNS")
        await expect(row).to_have_count(1)
        turned = (await desk.open_trades())[0]

        # A close that is left goes on, and what is looked at afterwards is no part of it.
        left, other = await desk.open("TURNS"), await desk.open("TURNS")
        on_its_way: list[Route] = []

        async def hold(route: Route) -> None:
            on_its_way.append(route)

        await page.route(f"**/trades/{left}/close", hold)
        await press(page, f"Close trade {left}, TURNS")
        await page.locator("#close-do").click()
        await until(lambda: bool(on_its_way))
        await page.keyboard.press("Escape")
        await press(page, f"Close trade {other}, TURNS")
        await page.locator("#close-do").click()
        await expect(row).to_have_count(2)
        await press(page, f"Reverse trade {left}, TURNS")
        await expect(page.locator("#close-trade [data-sending]")).to_be_empty()
        await page.locator("#close-do").focus()
        await on_its_way[0].continue_()
        await expect(page.locator("#close-what")).to_have_text(f"#{left} is closed by now.")
        await expect(page.locator("#close-title")).to_be_focused()  # the button is gone
        await press(page, "Keep it")
        await expect(row).to_have_count(1)

        await desk.change(status="PAUSED")
        await press(page, f"Reverse trade {turned}, TURNS")
        await page.locator("#close-do").click()
        await expect(row).to_have_count(0)
        await expect(page.locator("#alerts")).to_contain_text(
            f"#{turned} is closed, and nothing was opened the other way (BUY 25 TURNS): "
        )


async def test_what_would_be_refused_is_marked_while_it_is_typed_and_no_longer(
    page: Page, ingest_server: str
) -> None:
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "SIDES", "price": 100})
        await show(page, ingest_server, desk.session_id, symbols="SIDES")
        await page.locator("#quantity").fill("50")
        stop, preview = page.locator("#stopLoss"), page.locator("#preview")
        await stop.fill("300")
        await expect(stop).to_have_accessible_description(
            "Stop must be below the last price 100.00 for a BUY"
        )
        await expect(preview).not_to_contain_text("to the stop")
        await page.get_by_text("Sell", exact=True).click()
        await expect(stop).not_to_have_attribute("aria-invalid", "true")
        await expect(preview).to_contain_text("at risk to the stop ₹10,000.00")
        await stop.fill("22,50")
        await expect(stop).to_have_accessible_description(
            "Stop: expected a number such as 22150.50, not “22,50”"
        )
        await page.locator("#quantity").fill("0")
        await expect(page.locator("#quantity")).to_have_accessible_description(
            "Quantity must be at least 1"
        )
        await page.locator("#quantity").fill("50")
        trade = await desk.open("SIDES")
        await press(page, f"Close trade {trade}, SIDES")
        at = page.get_by_label("Closed at")
        await at.fill("12o")
        await expect(at).to_have_accessible_description(
            "Closed at: expected a number such as 22150.50, not “12o”"
        )
        await press(page, "Keep it")
        await stop.fill("")

        quantity = page.locator("#quantity")
        await quantity.fill("50 000")
        await page.locator("#place").click()
        await expect(quantity).to_have_accessible_description(
            "Quantity: expected a number such as 50 or 1,500, not “50 000”"
        )
        await quantity.fill("50000")
        await expect(quantity).to_have_accessible_description("")
        assert await desk.trade_ids() == [("trade_opened", trade)]


async def test_a_stopped_session_is_marked_and_takes_no_order(
    page: Page, server: str, desk: Desk
) -> None:
    await show(page, server, desk.session_id, symbols="NIFTY")
    await press(page, "Stop…")
    await press(page, "Stop it")
    await expect(page.locator("#session-status")).to_have_text("STOPPED")
    chosen = page.get_by_label("Session on screen").locator("option:checked")
    await expect(chosen).to_have_text(re.compile("· STOPPED$"))
    await expect(page.locator("#place")).to_be_disabled()
    await expect(page.locator("#preview")).to_contain_text("is STOPPED: no trade can be opened")


async def test_a_stopped_demo_says_where_it_goes_on(page: Page, server_process: MakeServer) -> None:
    url = await server_process("--demo").start()
    async with Desk.at(url, session_id=6) as desk:
        await show(page, url, 6)
        await desk.change(status="HALTED")  # so that it opens no more
        for trade in await desk.open_trades():
            await desk.close(trade)
        await desk.change(status="STOPPED")
        note = page.locator("#session-note")
        await expect(note).to_contain_text("Session 6 is STOPPED, which is final.")
        await expect(note).to_contain_text("The demo goes on in session 7.")
        await page.get_by_role("link", name="Show session 7").click()
        await expect(link(page)).to_have_text(LIVE["ws"])
        await expect(figure(page, "startingCapital")).to_have_text(DIGIT)
        await expect(page.get_by_label("Session on screen")).to_have_value("7")
