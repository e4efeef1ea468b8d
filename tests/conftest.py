"""A real server for each test."""

from __future__ import annotations

import gc
import shutil
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.kit.forking import forked_programs
from tests.kit.history import LONG, make_store
from tests.kit.machine import FOR_WANT_OF
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here, server_processes
from tests.kit.store import folder_in_memory, prepare_pattern, prepared_database
from vyomo_rt.config import Settings
from vyomo_rt.store.embedded import EmbeddedServer

KNOWN_YEARS = Path(__file__).parent / "kit" / "known_years.json"
"""A calendar to go over the built-in one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", type=int, default=1, help="run each test so many times")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is to be run many times has a number at the end of its name."""
    times = metafunc.config.getoption("times")
    if times > 1:
        metafunc.fixturenames.append("time_of_many")
        metafunc.parametrize("time_of_many", range(times))


def pytest_configure() -> None:
    """A job in the background ignores Ctrl-C, and so would all processes that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays: looking through it for garbage is a seventh of the work."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Three workers have browsers: for either half of the console's tests, and for the module's.

    Those that take longest begin first, so that no worker is left with one of them at the end.
    """
    items.sort(key=_takes_s, reverse=True)
    for item in items:
        if item.get_closest_marker("browser"):
            half = "first" if item.path.stem <= "test_history" else "second"
            group = f"browsers of {item.path.parent.name}, {half} half"
            item.add_marker(pytest.mark.xdist_group(group))


def _takes_s(item: pytest.Item) -> float:
    """What its marker `slow` or `quiet` says; 0 if neither says anything."""
    marks = (item.get_closest_marker(name) for name in ("slow", "quiet"))
    return next((float(mark.args[0]) for mark in marks if mark is not None and mark.args), 0.0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped is said in one line, with the command that installs what lacks."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in skipped]
    tools = [reason.removeprefix(FOR_WANT_OF) for reason in reasons if FOR_WANT_OF in reason]
    others = [reason for reason in reasons if FOR_WANT_OF not in reason]
    if tools:
        wanted = ", ".join(sorted(set(tools)))
        terminalreporter.line(
            f"{len(tools)} skipped for want of {wanted}: `make test-tools` installs them"
        )
    if others:
        terminalreporter.line(f"{len(others)} skipped: {'; '.join(sorted(set(others)))}")


@pytest.fixture(scope="session", autouse=True)
def _calendar_without_an_end() -> Iterator[None]:
    """No test says something else because the calendar's data is about to end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VYOMO_RT_CALENDAR", str(KNOWN_YEARS))
        yield


@pytest.fixture(scope="session", autouse=True)
def _programs_begin_with_their_modules() -> Iterator[None]:
    with forked_programs():
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded_uri() -> AsyncIterator[str]:
    """An embedded store for all tests that leave it running."""
    with folder_in_memory() as folder:
        server = EmbeddedServer(folder)
        uri = await server.start()
        await prepare_pattern(uri)
        yield uri
        await server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _long_history() -> AsyncIterator[Path]:
    with folder_in_memory() as folder:
        await make_store(folder, LONG)
        yield folder


@pytest.fixture
def long_store(_long_history: Path) -> Iterator[Path]:
    """The folder of an embedded store with a session of `LONG` trades."""
    with folder_in_memory() as folder:
        yield shutil.copytree(_long_history, folder, dirs_exist_ok=True)


@pytest.fixture
def make_settings(embedded_uri: str) -> MakeSettings:
    """Makes settings of a server on a free port and, by its name, a database of the test's own."""
    uris: dict[str, str] = {}

    def make(database: str = "own", /, **fields: Any) -> Settings:
        if database not in uris:
            uris[database] = prepared_database(embedded_uri)
        uri = uris[database]
        return Settings(**{"port": 0, "mongo_uri": uri, "calendar": KNOWN_YEARS, **fields})

    return make


@pytest.fixture
async def server(make_settings: MakeSettings) -> AsyncIterator[Rest]:
    """A server in this process that takes ticks."""
    async with serve_here(make_settings()) as rest:
        yield rest


@pytest.fixture
async def server_process(tmp_path: Path) -> AsyncIterator[MakeServer]:
    """Makes server processes, all on the test's own data; what still runs is killed at the end."""
    async with server_processes(tmp_path / "data") as make:
        yield make
