"""Nodes on one store, with a bus between them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lab.site.nats_server import running_nats
from tests.conftest import KNOWN_YEARS
from tests.kit.nodes import Nodes, running_nodes, serving_nodes
from tests.kit.rest import Rest
from tests.kit.store import new_database
from vyomo_rt.config import Settings


@pytest.fixture(scope="session")
def embedded_uri(embedded_uri: str) -> str:
    """The store that nodes share: the embedded one, or what ``VYOMO_RT_TEST_MONGO_URI`` names."""
    return os.environ.get("VYOMO_RT_TEST_MONGO_URI", embedded_uri)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_url() -> AsyncIterator[str]:
    """A NATS server for all tests that leave it running."""
    async with running_nats() as server:
        yield server.url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(embedded_uri: str, nats_url: str) -> AsyncIterator[list[Rest]]:
    """Two nodes in this process that the tests of a file share, each with half of the shards."""
    settings = Settings(
        port=0, mongo_uri=new_database(embedded_uri), nats_url=nats_url, calendar=KNOWN_YEARS
    )
    async with serving_nodes(settings, 2) as found:
        yield found


@pytest.fixture
async def three_nodes(tmp_path: Path, embedded_uri: str, nats_url: str) -> AsyncIterator[Nodes]:
    """Three processes, whose buses tell no lies."""
    uri = new_database(embedded_uri)
    async with running_nodes(tmp_path / "data", uri, nats_url, lies=0) as found:
        yield found
