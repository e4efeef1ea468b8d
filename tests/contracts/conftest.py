"""The contracts as a server serves them, fetched once, and a store that is away on demand."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from tests.contracts.contract import NAMES, Contract, Contracts
from tests.kit.server import serve_here
from tests.kit.store import new_database
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.store.journal import MongoStore


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


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The methods of the store that fail for now; at first none."""
    names: set[str] = set()
    for name in ("events", "append"):
        monkeypatch.setattr(MongoStore, name, unless_away(name, names))
    return names


def unless_away(name: str, away: set[str]) -> Any:
    method = getattr(MongoStore, name)

    async def call(*arguments: Any) -> Any:
        if name in away:
            raise Unavailable("the store is away")
        return await method(*arguments)

    return call
