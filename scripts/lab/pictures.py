"""The pictures of the console, taken with Chromium from a demo in its own folder."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.async_api import Browser, Page, async_playwright

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 300_000
WARM_UP_S = 100
SYMBOLS = "NIFTY,BANKNIFTY,RELIANCE,TCS,HDFCBANK,USDINR"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


class Picture(NamedTuple):
    """What is shown, and how large; `press` is a shortcut of the page."""

    name: str
    dark: bool
    width: int
    height: int
    press: str = ""


PICTURES = (
    Picture("console-light", dark=False, width=1440, height=900),
    Picture("console-dark", dark=True, width=1440, height=900),
    Picture("console-phone", dark=True, width=390, height=844),
    Picture("console-drawer", dark=True, width=1280, height=800, press="d"),
)


@contextmanager
def demo() -> Iterator[str]:
    """The address of a demo that started empty."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "vyomo_rt", "serve", "--demo", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--data-dir", folder],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"listening on (http://\S+)", line)
            if not found:
                sys.exit(f"the demo did not start: {line}")
            yield found[1]
        finally:
            process.terminate()
            process.wait()


def open_trades(url: str) -> None:
    """Two that stay, with stop and target in sight."""
    for symbol, quantity, side in (("TCS", 40, 1), ("HDFCBANK", 120, -1)):
        with urllib.request.urlopen(f"{url}/api/auto-trader/prices?symbols={symbol}") as answer:
            price = json.load(answer)["prices"][0]["price"]
        order = {
            "symbol": symbol,
            "side": "BUY" if side > 0 else "SELL",
            "quantity": quantity,
            "stopLoss": round(price * (1 - 0.003 * side), 1),
            "target": round(price * (1 + 0.004 * side), 1),
        }
        body = json.dumps(order).encode()
        urllib.request.urlopen(f"{url}/api/auto-trader/sessions/6/trades", body).close()


async def show(browser: Browser, url: str, picture: Picture) -> Page:
    context = await browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="dark" if picture.dark else "light",
    )
    page = await context.new_page()
    await page.goto(f"{url}/?session=6&symbols={SYMBOLS}&interval=500")
    if picture.press:
        await page.keyboard.press(picture.press)
    return page


async def take_all() -> None:
    """Ends the program where there is no demo, or a picture is too large."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    IMAGES.mkdir(exist_ok=True)
    with demo() as url:
        open_trades(url)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            pages = [await show(browser, url, picture) for picture in PICTURES]
            for left in range(WARM_UP_S, 0, -10):
                print(f"\r{left} s until the pictures ", end="", flush=True)
                await asyncio.sleep(10)
            print()
            for picture, page in zip(PICTURES, pages, strict=True):
                path = IMAGES / f"{picture.name}.png"
                await page.screenshot(path=path)
                size = path.stat().st_size
                print(f"{path}: {size // 1000} kB")
                if size > MOST_BYTES:
                    sys.exit(f"{path} has more than {MOST_BYTES // 1000} kB")
            await browser.close()
