"""The contracts as a server serves them, fetched once."""

from __future__ import annotations

import pytest_asyncio

from tests.contracts.contract import NAMES, Contract, Contracts
from tests.kit.server import serve_here
from tests.kit.store import new_database
from vyomo_rt.config import Settings


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def contracts(embedded_uri: str) -> Contracts:
    """By name."""
    found: Contracts = {}
    settings = Settings(port=0, mongo_uri=new_database(embedded_uri))
    async with serve_here(settings) as server:
        for name in NAMES:
            async with server.http.get(f"{server.url}/api/{name}.json") as response:
                assert response.content_type == "application/json"
                found[name] = Contract(await response.text())
    return found
