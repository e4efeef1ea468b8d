"""Nodes on one store, with a bus between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest_asyncio

from lab.site.nats_server import NatsServer
from tests.conftest import KNOWN_YEARS
from tests.kit.nodes import are_even
from tests.kit.rest import Rest
from tests.kit.server import serve_here
from tests.kit.store import new_database
from tests.kit.waiting import until
from vyomo_rt.config import Settings


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_url() -> AsyncIterator[str]:
    """A NATS server for all tests that leave it running."""
    server = NatsServer()
    yield await server.start()
    await server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(embedded_uri: str, nats_url: str) -> AsyncIterator[list[Rest]]:
    """Two nodes in this process that the tests of a file share, each with half of the shards."""
    settings = Settings(
        port=0, mongo_uri=new_database(embedded_uri), nats_url=nats_url, calendar=KNOWN_YEARS
    )
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(serve_here(settings)) for _ in range(2)]
        await until(lambda: are_even(found))
        yield found
