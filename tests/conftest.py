"""A real server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, ServerProcess, serve_here
from tests.kit.store import new_database
from vyomo_rt.config import Settings
from vyomo_rt.store.embedded import EmbeddedServer


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded_uri(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """An embedded store for all tests that leave it running."""
    server = EmbeddedServer(tmp_path_factory.mktemp("embedded"))
    yield await server.start()
    await server.stop()


@pytest.fixture
def make_settings(embedded_uri: str) -> MakeSettings:
    """Makes settings of a server on a free port and, by its name, a database of the test's own."""
    uris: dict[str, str] = {}

    def make(database: str = "own", /, **fields: Any) -> Settings:
        uri = uris.setdefault(database, new_database(embedded_uri))
        return Settings(**{"port": 0, "mongo_uri": uri, **fields})

    return make


@pytest.fixture
async def server(make_settings: MakeSettings) -> AsyncIterator[Rest]:
    """A server in this process that takes ticks."""
    async with serve_here(make_settings()) as rest:
        yield rest


@pytest.fixture
async def server_process(
    tmp_path: Path,
) -> AsyncIterator[Callable[..., ServerProcess]]:
    """Makes server processes, all on the test's own data; what still runs is killed at the end."""
    made: list[ServerProcess] = []

    def make(*flags: str, port: int = 0) -> ServerProcess:
        made.append(ServerProcess(tmp_path / "data", *flags, port=port))
        return made[-1]

    yield make
    for process in made:
        if hasattr(process, "process"):
            await process.kill()
