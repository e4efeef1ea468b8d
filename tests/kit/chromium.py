"""The real Chromium of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.kit.machine import program

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def chromium(playwright: Playwright, *flags: str) -> AsyncIterator[Browser]:
    """A browser without a window; a test that finds none installed ends."""
    browser = await playwright.chromium.launch(
        # The shell is the same browser for less than half of the CPU time: it draws no window.
        executable_path=program("chromium-headless-shell", "chromium", "google-chrome"),
        args=[*FLAGS, *flags],
    )
    try:
        yield browser
    finally:
        await browser.close()
