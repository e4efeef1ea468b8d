"""Real servers as their own processes, and one real Chromium for all tests of the console."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.console.desk import Desk
from tests.kit.cable import Cable, laid_cable
from tests.kit.chromium import CHROMIUM_FLAGS

START_WITHIN_S = 30


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for the tests in a browser: the one that they share lives in it."""
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package", autouse=True)
def patience() -> Iterator[None]:
    """What the tests of this folder expect may take a while: the machine may be shared."""
    expect.set_options(timeout=15_000)
    yield
    expect.set_options(timeout=None)  # Playwright's own


@contextmanager
def running_server(data_dir: Path, *options: str) -> Iterator[str]:
    """The address of a server that runs as users start it."""
    command = [sys.executable, "-m", "vyomo_rt", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(data_dir), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    output: list[str] = []
    deadline = threading.Timer(START_WITHIN_S, process.kill)
    deadline.start()
    reader = threading.Thread(target=output.extend, args=(process.stdout,), daemon=True)
    try:
        for line in process.stdout:
            output.append(line)
            if match := re.search(r"listening on (http://\S+)", line):
                break
        else:
            pytest.fail(f"the server did not start: {''.join(output)}")
        deadline.cancel()
        reader.start()  # a pipe that nobody reads would stop the server
        yield match[1]
    finally:
        deadline.cancel()
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if reader.ident:
            reader.join()
        process.stdout.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with simulated prices; tests share it and make their own sessions."""
    with running_server(tmp_path_factory.mktemp("sim"), "--feed", "sim") as url:
        yield url


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the demo, where session 6 is traded by itself."""
    with running_server(tmp_path_factory.mktemp("demo"), "--demo") as url:
        yield url


@pytest.fixture(scope="session")
def ingest_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that takes pushed prices."""
    with running_server(tmp_path_factory.mktemp("ingest"), "--feed", "ingest") as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def cable(server: str) -> AsyncIterator[Cable]:
    async with laid_cable(server) as cable:
        yield cable


@pytest_asyncio.fixture(loop_scope="session")
async def desk(server: str) -> AsyncIterator[Desk]:
    async with Desk.at(server) as desk:
        yield desk


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium_program: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_program, args=CHROMIUM_FLAGS
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A blank page whose scripts must not throw, nor break the page's security policy."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    page.set_default_timeout(15_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda message: faults.append(message.text) if "Security Policy" in message.text else None,
    )
    yield page
    await context.close()
    assert faults == []
