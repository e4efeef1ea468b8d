"""The console in a real browser against a real server: the steps of a manual test."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.cable import Cable

pytestmark = pytest.mark.browser

expect.set_options(timeout=15_000)
ServerStarter = Callable[..., AbstractContextManager[str]]
both_transports = pytest.mark.parametrize("transport", ["WebSocket", "SSE"])


class Desk:
    """A session on the server, traded over REST by somebody else than the browser."""

    def __init__(self, client: aiohttp.ClientSession, session_id: int) -> None:
        self._client = client
        self.session_id = session_id

    @classmethod
    async def make(cls, client: aiohttp.ClientSession) -> Desk:
        desk = cls(client, 0)
        desk.session_id = (await desk._post("sessions", {"startingCapital": 50_000}))["sessionId"]
        return desk

    async def open(self, symbol: str = "RELIANCE") -> int:
        path = f"sessions/{self.session_id}/trades"
        trade_id: int = (await self._post(path, {"symbol": symbol, "quantity": 50}))["tradeId"]
        return trade_id

    async def close(self, trade_id: int) -> None:
        await self._post(f"trades/{trade_id}/close", {})

    async def events(self) -> list[tuple[str, int]]:
        path = f"/api/auto-trader/sessions/{self.session_id}/events?since=0"
        async with self._client.get(path) as response:
            return [(event["type"], event["seq"]) for event in (await response.json())["events"]]

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._client.post(f"/api/auto-trader/{path}", json=body) as response:
            document: dict[str, Any] = await response.json(content_type=None)
            assert response.ok, document
            return document


@pytest.fixture
async def desk(server: str) -> AsyncIterator[Desk]:
    async with aiohttp.ClientSession(server) as client:
        yield await Desk.make(client)


async def press(page: Page, button: str) -> None:
    await page.get_by_role("button", name=button, exact=True).click()


async def connect(page: Page, transport: str) -> None:
    await page.get_by_label("Transport").select_option(label=transport)
    await press(page, "Connect")


async def subscribe_session(page: Page, session_id: int) -> None:
    await page.get_by_role("spinbutton", name="Session").fill(str(session_id))
    await press(page, "Subscribe Session")
    await expect(page.locator("#shown-session")).to_have_text(str(session_id))


def connection(page: Page) -> Locator:
    return page.locator("#status")


def row(page: Page, table: str, key: object) -> Locator:
    return page.locator(f'#{table} tr[data-key="{key}"]')


def figure(page: Page, name: str) -> Locator:
    return page.locator(f'[data-figure="{name}"]')


async def logged_events(page: Page) -> list[tuple[str, int]]:
    """The trade events in the message log, oldest first."""
    texts = await page.locator("#log code").all_text_contents()
    messages = [json.loads(text) for text in reversed(texts)]
    return [(m["type"], m["seq"]) for m in messages if m["type"].startswith("trade_")]


@both_transports
async def test_a_trade_is_seen_from_its_opening_to_its_closing(
    page: Page, server: str, desk: Desk, transport: str
) -> None:
    await page.goto(server)
    await expect(page.get_by_text("Simulated prices.")).to_be_visible()
    await connect(page, transport)
    await subscribe_session(page, desk.session_id)
    await expect(connection(page)).to_have_text(f"connected over {transport}")
    await expect(figure(page, "totalTrades")).to_have_text("0")

    await press(page, "Subscribe Prices")
    last = row(page, "prices", "NIFTY").locator("td").nth(1)
    await expect(last).to_have_text(re.compile(r"\d"))
    await expect(last).not_to_have_text(await last.inner_text())  # it moves

    await press(page, "Open Trade")
    position = page.locator("#positions tr[data-key]")
    await expect(position).to_contain_text("BUY 50")
    pnl = position.locator("td").nth(2)
    await expect(pnl).to_have_text(re.compile(r"\d"))
    await expect(pnl).not_to_have_text(await pnl.inner_text())
    await expect(figure(page, "openTrades")).to_have_text("1")

    await position.get_by_role("button").click()
    await expect(position).to_have_count(0)
    await expect(figure(page, "openTrades")).to_have_text("0")
    await expect(figure(page, "totalTrades")).to_have_text("1")
    await expect(page.locator("#answer")).to_contain_text("MANUAL")

    await press(page, "Disconnect")
    await expect(connection(page)).to_contain_text("closed")


@both_transports
async def test_a_cut_line_is_resumed_without_a_gap(
    page: Page, cable: Cable, desk: Desk, transport: str
) -> None:
    await page.goto(cable.url)
    await page.get_by_label("Without prices and P&L").check()
    await connect(page, transport)
    await subscribe_session(page, desk.session_id)
    before = await desk.open()
    await expect(row(page, "positions", before)).to_be_visible()

    cable.cut()
    await expect(connection(page)).not_to_have_text(f"connected over {transport}")
    await desk.close(before)
    during = await desk.open()
    await desk.close(await desk.open("NIFTY"))
    cable.mend()

    await expect(connection(page)).to_have_text(f"connected over {transport}")
    await expect(figure(page, "totalTrades")).to_have_text("3")
    await expect(row(page, "positions", before)).to_have_count(0)
    await expect(row(page, "positions", during)).to_be_visible()
    after = await desk.open()
    await expect(row(page, "positions", after)).to_be_visible()
    assert await logged_events(page) == await desk.events()


@both_transports
async def test_a_restarted_server_is_found_again_with_the_same_history(
    page: Page, tmp_path: Path, start_server: ServerStarter, transport: str
) -> None:
    with start_server(tmp_path, "--feed", "sim") as url:
        async with aiohttp.ClientSession(url) as client:
            desk = await Desk.make(client)
            before = await desk.open()
        await page.goto(url)
        await page.get_by_label("Without prices and P&L").check()
        await connect(page, transport)
        await subscribe_session(page, desk.session_id)
        await expect(row(page, "positions", before)).to_be_visible()
    await expect(connection(page)).to_contain_text("trying again")
    with start_server(tmp_path, "--feed", "sim", "--port", str(urlsplit(url).port)):
        await expect(connection(page)).to_have_text(f"connected over {transport}", timeout=30_000)
        async with aiohttp.ClientSession(url) as client:
            after = await Desk(client, desk.session_id).open()
        await expect(row(page, "positions", after)).to_be_visible()
        assert await logged_events(page) == [("trade_opened", 2)]


async def test_a_position_is_taken_along_to_another_transport(
    page: Page, server: str, desk: Desk
) -> None:
    await page.goto(server)
    await page.get_by_label("Without prices and P&L").check()
    await connect(page, "WebSocket")
    await subscribe_session(page, desk.session_id)
    first = await desk.open()
    await expect(row(page, "positions", first)).to_be_visible()
    await press(page, "Disconnect")
    second = await desk.open()
    await connect(page, "SSE")
    await expect(row(page, "positions", second)).to_be_visible()
    assert await logged_events(page) == await desk.events()


async def test_auto_takes_sse_where_websocket_is_blocked(
    page: Page, cable: Cable, desk: Desk
) -> None:
    cable.blocked = b"GET /ws/"
    await page.goto(cable.url)
    await connect(page, "auto")
    await page.get_by_role("spinbutton", name="Session").fill(str(desk.session_id))
    await press(page, "Subscribe Session")
    await expect(connection(page)).to_have_text("connected over SSE")
    await expect(figure(page, "totalTrades")).to_have_text("0")


@both_transports
async def test_a_refused_session_leaves_the_one_that_was_shown(
    page: Page, server: str, desk: Desk, transport: str
) -> None:
    await page.goto(server)
    await connect(page, transport)
    await subscribe_session(page, desk.session_id)
    await page.get_by_role("spinbutton", name="Session").fill("987654")
    await press(page, "Subscribe Session")
    await expect(page.locator("#answer")).to_contain_text("987654")
    await expect(connection(page)).to_have_text(f"connected over {transport}")
    trade_id = await desk.open()
    await expect(row(page, "positions", trade_id)).to_be_visible()


async def test_ping_is_answered_on_websocket_only(page: Page, server: str, desk: Desk) -> None:
    answer = page.locator("#answer")
    await page.goto(server)
    await press(page, "Ping")
    await expect(answer).to_contain_text("Only an open WebSocket")
    await connect(page, "WebSocket")
    await expect(connection(page)).to_contain_text("connected")
    await press(page, "Ping")
    await expect(answer).to_have_text("pong")


async def test_a_session_made_in_the_console_is_subscribed_at_once(page: Page, server: str) -> None:
    await page.goto(server)
    await connect(page, "WebSocket")
    await page.get_by_text("Create a session").click()
    await page.get_by_label("Starting capital").fill("75000.50")
    await press(page, "Create Session")
    await expect(figure(page, "currentCapital")).to_have_text("75,000.50")


async def test_a_refused_order_is_explained_beside_its_form_as_text(
    page: Page, server: str, desk: Desk
) -> None:
    await page.goto(server)
    await connect(page, "WebSocket")
    await subscribe_session(page, desk.session_id)
    await page.get_by_label("Symbol", exact=True).fill("<b>x</b>")
    await press(page, "Open Trade")
    error = page.locator("#open-trade .error")
    await expect(error).to_contain_text(re.compile("<b>x</b>", re.IGNORECASE))
    assert await error.locator("b").count() == 0


async def test_the_log_is_bounded_and_can_be_paused(page: Page, server: str) -> None:
    lines = page.locator("#log li")
    await page.goto(server)
    await page.get_by_label("Interval in ms").fill("100")
    await connect(page, "WebSocket")
    await press(page, "Subscribe Prices")
    await expect(lines).to_have_count(200, timeout=30_000)
    newest = await lines.first.inner_text()
    await expect(lines.first).not_to_have_text(newest)
    assert await lines.count() == 200
    await page.get_by_label("Pause").check()
    last = row(page, "prices", "NIFTY").locator("td").nth(1)
    await expect(last).not_to_have_text(await last.inner_text())
    paused = await lines.first.inner_text()
    await expect(last).not_to_have_text(await last.inner_text())
    assert await lines.first.inner_text() == paused


async def test_the_demo_moves_by_itself(page: Page, demo_server: str) -> None:
    await page.goto(demo_server)
    await expect(page.get_by_text("DEMO - simulated prices")).to_be_visible()
    await expect(connection(page)).to_contain_text("connected")
    pnl = page.locator("#positions tr[data-key] td:nth-child(3)").first
    await expect(pnl).to_have_text(re.compile(r"\d"), timeout=60_000)
    await expect(pnl).not_to_have_text(await pnl.inner_text())


async def test_every_field_has_a_label_and_a_phone_needs_no_sideways_scrolling(
    page: Page, demo_server: str
) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(demo_server)
    await expect(row(page, "prices", "NIFTY")).to_be_visible()
    unlabelled = "[...document.querySelectorAll('input, select')].filter(e => !e.labels.length)"
    assert await page.evaluate(f"{unlabelled}.length") == 0
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
