"""The console of a server that plays a recorded day."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.console.parts import tile, violations
from tests.kit.server import MakeSettings, serve_here
from tests.replay.days import call, tick, write

TIME = r"26 Nov, \d\d:\d\d:\d\d"


async def test_a_replay_shows_its_time_and_is_paused_and_sped_up_on_the_page(
    page: Page, make_settings: MakeSettings, tmp_path: Path
) -> None:
    session = call(0, "POST /sessions", {"startingCapital": 50000})
    lines = [session, *(tick(second * 1000, 100 + second) for second in range(3600))]
    path = write(tmp_path / "day.ndjson", lines)
    async with serve_here(make_settings(feed=(f"replay:{path}",), speed="1")) as rest:
        await page.goto(rest.url)
        clock, pause = page.locator("#replay-time"), page.locator("#replay-pause")
        await expect(clock).to_have_text(re.compile(TIME))
        await expect(page.locator("#replay-rate")).to_have_value("1")
        # A price is as old as it was on the day.
        await expect(tile(page, "NIFTY").locator(".age")).to_have_text(
            re.compile(r"^(now|\d s) · replay$")
        )
        await pause.click()
        await expect(pause).to_have_text("Go on")
        stood = await clock.text_content()
        await page.locator("#replay-rate").select_option("60")
        assert not await violations(page)
        await expect(clock).to_have_text(stood or "")
        await pause.click()
        await expect(clock).not_to_have_text(stood or "")
        await page.locator("#replay-rate").select_option("max")
        await expect(page.locator("#feed-banner")).to_have_text(
            re.compile("^Price feed: the record is over: the market's clock stands at ")
        )
        await expect(clock).to_have_text("26 Nov, 10:14:59")
