"""The console of a server that wants to know who is there."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.access.signing import KEY, token
from tests.browser.console.parts import LIVE, link, position, press, show, violations
from tests.kit.rest import API
from tests.kit.server import server_processes
from tests.kit.store import new_database


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(
    embedded_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The address of the demo behind a key."""
    flags = ("--mongo-uri", new_database(embedded_uri), "--demo")
    async with server_processes(tmp_path_factory.mktemp("guarded"), *flags) as make:
        yield await make(VYOMO_RT_AUTH_KEY=KEY).start()


def signed(life_s: int = 600, **claims: Any) -> str:
    now_s = int(time.time())
    return token(iat=now_s, exp=now_s + life_s, sessions=[6], **claims)


async def enter(page: Page, text: str) -> None:
    await page.get_by_label("Token", exact=True).fill(text)
    await page.get_by_role("button", name="Sign in").click()


async def ask_for_ticket(url: str, bearer: str) -> str:
    headers = {"Authorization": f"Bearer {bearer}"}
    async with (
        aiohttp.ClientSession(url, headers=headers) as http,
        http.post(f"{API}/tickets", json={"path": "/"}) as answer,
    ):
        return str((await answer.json())["ticket"])


async def test_a_pasted_token_signs_in_everywhere_and_signing_out_ends_everything_at_once(
    page: Page, guarded: str
) -> None:
    await page.goto(f"{guarded}/?session=6")
    await expect(page.locator("#sign-in-why")).to_contain_text("who you are")
    assert not await violations(page)
    await page.keyboard.press("Escape")
    await expect(page.locator("#sign-in-dialog")).to_be_visible()
    await enter(page, "no.good.token")
    await expect(page.locator("#sign-in .error").first).not_to_be_empty()
    await enter(page, signed(sub="asha", role="trader"))
    await expect(page.locator("#account-name")).to_have_text("asha · trader")
    await expect(page.locator("#account-until")).to_contain_text("until")
    await expect(link(page)).to_have_text(LIVE["ws"])
    await expect(page.locator("#place")).to_be_visible()

    elsewhere = await page.context.new_page()
    await show(elsewhere, guarded, 6, transport="sse")
    await expect(link(elsewhere)).to_have_text(LIVE["sse"])
    lost = {"status": 503, "json": {"detail": "the store is away"}}
    await elsewhere.route("**/sessions/6/trades", lambda route: route.fulfill(**lost))
    await elsewhere.locator("#quantity").fill("1")
    await elsewhere.locator("#place").click()
    await expect(elsewhere.locator("#ticket [data-sending]")).to_contain_text("Not known yet")
    await press(page, "Sign out")
    await expect(page.locator("#sign-in-dialog")).to_be_visible()
    await expect(elsewhere.locator("#sign-in-dialog")).to_be_visible()
    await elsewhere.unroute("**/sessions/6/trades")
    missed = elsewhere.locator("#sign-in-missed")
    await expect(missed).to_contain_text(
        "New trade: nobody is signed in any more. It may have been done before"
    )

    # Whoever signs in again goes on in every tab, with what was typed there.
    typed = elsewhere.locator("#quantity")
    for tab in (elsewhere, page):
        await enter(tab, signed(sub="asha", role="trader"))
        for other, way in ((page, "ws"), (elsewhere, "sse")):
            await expect(link(other)).to_have_text(LIVE[way])
            await expect(other.locator("#sign-in-dialog")).to_be_hidden()
        await expect(typed).to_have_value("1")
        for place in ("#alerts", "#ticket [data-error-form]"):
            await expect(elsewhere.locator(place)).to_contain_text("It may have been done before")
        await expect(elsewhere.locator("#ticket [data-sending]")).to_be_empty()
        await press(page, "Sign out")
        await expect(elsewhere.locator("#sign-in-dialog")).to_be_visible()
    await enter(page, signed(sub="bela"))  # for whom the page begins anew
    await expect(elsewhere.locator("#account-name")).to_have_text("bela · viewer")
    await expect(typed).not_to_have_value("1")
    await elsewhere.close()


async def test_a_link_signs_a_viewer_in_once_and_shows_no_button_that_trades(
    page: Page, guarded: str
) -> None:
    ticket = await ask_for_ticket(guarded, signed(sub="visitor"))
    await page.goto(f"{guarded}/?session=6#ticket={ticket}")
    await expect(page.locator("#account-name")).to_have_text("visitor · viewer")
    await expect(link(page)).to_have_text(LIVE["ws"])
    assert "ticket" not in page.url
    await expect(page.locator(".figures .lead b")).not_to_have_text("–")
    for hidden in ("#ticket", "#new-session", "#session-actions", "#close-all"):
        await expect(page.locator(hidden)).to_be_hidden()
    assert not await violations(page)
    async with page.expect_event("load"):  # the page starts anew
        await press(page, "Sign out")
    await page.goto("about:blank")
    await page.goto(f"{guarded}/?session=6#ticket={ticket}")
    await expect(page.locator("#sign-in-why")).to_contain_text("The link is not good any more")


async def test_viewers_see_the_lines_of_a_chart_and_move_none(page: Page, guarded: str) -> None:
    order = {"symbol": "RELIANCE", "quantity": 1, "stopLoss": 1}
    headers = {"Authorization": f"Bearer {signed(sub='asha', role='trader')}"}
    async with (
        aiohttp.ClientSession(guarded, headers=headers) as http,
        http.post(f"{API}/sessions/6/trades", json=order) as answer,
    ):
        trade = (await answer.json())["tradeId"]
    ticket = await ask_for_ticket(guarded, signed(sub="visitor"))
    await page.goto(f"{guarded}/?session=6&symbols=RELIANCE#ticket={ticket}")
    drawn = re.compile(f"Stop #{trade} at 1.00")
    await expect(page.locator("#bars-chart")).to_have_attribute("aria-label", drawn)
    await expect(page.get_by_role("slider")).to_have_count(0)
    # A line that comes back without its sign-in says nothing of the session.
    await page.context.clear_cookies()
    await page.evaluate(
        "moduleNamed('stream')"
        ".then(({ client, reconnect, setTransport }) =>"
        " { client.close(); setTransport('ws'); reconnect(); })"
    )
    await expect(page.locator("#sign-in-why")).to_have_text("Signed out: the sign-in has ended.")
    await expect(position(page, trade)).to_have_count(1)
    assert "session=6&" in page.url
    await expect(page.locator("#sign-in-missed")).to_be_empty()


async def test_before_a_sign_in_ends_it_is_said_and_then_asked_again(
    page: Page, guarded: str
) -> None:
    warned = page.locator("#alerts .toast", has_text="Your sign-in ends at")
    for life_s in (6, 15, 40):  # a busy machine may take longer than that to show anything
        await page.goto(f"{guarded}/?session=6")
        await enter(page, signed(life_s=life_s, sub="brief"))
        with suppress(AssertionError):
            await expect(warned).to_be_visible(timeout=life_s * 1000)
            break
    await expect(page.locator("#account-name")).to_have_text("brief · viewer")
    await expect(warned).to_be_visible()
    await expect(page.locator("#sign-in-why")).to_contain_text("Signed out")
