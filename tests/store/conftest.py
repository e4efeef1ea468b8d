"""Real stores for the tests: an embedded server, and any MongoDB that is named.

``VYOMO_RT_TEST_MONGO_URI`` names one; each test then works in a database of its own.
"""

from __future__ import annotations

import inspect
import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import AsyncMongoClient

from vyomo_rt.domain.event import EventKind, TradeEvent
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.trade import Trade
from vyomo_rt.store.client import TIMEOUT_MS, connect
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.journal import MongoStore

if TYPE_CHECKING:
    from vyomo_rt.store.client import Client
    from vyomo_rt.store.documents import Document

    OpenClient = Callable[[str], Client]
    MakeOpening = Callable[..., TradeEvent]

_EXTERNAL = os.environ.get("VYOMO_RT_TEST_MONGO_URI")


def _connect_pymongo(uri: str) -> AsyncMongoClient[Document]:
    return AsyncMongoClient(
        uri,
        timeoutMS=TIMEOUT_MS,
        serverSelectionTimeoutMS=TIMEOUT_MS,
        connectTimeoutMS=1000,
        heartbeatFrequencyMS=1000,
    )


@pytest.fixture(params=["motor", "pymongo"])
def open_client(request: pytest.FixtureRequest) -> OpenClient:
    """Each of the two drivers."""
    return connect if request.param == "motor" else _connect_pymongo


@pytest.fixture(params=["embedded", *(["external"] if _EXTERNAL else [])])
def uri(request: pytest.FixtureRequest) -> str:
    """Each of the implementations of MongoDB at hand."""
    if request.param == "external":
        assert _EXTERNAL is not None
        return _EXTERNAL
    return str(request.getfixturevalue("embedded_uri"))


@pytest.fixture
async def store(uri: str, open_client: OpenClient) -> AsyncIterator[MongoStore]:
    """A store on an empty database, by each driver on each implementation."""
    client = open_client(uri)
    database = f"test_{uuid.uuid4().hex}"
    store = MongoStore(client, database)
    await store.prepare()
    yield store
    dropping: Any = client.drop_database(database)
    await dropping
    await store.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """An embedded server, not started, that the test may do anything to."""
    server = EmbeddedServer(tmp_path / "data")
    yield server
    await server.stop()


@pytest.fixture
async def clients() -> AsyncIterator[list[Client]]:
    """A list whose clients are closed after the test."""
    clients: list[Client] = []
    yield clients
    for client in clients:
        closing: object = client.close()
        if inspect.isawaitable(closing):
            await closing


@pytest.fixture
def opening() -> MakeOpening:
    """Makes events that open a trade: ``opening(seq, session_id=6, ...)``."""

    def make(
        seq: int, *, session_id: int = 6, trade_id: int | None = None, operation_id: str = ""
    ) -> TradeEvent:
        trade = Trade(
            trade_id=trade_id or 100 + seq,
            session_id=session_id,
            symbol="NIFTY",
            side=Side.BUY,
            quantity=50,
            entry_price_e4=221_505_025,
            stop_loss_e4=None,
            target_e4=230_000_000,
            opened_at_ms=1_785_200_000_123 + seq,
        )
        return TradeEvent(
            session_id=session_id,
            seq=seq,
            kind=EventKind.OPENED,
            message=f'{{"type":"trade_opened","seq":{seq},"note":"₹ “exact”"}}',
            trade=trade,
            operation_id=operation_id or f"operation-{session_id}-{seq}",
            request_hash="5f" * 32,
        )

    return make
