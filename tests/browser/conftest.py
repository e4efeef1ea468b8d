"""What tests in a browser and in Node.js need: one Chromium and one Firefox for all of them."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error, Page, async_playwright

from tests.kit.chromium import chromium
from tests.kit.firefox import Firefox, running_firefox
from tests.kit.machine import missing, program
from tests.kit.server import MakeServer, server_processes
from tests.kit.store import new_database
from tests.kit.tab import Tabs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for these tests: the browser that they share lives in it."""
    here = f"{Path(__file__).parent}/"
    for item in items:
        if str(item.path).startswith(here) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(loop_scope="session")
async def server_process(embedded_uri: str, tmp_path: Path) -> AsyncIterator[MakeServer]:
    """Makes server processes on the test's own data, in the store that all tests share."""
    flags = ("--mongo-uri", new_database(embedded_uri))
    async with server_processes(tmp_path / "data", *flags) as make:
        yield make


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright, chromium(playwright) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tabs(browser: Browser) -> Tabs:
    return Tabs(browser)


@pytest_asyncio.fixture(loop_scope="session")
async def page(tabs: Tabs, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A blank page whose scripts must not throw."""
    own = request.node.get_closest_marker("own_tab") is not None
    page = await (tabs.new() if own else tabs.lend())
    thrown: list[str] = []

    def note(error: Error) -> None:
        thrown.append(str(error))

    page.on("pageerror", note)
    yield page
    if own:
        await page.context.close()
    else:
        await tabs.take_back(page)
    page.remove_listener("pageerror", note)
    assert thrown == []


@pytest.fixture(scope="session")
def firefox_window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with running_firefox(
        program("firefox-esr", "firefox"), tmp_path_factory.mktemp("firefox")
    ) as firefox:
        yield firefox


@pytest.fixture
def node() -> str:
    path = program("node")
    asked = subprocess.run(
        [path, "-p", "`${process.versions.node} ${process.execPath}`"],
        capture_output=True,
        text=True,
        check=True,
    )
    # The name on PATH may be that of a program that starts Node.js, as that of PyPI's is: who
    # kills it would not end what it started.
    version, _, executable = asked.stdout.strip().partition(" ")
    if int(version.split(".")[0]) < 20:
        missing("Node.js 20 or newer")
    return executable


@pytest.fixture
def node_modules() -> Path:
    """What tests/js/package.json names; without it a test skips, in CI it fails."""
    folder = Path(__file__).parents[1] / "js" / "node_modules"
    if not folder.exists():
        missing("tests/js/node_modules")
    return folder
