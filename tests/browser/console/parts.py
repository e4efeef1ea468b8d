"""Where things are on the console's page."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from axe_playwright_python.base import AXE_SCRIPT, AxeResults  # type: ignore[import-untyped]
from playwright.async_api import Locator, Page, expect

from tests.kit.waiting import until

DIGIT = re.compile(r"\d")
LIVE = {"ws": "Live · WebSocket", "sse": "Live · SSE"}
OVERFLOWING = """[...document.querySelectorAll("body *")].filter((element) => {
    const { right, width } = element.getBoundingClientRect();
    return width > 1 && right > innerWidth + 1
        && !element.closest(".hidden, .scroll, #raw, thead, #nets, [role=tablist]");
}).map((element) => element.outerHTML.slice(0, 80))"""
"""What reaches beyond the right edge of the page."""
LOG = """[...document.querySelectorAll("#log tr[data-type^=trade_]")].map(({ dataset, cells }) =>
    [dataset.type, Number(/#(\\d+)/.exec(cells[2].textContent)[1])])"""


async def show(page: Page, url: str, session_id: int = 0, **place: Any) -> None:
    """Open the console at a session, and wait until its figures are there."""
    query = urlencode({**({"session": session_id} if session_id else {}), **place}, safe=",")
    await page.goto(f"{url}/?{query}")
    if session_id:
        await expect(figure(page, "totalTrades")).to_have_text(DIGIT)


async def fits(page: Page) -> None:
    """Nothing reaches beyond the page's right edge, once the chart has followed a new width."""
    with suppress(TimeoutError):
        await until(lambda: page.evaluate(f"{OVERFLOWING}.length === 0"))
    assert await page.evaluate(OVERFLOWING) == []


async def bring_on_screen(page: Page, session_id: int) -> None:
    """Another session, though a dialog is open, and wait until it is there."""
    await page.evaluate(
        """async (sessionId) => {
            const { isChanging, showSession } = await moduleNamed("stream");
            showSession(sessionId);
            while (isChanging()) await new Promise((resolve) => setTimeout(resolve, 20));
        }""",
        session_id,
    )


def link(page: Page) -> Locator:
    return page.locator("#link-text")


def figure(page: Page, name: str) -> Locator:
    return page.locator(f'[data-figure="{name}"]')


def tile(page: Page, symbol: str) -> Locator:
    return page.locator(f'.tile[data-symbol="{symbol}"]')


def position(page: Page, trade_id: object) -> Locator:
    return page.locator(f'#positions tr[data-trade="{trade_id}"]')


async def stop_the_clock(page: Page) -> None:
    """From now on nothing of the page is due, so that a message stays however slow the machine is.

    The page's clock must have been installed.
    """
    await page.clock.pause_at(await page.evaluate("Date.now() + 1000"))


def toast(page: Page, text: str) -> Locator:
    return page.locator("#toasts .toast", has_text=text)


def drawer(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Developer")


async def press(page: Page, button: str) -> None:
    await page.get_by_role("button", name=button, exact=True).click()


async def log(page: Page) -> list[tuple[str, int]]:
    """What the log tells of trades, newest first, as `Desk.trade_ids` does."""
    return [tuple(row) for row in await page.evaluate(LOG)]


async def changes(value: Locator) -> None:
    """Wait until it shows something else."""
    await expect(value).not_to_have_text(await value.inner_text())


async def violations(page: Page, *only: str, within: str = "html") -> str:
    """What axe-core finds, by all rules of WCAG 2.2 AA and good practice or `only` some."""
    rules = only or ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
    # All that it finds right besides, with its place, takes as long as the search itself.
    options = {"runOnly": list(rules), "resultTypes": ["violations"], "preload": False}
    if not await page.evaluate("'axe' in globalThis"):
        await page.evaluate(AXE_SCRIPT)
    run = "([within, options]) => axe.run(within, options)"
    results = AxeResults(await page.evaluate(run, [within, options]))
    return str(results.generate_report()) if results.violations_count else ""
