"""Prices on the console: whose they are, how old, and what the market does."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import figure, fits, position, press, show, tile, violations
from tests.kit.server import MakeServer

TIME = r"\d\d:\d\d:\d\d"
IST = timedelta(hours=5, minutes=30)


async def _refuse_for_now(route: Route) -> None:
    await route.fulfill(status=503, json={"detail": "the store is not reachable"})


def calendar(path: Path, table: str, **hours: str) -> str:
    """A calendar file in which today is a holiday, or a special day."""
    today = (datetime.now(UTC) + IST).date()
    days = [today + timedelta(days=n) for n in (-1, 0, 1)]
    rows: list[dict[str, Any]] = [
        {"date": str(day), "name": "test", "source": "test"} | hours for day in days
    ]
    years = sorted({day.year for day in days})
    path.write_text(json.dumps({"years": years, "holidays": [], "special": []} | {table: rows}))
    return str(path)


async def test_in_a_closed_market_the_last_price_is_the_close_and_nothing_alarms(
    page: Page, server_process: MakeServer, tmp_path: Path
) -> None:
    file = calendar(tmp_path / "calendar.json", "holidays")
    url = await server_process(
        "--feed", "ingest", "--market-hours", "--trade-on-delayed", "--calendar", file
    ).start()
    async with Desk.at(url) as desk:
        await desk.tick({"symbol": "NIFTY", "price": 22150.5}, {"symbol": "BTCINR", "price": 100})
        trade = await desk.open("NIFTY", entryPrice=22100, stopLoss=22000)
        await show(page, url, desk.session_id, symbols="NIFTY,BTCINR,ETHINR", interval=100)
        await expect(page.locator("#market")).to_have_text("Market closed")
        await expect(page.locator("#feed-text")).to_have_text("Feed ingest LIVE")
        nifty, other = tile(page, "NIFTY"), tile(page, "BTCINR")
        await expect(nifty.locator(".age")).to_have_text(
            re.compile(rf"^Market closed · {TIME} · ingest$")
        )
        assert await nifty.evaluate("tile => getComputedStyle(tile).outlineStyle") == "none"
        # The exchange does not know it: it is open day and night.
        await expect(other.locator(".age")).to_have_text(re.compile(r"^(now|\d+ s) · ingest$"))
        row = position(page, trade)
        await expect(row.locator(".waits")).to_have_text(
            re.compile(rf"^Market closed · {TIME} · ingest$")
        )
        await expect(row).not_to_have_class(re.compile("old"))
        note = page.locator("#stops-wait")
        await expect(note).to_have_text(
            "Market closed: stops and targets of NIFTY wait until it opens."
        )
        await expect(note).to_have_class("note")
        await expect(page).to_have_title(re.compile("^[+]₹"))
        await expect(page.locator("#top")).to_contain_text("Trading on delayed prices")
        await expect(page.locator("#feed-banner")).to_be_hidden()
        await expect(page.locator("#refusal")).to_have_text("Nothing opens at a close.")
        assert await violations(page) == ""
        await row.get_by_role("button", name="Close trade").click()
        await expect(page.locator("#close-what")).to_contain_text(
            re.compile(rf"last 22,150.50 \(Market closed · {TIME} · ingest\)")
        )
        await press(page, "Keep it")
        # A delayed price counts here, and is no price of now all the same.
        late_ms = round(time.time() * 1000) - 15 * 60_000
        await desk.tick({"symbol": "ETHINR", "price": 101, "ts": late_ms})
        bought = await desk.open("ETHINR", quantity=1)
        delayed = tile(page, "ETHINR")
        await expect(delayed.locator(".age")).to_have_text("15 min late · ingest")
        await expect(delayed).to_have_class("tile late")
        await expect(position(page, bought)).to_have_class("old")
        await expect(figure(page, "equity")).to_contain_text(re.compile(rf"as of {TIME}$"))
        await page.set_viewport_size({"width": 360, "height": 740})
        await fits(page)


async def test_of_several_sources_each_has_its_state_and_late_prices_say_that_stops_wait(
    page: Page, server_process: MakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VYOMO_RT_YAHOO_URL", "http://127.0.0.1:9")  # nobody answers there
    file = calendar(tmp_path / "calendar.json", "special", open="00:00", close="23:59")
    url = await server_process("--feed", "yahoo,ingest", "--calendar", file).start()
    async with Desk.at(url) as desk:
        late_ms = round(time.time() * 1000) - 15 * 60_000
        await show(page, url, desk.session_id, symbols="NIFTY", interval=100)
        await desk.tick({"symbol": "NIFTY", "price": 22150.5, "ts": late_ms})
        await expect(page.locator("#feed-text")).to_have_text("Feed yahoo DOWN, ingest DEGRADED")
        await expect(page.locator("#market")).to_have_text("Market open")
        banner = page.locator("#feed-banner")
        await expect(banner).to_contain_text("ingest: prices are 15 minutes late: stops wait")
        await expect(banner).to_contain_text("yahoo is DOWN: ")
        assert "fresh prices" not in await banner.inner_text()
        age = tile(page, "NIFTY").locator(".age")
        await expect(age).to_have_text(re.compile(rf"^STALE since {TIME} · ingest$"))
        await desk.tick({"symbol": "NIFTY", "price": 22150.5})
        await expect(page.locator("#feed-text")).to_have_text("Feed yahoo DOWN, ingest LIVE")
        await expect(age).to_have_text(re.compile(r"^(now|\d+ s) · ingest$"))
        await expect(banner).to_have_class("banner quiet")
        await expect(banner).to_have_text(re.compile("^Price feed: ingest: prices are coming in; "))
        assert await violations(page) == ""


async def test_a_change_counts_from_the_close_of_the_day_before(
    page: Page, ingest_server: str
) -> None:
    """As a source tells it, else as the server's bars hold it: this source and server are new."""
    yesterday = (datetime.now(UTC) + IST - timedelta(days=1)).date()
    told = {"symbol": "TOLD", "previousClose": 50, "previousCloseDate": str(yesterday)}
    kept = {"start": f"{yesterday - timedelta(days=1)}T18:30:00.000Z", "close": 100}

    async def answer(route: Route) -> None:
        await route.fulfill(json={"instruments": [told], "bars": [kept]})

    await page.route(re.compile(r"instruments\?symbols=TOLD|bars\?symbol=KEPT"), answer)
    async with Desk.at(ingest_server) as desk:
        names = ("TOLD", "KEPT", "FIRST")
        await show(page, ingest_server, desk.session_id, symbols=",".join(names), interval=100)
        await expect(page.locator(".tile")).to_have_count(3)  # only what is watched has bars
        await desk.tick(*({"symbol": name, "price": 103} for name in names))
        for name, change, words in (
            ("TOLD", "+106.00%", f"Against the previous close, 50.00 of {yesterday}"),
            ("KEPT", "+3.00%", "Against the previous close, 100.00"),
            ("FIRST", "0.00%", "Since the day’s first, 103.00"),
        ):
            shown = tile(page, name).locator(".change")
            await expect(shown).to_have_text(change)
            await expect(shown).to_have_attribute("title", words)


