"""Servers as their own processes, as users start them, for all tests of the console."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import ConsoleMessage, Page, expect

from tests.browser.console.desk import Desk
from tests.kit.proxy import Proxy, proxy_before
from tests.kit.server import server_processes
from tests.kit.store import new_database


@pytest.hookimpl(tryfirst=True)  # before `tests/conftest.py` looks at the marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package", autouse=True)
def patience() -> Iterator[None]:
    """What the tests of this folder expect may take a while: the machine may be shared."""
    expect.set_options(timeout=30_000)
    yield
    expect.set_options(timeout=None)  # Playwright's own


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(embedded_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a server with simulated prices; tests share it and make their own sessions."""
    flags = ("--mongo-uri", new_database(embedded_uri), "--feed", "sim")
    async with server_processes(tmp_path_factory.mktemp("sim"), *flags) as make:
        yield await make().start()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def demo_server(
    embedded_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The address of the demo, where session 6 is traded by itself."""
    flags = ("--mongo-uri", new_database(embedded_uri), "--demo")
    async with server_processes(tmp_path_factory.mktemp("demo"), *flags) as make:
        yield await make().start()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ingest_server(
    embedded_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The address of a server that takes pushed prices."""
    flags = ("--mongo-uri", new_database(embedded_uri), "--feed", "ingest")
    async with server_processes(tmp_path_factory.mktemp("ingest"), *flags) as make:
        yield await make().start()


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(server: str) -> AsyncIterator[Proxy]:
    async with proxy_before(server) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def desk(server: str) -> AsyncIterator[Desk]:
    async with Desk.at(server) as desk:
        yield desk


@pytest_asyncio.fixture(loop_scope="session")
async def page(page: Page) -> AsyncIterator[Page]:
    """A blank page whose scripts must not throw, nor break the page's security policy."""
    broken: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Security Policy" in message.text:
            broken.append(message.text)

    page.on("console", note)
    yield page
    page.remove_listener("console", note)
    assert broken == []
