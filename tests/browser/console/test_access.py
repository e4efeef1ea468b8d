"""The console for everybody: by keyboard, by ear, on a phone, in both themes, whatever is typed."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import (
    DIGIT,
    changes,
    drawer,
    figure,
    fits,
    link,
    position,
    press,
    show,
    stop_the_clock,
    tile,
    toast,
    violations,
)

LONG = "NIFTY26NOV24000CE OF SIXTY FOUR CHARACTERS:AND^MORE=ABCDEFGHIJKL"


async def test_a_trade_is_opened_and_closed_by_keyboard_alone(
    page: Page, server: str, desk: Desk
) -> None:
    await show(page, server, desk.session_id, symbols="TCS")
    keys = page.keyboard
    await keys.press("s")
    await expect(page.locator("#quantity")).to_be_focused()
    await keys.type("7")
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await keys.press("Enter")
    row = page.locator("#positions tbody tr")
    await expect(row).to_contain_text("SELL 7 TCS")
    await keys.press("Escape")
    await expect(page.locator("#ticket-title")).to_be_focused()
    await keys.press("p")
    await expect(row.get_by_role("button", name="Close trade")).to_be_focused()
    await keys.press("Enter")
    await expect(page.get_by_label("Closed at")).to_be_focused()
    await keys.press("Enter")
    await expect(row).to_have_count(0)
    await expect(page.locator("#log")).to_contain_text("By hand")
    await expect(page.locator("#positions-title")).to_be_focused()


async def test_tab_reaches_everything_in_the_order_of_the_page(page: Page, server: str) -> None:
    async with Desk.at(server) as desk:
        await desk.open()
        await show(page, server, desk.session_id, symbols="TCS")
        await expect(tile(page, "TCS")).to_be_visible()
        await expect(
            page.locator("#positions").get_by_role("button", name="Close trade")
        ).to_be_visible()
        reached = []
        for _ in range(50):
            await page.keyboard.press("Tab")
            reached.append(
                await page.evaluate(
                    "document.activeElement.id || document.activeElement.textContent.trim()"
                )
            )
        wanted = [
            "#positions-title",
            "sound",
            "session",
            "new-session",
            "Pause",
            "Close",
            "add-symbol",
            "TCS",
            "symbol",
            "stopLoss",
            "place",
        ]
        found = [name for name in reached if name in wanted]
        assert found[:10] == wanted[1:]


async def test_shortcuts_are_listed_and_can_be_switched_off(page: Page, server: str) -> None:
    await page.goto(server)
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    await expect(dialog).to_contain_text("New trade: buy")
    await dialog.get_by_label("Single-key shortcuts").uncheck()
    await press(page, "Done")
    await page.keyboard.press("d")
    await expect(drawer(page)).to_be_hidden()
    await press(page, "Developer drawer")
    await expect(drawer(page)).to_be_visible()


async def test_the_theme_is_the_systems_until_one_is_chosen_and_remembered(
    page: Page, server: str
) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    await page.emulate_media(color_scheme="dark")
    await page.goto(server)
    dark = await page.evaluate(background)
    await page.emulate_media(color_scheme="light")
    light = await page.evaluate(background)
    assert dark != light
    theme = page.get_by_role("button", name="Theme")
    await theme.click()
    await theme.click()
    await expect(theme).to_have_accessible_name("Theme: dark")
    assert await page.evaluate(background) == dark
    await page.reload()
    assert await page.evaluate(background) == dark


async def test_only_trades_and_errors_are_announced(page: Page, server: str, desk: Desk) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await show(page, server, desk.session_id, symbols="NIFTY,TCS", interval=100)
    trade = await desk.open("NIFTY")
    await expect(position(page, trade)).to_be_visible()
    await page.evaluate("""() => {
        globalThis.announced = [];
        const note = (changes) => {
            for (const { type, target, addedNodes } of changes) {
                const said = type === "characterData" ? [target] : addedNodes;
                for (const node of said) announced.push(node.textContent);
            }
        };
        const regions = "[aria-live], [role=status], [role=alert], [role=log]";
        for (const region of document.querySelectorAll(regions)) {
            new MutationObserver(note)
                .observe(region, { childList: true, characterData: true, subtree: true });
        }
    }""")
    for _ in range(3):
        await changes(position(page, trade).locator(".pnl b"))
    assert await page.evaluate("announced") == []
    await desk.close(trade)
    await expect(toast(page, "Closed NIFTY")).to_be_visible()
    moving = "getComputedStyle(document.querySelector('.toast')).animationName"
    assert await page.evaluate(moving) == "none"
    assert [text[:12] for text in await page.evaluate("announced")] == ["Closed NIFTY"]


async def assert_no_violation(page: Page) -> None:
    """In either theme; only one rule looks at colours."""
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert not await violations(page)
    await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert not await violations(page, "color-contrast")


async def test_axe_finds_no_violation(page: Page, server: str, desk: Desk) -> None:
    await desk.close(await desk.open())
    await desk.open("NIFTY", stopLoss=1, target=10_000_000)
    await show(page, server, desk.session_id, symbols="NIFTY,INDIAVIX")
    await expect(page.locator("#positions .pnl b")).to_have_text(DIGIT)
    await expect(page.locator("#log tbody tr")).to_have_count(3)
    await assert_no_violation(page)

    await press(page, "Developer drawer")
    await expect(page.locator("#latency-sent")).to_have_text(DIGIT)
    await page.locator("#stopLoss").fill("x")
    await page.locator("#place").click()
    await expect(page.locator("#stopLoss")).to_have_attribute("aria-invalid", "true")
    await assert_no_violation(page)

    await page.set_viewport_size({"width": 360, "height": 740})
    await page.evaluate("moduleNamed('stream').then(({ client }) => client.close())")
    await expect(link(page)).to_have_text("Disconnected")
    await press(page, "Close the drawer")
    await press(page, "Keyboard shortcuts")
    await assert_no_violation(page)
    await press(page, "Done")
    await assert_no_violation(page)


async def test_axe_finds_no_violation_where_nothing_is_or_lives(
    page: Page, ingest_server: str
) -> None:
    """Empty, halted, with old prices, with each list and dialog, on a phone, without a line."""
    async with Desk.at(ingest_server) as desk:
        await desk.tick({"symbol": "BARE", "price": 9, "ts": "2026-01-01T09:15:00+05:30"})
        await show(page, ingest_server, desk.session_id, symbols="BARE")
        await assert_no_violation(page)
        moving = """moduleNamed("notify").then(({ complain }) => {
            complain("calm"); return document.getAnimations().length; })"""
        assert await page.evaluate(moving) == 0
        trade = await desk.open("BARE", entryPrice=8, stopLoss=7)
        order = {"symbol": "BARE", "quantity": 1, "type": "LIMIT", "price": 1}
        await desk.post(f"sessions/{desk.session_id}/orders", order)
        await desk.change(status="HALTED", rules={"maxDailyLoss": 500})
        await expect(position(page, trade)).to_contain_text("stale since")
        for name in ("Orders", "Log", "Positions"):
            await page.get_by_role("tab", name=name).click()
            await assert_no_violation(page)
        await press(page, f"Close trade {trade}, BARE")
        await assert_no_violation(page)
        await press(page, "Keep it")
        await page.keyboard.press("v")
        await assert_no_violation(page)
        await press(page, "Done")
        dialogs = page.locator("dialog")
        await dialogs.evaluate_all("dialogs => dialogs.forEach((dialog) => dialog.show())")
        assert not await violations(page, within="dialog")
        await dialogs.evaluate_all("dialogs => dialogs.forEach((dialog) => dialog.close())")
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.evaluate("moduleNamed('stream').then(({ client }) => client.close())")
        await expect(link(page)).to_have_text("Disconnected")
        await assert_no_violation(page)


async def test_a_phone_needs_no_sideways_scrolling_whatever_is_on_it(
    page: Page, ingest_server: str
) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    name = "A name that is longer than any phone is wide " * 4
    async with Desk.at(ingest_server, name=name, startingCapital=100_000_000_000) as desk:
        await desk.tick({"symbol": LONG, "price": 9_999_999.9999})
        short = await desk.open(LONG, side="SELL", quantity=10_000_000, stopLoss=10_000_000)
        lost = await desk.open(LONG, quantity=10_000_000)
        await desk.close(lost, price=0)
        for price in (2, 1):  # the second one confirms that far a jump
            await desk.tick({"symbol": LONG, "price": price})
        await show(page, ingest_server, desk.session_id, symbols=f"{LONG},NONE")
        await expect(position(page, short).locator(".pnl")).to_contain_text("9,99,99,98,")
        await expect(page.locator("#log tbody tr")).to_have_count(3)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await fits(page)
        await press(page, "Developer drawer")
        await expect(page.locator("#rate-messages")).to_have_text(DIGIT)
        await fits(page)


LINES = """(element) => {
    const lines = new Map();
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        for (let at = 0; at < node.length; at += 1) {
            const range = document.createRange();
            range.setStart(node, at);
            range.setEnd(node, at + 1);
            const { top } = range.getBoundingClientRect();
            lines.set(top, (lines.get(top) ?? "") + node.data[at]);
        }
    }
    return [...lines.values()];
}"""
"""The text of an element, line by line."""


async def test_a_phone_breaks_no_strike_and_no_amount(page: Page, ingest_server: str) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    option = "BANKNIFTY26DEC51000PE"
    async with Desk.at(ingest_server, startingCapital=123_456_789.5) as desk:
        await desk.tick({"symbol": option, "price": 1234.5})
        trade = await desk.open(option, quantity=10_000, entryPrice=9999.05)
        await show(page, ingest_server, desk.session_id, symbols=option)
        await expect(figure(page, "unrealizedPnL")).to_have_text("▼ −₹8,76,45,500.00")
        tile_name = tile(page, option).locator(".name")
        for name in (tile_name, position(page, trade).locator(".what b")):
            await expect(name).to_have_text(option)
            assert (await name.evaluate(LINES))[-1].endswith("51000PE")
        for amount in ("unrealizedPnL", "currentCapital"):
            assert len(await figure(page, amount).evaluate(LINES)) == 1


@pytest.mark.own_tab
async def test_a_message_stays_under_the_pointer_and_goes_by_click_and_escape(
    page: Page, server: str, desk: Desk
) -> None:
    await page.clock.install()
    await show(page, server, desk.session_id)
    await stop_the_clock(page)
    await desk.open("TCS")
    opened = toast(page, "Opened BUY 50 TCS")
    await opened.hover()
    await page.clock.fast_forward(60_000)
    await expect(opened).to_be_visible()
    await page.mouse.move(0, 0)
    await page.clock.fast_forward(6000)
    await expect(opened).to_have_count(0)

    await desk.open("NIFTY")
    await toast(page, "NIFTY").click()
    await expect(toast(page, "NIFTY")).to_have_count(0)
    await desk.open("RELIANCE")
    await expect(toast(page, "RELIANCE")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(toast(page, "RELIANCE")).to_have_count(0)


@pytest.mark.own_tab
async def test_messages_cover_no_control(page: Page, server: str) -> None:
    async with Desk.at(server, name="A session with a name that is rather long") as desk:
        await page.clock.install()
        await desk.open("TCS")
        await show(page, server, desk.session_id, symbols="NIFTY,TCS")
        await stop_the_clock(page)
        await page.evaluate(
            "moduleNamed('notify').then(({ complain }) => complain('no '.repeat(20)))"
        )
        await desk.open("NIFTY")
        await expect(toast(page, "Opened BUY 50 NIFTY")).to_be_visible()
        covered = """() => {
            const under = new Set();
            for (const item of document.querySelectorAll(".toast")) {
                const { left, right, top, bottom } = item.getBoundingClientRect();
                for (let y = top + 1; y < bottom; y += 8) {
                    for (let x = left + 1; x < right; x += 8) {
                        for (const one of document.elementsFromPoint(x, y)) {
                            if (one.matches("button, input, select, a, label")) under.add(one);
                        }
                    }
                }
            }
            return [...under].map((one) => one.outerHTML.slice(0, 80));
        }"""
        sizes = ((1280, 800), (720, 450), (390, 844))  # a laptop; the same at 200 %; a phone
        for width, height in sizes:
            await page.set_viewport_size({"width": width, "height": height})
            for panel in (".session", ".positions", ".ticket"):
                await page.locator(panel).scroll_into_view_if_needed()
                assert await page.evaluate(covered) == []
        assert await page.locator(".toast").count() >= 2  # one more if the machine was slow


async def test_the_drawer_leaves_the_page_as_tall_as_the_window(
    page: Page, ingest_server: str
) -> None:
    await page.set_viewport_size({"width": 1280, "height": 800})
    await show(page, ingest_server, symbols="ROW1,ROW2,ROW3,ROW4,ROW5,ROW6")
    await expect(page.locator(".tile")).to_have_count(6)
    await page.keyboard.press("d")
    await expect(page.locator("#rate-messages")).to_have_text(DIGIT)
    prices = page.locator(".prices .scroll")
    assert await prices.evaluate("panel => panel.scrollHeight <= panel.clientHeight")
    assert await page.evaluate("document.documentElement.scrollHeight") == 800


async def test_names_from_others_are_only_ever_text(page: Page, server: str) -> None:
    name = "<img src=x onerror=\"document.title='owned'\"><script>1</script>"
    async with Desk.at(server, name=name) as desk:
        await show(page, server, desk.session_id)
        chosen = page.get_by_label("Session on screen").locator("option:checked")
        await expect(chosen).to_have_text(f"{desk.session_id} · {name}")
        assert await page.locator("img[src=x]").count() == 0
        assert "owned" not in await page.title()


async def test_no_other_page_can_put_the_console_into_a_frame(
    browser: Browser, server: str, ingest_server: str
) -> None:
    """Not even one of another server on this machine."""
    page = await browser.new_page()
    await page.goto(f"{ingest_server}/static/console/icon.svg")
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    framed = await page.evaluate(
        """url => new Promise(resolve => {
            const frame = document.createElementNS("http://www.w3.org/1999/xhtml", "iframe");
            frame.onload = () => resolve(frame.contentDocument === null);
            frame.src = url;
            document.documentElement.append(frame);
        })""",
        server,
    )
    assert framed, "the frame shows an error, which is of no origin"
    assert any("frame-ancestors" in text for text in refused)
    await page.close()


async def test_the_page_allows_no_script_but_its_own_and_no_frame(page: Page, server: str) -> None:
    response = await page.goto(server)
    assert response is not None
    policy = response.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    names = "[...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames())"
    assert not [name for name in await page.evaluate(names) if name.startswith("on")]