async def test_old_prices_look_old_and_say_that_stops_wait(page: Page, ingest_server: str) -> None:
    async with Desk.at(ingest_server) as desk, Desk.at(ingest_server) as other:
        old = "2026-01-01T09:15:00+05:30"
        await desk.tick({"symbol": "AGED", "price": 120, "ts": old})
        await desk.tick({"symbol": "UNSEEN", "price": 50, "ts": old})
        trade = await desk.open("AGED", entryPrice=100, stopLoss=90)
        unseen = await desk.open("UNSEEN", entryPrice=50)  # it is not in the watchlist
        await other.open("UNSEEN", entryPrice=50)
        await show(page, ingest_server, desk.session_id, symbols="AGED", interval=100)
        when = "01 Jan, 09:15:00"
        row = position(page, trade)
        await expect(position(page, unseen)).to_contain_text(f"stale since {when}")
        await expect(row).to_contain_text(f"stale since {when}: stop waits")
        await expect(page.locator("#stops-wait")).to_have_text(
            f"Stops and targets of AGED, UNSEEN wait: no fresh price since {when}."
        )
        await expect(page).to_have_title(f"stale prices · Session {desk.session_id} · vyomo-rt")
        await expect(figure(page, "equity")).to_have_text(f"equity ₹51,000.00 as of {when}")
        await expect(page.locator("#equity-legend")).to_have_text(f"by prices of {when}")
        grey = await page.evaluate("getComputedStyle(document.querySelector('.quiet, dt')).color")
        total = page.locator("#total-pnl")
        for value in (row.locator(".pnl"), figure(page, "unrealizedPnL"), total):
            await expect(value).to_have_css("color", grey)
        # Its figures come once; a question that the server cannot answer now is asked again.
        await page.route(f"**/sessions/{other.session_id}/trades?*", _refuse_for_now, times=1)
        await page.get_by_role("tab", name="Sessions").click()
        for session_id in (desk.session_id, other.session_id):
            session = page.locator(f'#overview tr[data-session="{session_id}"]')
            await session.get_by_role("button").last.focus()  # else it may be out of sight
            await expect(session).to_contain_text(f"by prices of {when}: stops wait")
            await expect(session.locator("td.number").nth(1)).to_have_css("color", grey)
        await page.get_by_role("tab", name="Positions").click()
        await desk.close(unseen)
        stale = re.compile(rf"120.00 \(STALE since {when} · ingest\)")
        await page.locator("#symbol").fill("aged")
        await expect(page.locator("#preview")).to_have_text(stale)
        await page.locator("#place").click()
        refused = page.locator("#ticket [data-error-form]")
        await expect(refused).to_have_text(
            "no fresh price of AGED is known (the last is as of 01 Jan, 09:15:00 IST): "
            "give “A fill made elsewhere…”"
        )
        await row.get_by_role("button", name="Close trade").click()
        await expect(page.locator("#close-what")).to_have_text(stale)
        await page.keyboard.press("Escape")

        await desk.tick({"symbol": "AGED", "price": 121})
        await expect(page.locator("#stops-wait")).to_be_hidden()
        await expect(row).not_to_contain_text("stale")
        await expect(refused).to_be_empty()
        await expect(page).to_have_title(re.compile(r"^\+₹1,050.00"))
