"""A tab of the browser that test after test uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

WIDTH_AND_HEIGHT = 1440, 900
MODULES = """globalThis.moduleNamed = (name) =>
    import(new URL(`${name}.js`, document.querySelector("script[type=module]").src));"""
"""For tests: a module of the console as the page has it, by the address of its script."""

FOR_GOOD = ("add_init_script", "expose_binding", "expose_function", "route_web_socket")
"""What changes a tab for all pages to come. A WebSocket that was routed once is the browser's no
more: each message goes through Playwright, also of later pages and without a route."""
CLOCK_FOR_GOOD = ("install", "pause_at", "set_fixed_time", "set_system_time")
"""The same of its clock, each of which installs one."""


async def _refuse(*_args: object, **_more: object) -> None:
    message = "this changes a tab for good, so other tests must not get it: mark the test own_tab"
    raise AssertionError(message)


class Tabs:
    """Lends a tab to one test at a time.

    What a page loads is kept by the browser for the next one, and a page of the same tab runs in
    the same process: that is half of what a page of the console costs. What a page knows and what
    a test set is taken away; what cannot be is for a tab of its own.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: Page | None = None

    async def lend(self) -> Page:
        """A blank one. A test that does not give it back leaves the next one a new one."""
        page, self._free = self._free, None
        if page is None or page.is_closed():
            page = await self.new()
            for what, names in ((page, FOR_GOOD), (page.clock, CLOCK_FOR_GOOD)):
                for name in names:
                    setattr(what, name, _refuse)
        return page

    async def new(self) -> Page:
        """One that shares nothing with others; to be closed with its context."""
        width, height = WIDTH_AND_HEIGHT
        context = await self._browser.new_context(viewport={"width": width, "height": height})
        await context.add_init_script(MODULES)
        page = await context.new_page()
        page.set_default_timeout(30_000)
        return page

    async def take_back(self, page: Page) -> None:
        """Leave its page, then forget what that kept and how it was shown."""
        context = page.context
        for other in context.pages:
            if other is not page:
                await other.close()
        await page.unroute_all(behavior="ignoreErrors")
        await page.goto("about:blank")
        devtools = await context.new_cdp_session(page)
        await devtools.send(
            "Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "cookies,local_storage"}
        )
        await devtools.detach()
        await context.clear_permissions()
        width, height = WIDTH_AND_HEIGHT
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(media="null", color_scheme="null", reduced_motion="null")
        self._free = page
