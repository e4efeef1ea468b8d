"""What tests in a browser and in Node.js need."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.kit.chromium import CHROMIUM_FLAGS
from tests.kit.firefox import Firefox, running_firefox
from tests.kit.machine import missing, program


@pytest.fixture(scope="session")
def chromium_program() -> str:
    return program("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
async def page(chromium_program: str) -> AsyncIterator[Page]:
    """A blank page whose scripts must not throw."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_program, args=CHROMIUM_FLAGS
        )
        page = await browser.new_page()
        page.set_default_timeout(15_000)
        thrown: list[str] = []
        page.on("pageerror", lambda error: thrown.append(str(error)))
        yield page
        await browser.close()
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
        missing(f"Node.js {version} is too old: 20 or newer is needed")
    return executable


@pytest.fixture
def node_modules() -> Path:
    """What tests/js/package.json names; without it a test skips, in CI it fails."""
    folder = Path(__file__).parents[1] / "js" / "node_modules"
    if not folder.exists():
        missing("tests/js/node_modules is missing: run `make tests/js/node_modules`")
    return folder
