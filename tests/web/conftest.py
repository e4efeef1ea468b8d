"""Servers: in the hands of a clock; and here on asyncio's own loop, and as users start it."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio

from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, ServerProcess, serve_here
from tests.kit.store import prepared_database
from tests.web.calls import As, Clock
from tests.web.guarded import KEY
from vyomo_rt.config import Settings
from vyomo_rt.domain.grant import Grant
from vyomo_rt.web.ways_in import WaysIn

SLOW_TIMEOUT_S = 0.4


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks the shared server runs in its loop."""
    for item in items:
        if isinstance(item, pytest.Function) and "shared_server" in item.fixturenames:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def standing_server(embedded_uri: str) -> AsyncIterator[Rest]:
    async with serve_here(Settings(port=0, mongo_uri=prepared_database(embedded_uri))) as rest:
        yield rest


@pytest_asyncio.fixture(loop_scope="session")
async def shared_server(standing_server: Rest) -> Rest:
    """For refusals, which change nothing, and what has a session of its own."""
    return await standing_server.ready()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def act_as(monkeypatch: pytest.MonkeyPatch) -> As:
    """From the call on, requests come with this grant."""

    def act(grant: Grant) -> None:
        async def grant_of(*_: object) -> Grant:
            return grant

        monkeypatch.setattr(WaysIn, "grant_of", grant_of)

    return act


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def guarded(make_settings: MakeSettings, clock: Clock) -> AsyncIterator[Rest]:
    """A server with a key that goes by the test's clock."""
    async with serve_here(make_settings(auth_key=KEY, call_burst=10_000), now=clock) as rest:
        yield rest


@pytest.fixture
async def timed(make_settings: MakeSettings, clock: Clock) -> AsyncIterator[Rest]:
    """A server that takes ticks and goes by the test's clock."""
    async with serve_here(make_settings(), now=clock) as rest:
        yield rest


on_both_loops = pytest.fixture(params=["asyncio", "uvloop"])
"""asyncio's own event loop in this process, and a process of its own, which runs uvloop."""


@on_both_loops
async def any_server(
    request: pytest.FixtureRequest,
    make_settings: MakeSettings,
    server_process: MakeServer,
) -> AsyncIterator[Rest]:
    """A server with the default settings."""
    settings = make_settings()
    async with _serve(request.param, settings, server_process) as (rest, _):
        yield rest


@on_both_loops
async def any_slow_server(
    request: pytest.FixtureRequest,
    make_settings: MakeSettings,
    server_process: MakeServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> AsyncIterator[tuple[Rest, Callable[[], str]]]:
    """A server that has little patience with who does not read, and its log so far."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("VYOMO_RT_SLOW_TIMEOUT_S", str(SLOW_TIMEOUT_S))
    settings = make_settings(slow_timeout_s=SLOW_TIMEOUT_S)
    async with _serve(request.param, settings, server_process) as (rest, process):
        yield rest, lambda: "".join(process.output) if process else caplog.text


@asynccontextmanager
async def _serve(
    loop: str, settings: Settings, server_process: MakeServer
) -> AsyncIterator[tuple[Rest, ServerProcess | None]]:
    if loop == "asyncio":
        async with serve_here(settings) as rest:
            yield rest, None
    else:
        pytest.importorskip("uvloop")
        process = server_process("--mongo-uri", settings.mongo_uri)
        async with aiohttp.ClientSession() as http:
            yield Rest(await process.start(), http), process
