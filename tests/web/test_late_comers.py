"""Streams whose history is still being read when the server fills up or stops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from vyomo_rt.store.journal import MongoStore


class Gate:
    """Holds up all reads of events while it is shut."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0


@pytest.fixture
async def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    events = MongoStore.events

    async def slowly(store: MongoStore, *which: Any) -> Any:
        gate.waiting += 1
        await gate.open.wait()
        return await events(store, *which)

    monkeypatch.setattr(MongoStore, "events", slowly)
    return gate


@pytest.fixture
async def server(make_settings: MakeSettings, gate: Gate) -> AsyncIterator[Rest]:
    assert not gate.waiting
    async with serve_here(make_settings(max_connections=3)) as rest:
        yield rest


async def first_events(server: Rest, session_id: int) -> list[str]:
    """The names of the blocks that a resuming stream begins with."""
    names = []
    path = f"{server.url}/sse/sessions/{session_id}?since=0"
    async with server.http.get(path, timeout=aiohttp.ClientTimeout(10)) as response:
        assert response.status == 200
        async for line in response.content:
            if line.startswith(b"event: "):
                names.append(line.decode().split()[1])
            if names and names[-1] == "session_update":
                break
            if line.startswith(b"data: ") and names[-1] == "server_error":
                assert json.loads(line[6:])["code"] == "limit_exceeded"
    return names


async def test_streams_that_resume_at_the_same_time_do_not_pass_the_limit(
    server: Rest, gate: Gate
) -> None:
    session_id = await server.new_session()
    await server.open_trade(session_id)
    streams = [asyncio.create_task(first_events(server, session_id)) for _ in range(12)]
    await until(lambda: gate.waiting)
    gate.open.set()
    begun = await asyncio.gather(*streams)
    assert begun.count(["server_error"]) >= 1
    assert all(
        names in (["server_error"], ["ack", "trade_opened", "session_update"]) for names in begun
    )


async def test_a_stream_that_opens_while_the_server_stops_is_told(
    make_settings: MakeSettings, gate: Gate
) -> None:
    told: asyncio.Task[list[str]] | None = None
    async with aiohttp.ClientSession() as http:
        async with serve_here(make_settings("other")) as server:
            session_id = await server.new_session()
            await server.open_trade(session_id)
            there = Rest(server.url, http)
            told = asyncio.create_task(first_events(there, session_id))
            await until(lambda: gate.waiting)
            asyncio.get_running_loop().call_later(0.1, gate.open.set)
        assert await told == ["server_shutdown"]
