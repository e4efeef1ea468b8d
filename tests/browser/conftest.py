"""A real server as its own process, and a real Chromium."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.browser.cable import Cable, laid_cable
from tests.support import missing, program

START_WITHIN_S = 30
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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


@pytest.fixture
def start_server() -> Callable[..., AbstractContextManager[str]]:
    """`running_server`, for tests that start and stop a server of their own."""
    return running_server


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


@pytest.fixture
async def cable(server: str) -> AsyncIterator[Cable]:
    async with laid_cable(server) as cable:
        yield cable


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A blank page whose scripts must not throw."""
    chromium = program("chromium", "chromium-browser", "google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = await browser.new_page()
        page.set_default_timeout(15_000)
        thrown: list[str] = []
        page.on("pageerror", lambda error: thrown.append(str(error)))
        yield page
        await browser.close()
        assert thrown == []


@pytest.fixture
def node() -> str:
    path = program("node")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().removeprefix("v").split(".")[0]) < 20:
        missing(f"Node.js {version.strip()} is too old: 20 or newer is needed")
    return path


@pytest.fixture
def node_modules() -> Path:
    """What tests/js/package.json names; without it a test skips, in CI it fails."""
    folder = Path(__file__).parents[1] / "js" / "node_modules"
    if not folder.exists():
        missing("tests/js/node_modules is missing: run `make tests/js/node_modules`")
    return folder
