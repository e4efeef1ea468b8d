"""The console under a load: what it waits for, what many positions cost, and whether it grows."""

from __future__ import annotations

from playwright.async_api import Page, Route, expect

from tests.browser.console.desk import Desk
from tests.browser.console.parts import DIGIT, figure, show, tile

SCRIPTS = """() => {
    const inPage = (url) => new URL(url).pathname.replace(/.*static/, "static");
    return {
        asked: [...document.querySelectorAll("link[rel=modulepreload]")].map((l) => inPage(l.href)),
        used: performance.getEntriesByType("resource").map(({ name }) => inPage(name))
            .filter((name) => name.endsWith(".js")),
    };
}"""
NO_MODULES = {"static/console/theme.js", "static/console/ticker.js", "static/console/main.js"}
"""What the page runs first, its worker, and what the page names as its script."""


async def test_the_page_shows_its_data_before_any_list_and_asks_for_all_scripts_at_once(
    page: Page, server: str, desk: Desk
) -> None:
    async def never(_route: Route) -> None:
        """No answer comes."""

    for name in ("sessions?limit=1000", "prices"):
        await page.route(f"**/api/auto-trader/{name}", never)
    await show(page, server, desk.session_id, symbols="NIFTY,TCS")
    await expect(tile(page, "NIFTY").locator(".last b")).to_have_text(DIGIT)
    await expect(figure(page, "currentCapital")).to_have_text(DIGIT)
    scripts = await page.evaluate(SCRIPTS)
    assert sorted(scripts["asked"]) == sorted({*scripts["used"]} - NO_MODULES)
