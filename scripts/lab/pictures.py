"""The pictures of the console, taken with Chromium from servers in their own folders."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.async_api import Browser, Page, async_playwright

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 300_000
WARM_UP_S = 600
"""The chart has a bar a minute, from the moment on at which somebody looks."""
PATIENCE_MS = 120_000
SETTLE_S = 6
"""Until a line that fell silent is told to be so."""
SYMBOLS = "NIFTY,BANKNIFTY,RELIANCE,TCS,HDFCBANK,USDINR"
KEY = "for the pictures only, and long enough for a key"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


class Picture(NamedTuple):
    """What is shown, and how large; `press` is a shortcut of the page, `clicks` are selectors, and
    `types` goes into what was clicked last."""

    name: str
    dark: bool = False
    width: int = 1440
    height: int = 900
    press: str = ""
    clicks: tuple[str, ...] = ()
    types: str = ""
    scale: int = 1
    of: str = "demo"
    """The server: the demo, one without new prices, or one that wants a token."""


SHOWN = (
    Picture("console-light"),
    Picture("console-dark", dark=True),
    Picture("console-phone", dark=True, width=390, height=844),
    Picture("console-drawer", dark=True, width=1280, height=800, press="d"),
)
"""Those in the README and in docs/console.md."""


def both(*pictures: Picture) -> tuple[Picture, ...]:
    """Each in the light and in the dark scheme."""
    dark = (each._replace(name=f"{each.name}-dark", dark=True) for each in pictures)
    return (*pictures, *dark)


def phone(name: str, *clicks: str, height: int = 844, of: str = "demo") -> Picture:
    return Picture(name, width=390, height=height, clicks=clicks, of=of)


STAYS = '#positions tbody tr:has-text("HDFCBANK")'
"""A trade that the demo does not close."""
OTHERS = both(
    phone("phone"),
    phone("phone-whole", height=2600),
    phone("phone-ticket", "#jumps [data-side=SELL]"),
    phone("phone-log", "#tab-log", "#jumps [data-jump=book]", "#tab-log"),
    phone("phone-reports", "#tab-reports", height=1400),
    phone("phone-close", f"{STAYS} button:last-child"),
    phone("phone-chart", "#jumps [data-jump=charts]"),
    phone("phone-stale", of="still"),
    Picture("large", width=1920, height=1080),
    Picture("largest", width=2560, height=1440),
    Picture("zoom-200", width=720, height=450, scale=2),
    Picture("curve", press="c"),
    Picture("orders", clicks=("#tab-orders",)),
    Picture("history", clicks=("#tab-history",)),
    Picture("story", clicks=("#tab-history", "#history tbody tr:first-child button")),
    Picture("reports", clicks=("#tab-reports",)),
    Picture("log", clicks=("#tab-log",)),
    Picture("sessions", clicks=("#tab-sessions",)),
    Picture("ticket-error", clicks=("#stopLoss",), types="99,99,999"),
    Picture("close", clicks=(f"{STAYS} button:last-child",)),
    Picture("close-all", clicks=("#close-all",)),
    Picture("guards", clicks=(f"{STAYS} button:first-child",)),
    Picture("fill", clicks=("#book",)),
    Picture("alerts", press="n"),
    Picture("rules", clicks=("#change-rules-open",)),
    Picture("new-session", clicks=("#new-session",)),
    Picture("view", press="v"),
    Picture("help", press="?"),
    Picture("stale", of="still"),
    Picture("stale-curve", press="c", of="still"),
    Picture("stale-sessions", clicks=("#tab-sessions",), of="still"),
    Picture("sign-in", of="locked"),
)
AT_ONCE = 4
AFTER_SILENCE = both(Picture("silent"))
AFTER_THE_END = both(Picture("lost"), phone("lost-phone"))


@contextmanager
def served(*flags: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server that started empty, and its process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "vyomo_rt", "serve", *flags, "--port", "0"]
        process = subprocess.Popen(
            [*command, "--data-dir", folder],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **variables},
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"listening on (http://\S+)", line)
            if not found:
                sys.exit(f"the server did not start: {line}")
            yield found[1], process
        finally:
            process.terminate()
            process.wait()


def post(url: str, path: str, body: Any, method: str = "POST") -> Any:
    request = urllib.request.Request(
        f"{url}/api/auto-trader/{path}", json.dumps(body).encode(), method=method
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def open_trades(url: str) -> None:
    """Two that stay, far from their stops and targets; orders; rules that no demo gets to."""
    for symbol, quantity, side in (("TCS", 40, 1), ("HDFCBANK", 120, -1)):
        with urllib.request.urlopen(f"{url}/api/auto-trader/prices?symbols={symbol}") as answer:
            price = json.load(answer)["prices"][0]["price"]
        order = {
            "symbol": symbol,
            "side": "BUY" if side > 0 else "SELL",
            "quantity": quantity,
            "stopLoss": round(price * (1 - 0.02 * side), 1),
            "target": round(price * (1 + 0.03 * side), 1),
        }
        post(url, "sessions/6/trades", order)
        limit = {"type": "LIMIT", "price": round(price * (1 - 0.04 * side), 1)}
        waiting = {name: order[name] for name in ("symbol", "side", "quantity")} | limit
        post(url, "sessions/6/orders", waiting)
    rules = {"maxDailyLoss": 500_000, "dailyTarget": 800_000, "maxTradesPerDay": 500}
    post(url, "sessions/6", {"rules": rules}, "PATCH")


def stand_still(url: str) -> None:
    """Positions in a halted session whose prices come no more."""
    session = post(url, "sessions", {"startingCapital": 500_000, "name": "Prices stood still"})
    path = f"sessions/{session['sessionId']}"
    for number, symbol in enumerate(("NIFTY", "BANKNIFTY", "RELIANCE", "TCS")):
        price = 100.0 * (number + 1)
        post(url, "ticks", [{"symbol": symbol, "price": price}])
        guards = {"stopLoss": price * 0.9, "target": price * 1.2}
        post(url, f"{path}/trades", {"symbol": symbol, "quantity": 10, **guards})
        post(url, "ticks", [{"symbol": symbol, "price": price + 1.5 - number}])
    post(url, path, {"status": "HALTED"}, "PATCH")


async def show(browser: Browser, url: str, picture: Picture) -> Page:
    context = await browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="dark" if picture.dark else "light",
        device_scale_factor=picture.scale,
    )
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    session = "session=6&" if picture.of == "demo" else ""
    await page.goto(f"{url}/?{session}symbols={SYMBOLS}&interval=500")
    if picture.press:
        await page.keyboard.press(picture.press)
    for selector in picture.clicks:
        await page.locator(selector).first.click()
    if picture.types:
        await page.keyboard.type(picture.types)
    return page


async def take(folder: Path, pages: dict[Picture, Page]) -> None:
    """Closes the pages. Ends the program where a picture is too large."""
    for picture, page in pages.items():
        path = folder / f"{picture.name}.png"
        await page.screenshot(path=path)
        await page.context.close()
        size = path.stat().st_size
        print(f"{path}: {size // 1000} kB")
        if size > MOST_BYTES and picture in SHOWN:
            sys.exit(f"{path} has more than {MOST_BYTES // 1000} kB")


async def take_all(folder: Path | None, warm_up_s: int = WARM_UP_S) -> None:
    """Those that the documentation shows; with a folder, those of all widths and states into it."""
    chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    into = folder or IMAGES
    into.mkdir(parents=True, exist_ok=True)
    with (
        served("--demo") as (demo, process),
        served("--feed", "ingest") as (still, _),
        served("--feed", "ingest", VYOMO_RT_AUTH_KEY=KEY) as (locked, _),
    ):
        open_trades(demo)
        stand_still(still)
        urls = {"demo": demo, "still": still, "locked": locked}
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)

            async def shown(pictures: tuple[Picture, ...]) -> dict[Picture, Page]:
                return {one: await show(browser, urls[one.of], one) for one in pictures}

            pages = await shown(SHOWN)
            print(f"the pictures are taken in {warm_up_s} s")
            await asyncio.sleep(warm_up_s)
            await take(into, pages)
            if folder:
                for start in range(0, len(OTHERS), AT_ONCE):
                    pages = await shown(OTHERS[start : start + AT_ONCE])
                    await asyncio.sleep(SETTLE_S)
                    await take(folder, pages)
                silent, lost = await shown(AFTER_SILENCE), await shown(AFTER_THE_END)
                await asyncio.sleep(SETTLE_S)
                process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(SETTLE_S)
                await take(folder, silent)
                process.send_signal(signal.SIGCONT)
                process.terminate()
                await asyncio.sleep(SETTLE_S)
                await take(folder, lost)
            await browser.close()
