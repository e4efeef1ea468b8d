"""Servers and clients for the tests of the Python client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.kit.rest import Rest
from tests.kit.server import serve_here
from tests.kit.store import new_database
from vyomo_rt.config import Settings
from vyomo_rt.web import streams
from vyomo_rt_client import stream
from vyomo_rt_client.stream import Choice


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def standing_server(embedded_uri: str) -> AsyncIterator[Rest]:
    settings = Settings(port=0, mongo_uri=new_database(embedded_uri))
    async with serve_here(settings) as rest:
        yield rest


@pytest_asyncio.fixture(loop_scope="session")
async def server(standing_server: Rest) -> Rest:
    """One server for all these tests, in whose loop they run; each makes a session of its own."""
    return await standing_server.ready()


@pytest.fixture(params=["ws", "sse"])
def transport(request: pytest.FixtureRequest) -> Choice:
    choice: Choice = request.param
    return choice


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client comes back at once, also where the server (in this process) names a delay."""
    monkeypatch.setattr(stream, "_BACK_OFF_S", 0.01)
    monkeypatch.setattr(stream, "_STEADY_S", 0)
    monkeypatch.setattr(streams, "_RETRY_FROM_MS", 1)
    monkeypatch.setattr(streams, "_RETRY_UPTO_MS", 5)
