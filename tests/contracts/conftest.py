"""The contracts as a server serves them, fetched once."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.contracts.contract import NAMES, Contract, Contracts
from tests.kit.server import serve_here
from vyomo_rt.config import Settings


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def contracts(tmp_path_factory: pytest.TempPathFactory) -> Contracts:
    """By name."""
    found: Contracts = {}
    settings = Settings(port=0, data_dir=tmp_path_factory.mktemp("contracts"))
    async with serve_here(settings) as server:
        for name in NAMES:
            async with server.http.get(f"{server.url}/api/{name}.json") as response:
                assert response.content_type == "application/json"
                found[name] = Contract(await response.text())
    return found
