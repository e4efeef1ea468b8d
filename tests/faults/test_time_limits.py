"""How long a command may wait, whatever it has to wait for: counted from its arrival."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pytest

from tests.kit.proxy import Proxy, proxy_before
from tests.kit.rest import Rest
from tests.kit.server import serve_here
from tests.kit.store import assert_sound
from tests.kit.waiting import until
from vyomo_rt.config import Settings
from vyomo_rt.web import command

AWAY = 503
STOPS = 40
FAR_S = 0.01
"""One way to a store, so that an exit takes 20 ms."""


@dataclass
class Far:
    """A server, and the proxy between it and its store."""

    rest: Rest
    proxy: Proxy
    session_id: int

    async def open(self, **order: Any) -> tuple[int, dict[str, Any]]:
        body = {"symbol": "NIFTY", "quantity": 10, "entryPrice": 100} | order
        path = f"/sessions/{self.session_id}/trades"
        return await self.rest.call("POST", path, body, Idempotency_Key="a key")

    async def events(self) -> list[dict[str, Any]]:
        _, found = await self.rest.call("GET", f"/sessions/{self.session_id}/events?since=0")
        return list(found["events"])


@pytest.fixture
async def far(embedded_uri: str) -> AsyncIterator[Far]:
    """Whatever happens to it: in the end the store is sound."""
    database = f"test_{uuid.uuid4().hex}"
    async with proxy_before(unquote(embedded_uri.removeprefix("mongodb://").rstrip("/"))) as proxy:
        uri = f"mongodb://127.0.0.1:{proxy.port}/{database}?directConnection=true"
        async with serve_here(Settings(port=0, mongo_uri=uri)) as rest:
            yield Far(rest, proxy, await rest.new_session())
            proxy.mend()
        await assert_sound(embedded_uri, database)


async def test_a_command_behind_a_mass_of_exits_is_answered_in_time_and_changes_nothing(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit that a price has triggered comes before any later command, so it has to wait."""
    rest, session_id = far.rest, far.session_id
    stops = {"entryPrice": 100, "stopLoss": 99}
    monkeypatch.setattr(command, "LIMIT_S", 30)  # whatever else the machine does
    await asyncio.gather(*(rest.open_trade(session_id, **stops) for _ in range(STOPS)))
    monkeypatch.setattr(command, "LIMIT_S", 0.4)
    far.proxy.delay(FAR_S)
    await rest.tick("BANKNIFTY", 98)
    began = time.monotonic()
    session = f"/sessions/{session_id}"
    hasty = asyncio.gather(
        far.open(),
        rest.call("POST", "/trades/1/close", {}),
        rest.call("PATCH", session, {"name": "Given up"}),
    )
    await asyncio.sleep(0.1)
    monkeypatch.setattr(command, "LIMIT_S", 30)
    patient = asyncio.ensure_future(rest.call("PATCH", session, {"status": "PAUSED"}))
    answers = await hasty
    took_s = time.monotonic() - began
    assert [(status, body["code"]) for status, body in answers] == [(AWAY, "unavailable")] * 3
    assert all("nothing was changed" in body["detail"] for _, body in answers)
    assert 0.4 <= took_s < 1.9, "which leaves time to a machine that is busy"
    status, changed = await patient
    assert status == 200, "whoever gives up says nothing of the store"
    assert changed["name"] != "Given up"

    told = await far.events()
    kinds = [event["type"] for event in told]
    assert kinds == [*["trade_opened"] * STOPS, *["trade_closed"] * STOPS, "session_changed"]
    assert {event["data"]["exitReason"] for event in told[STOPS:-1]} == {"SL"}


async def test_a_write_that_is_under_way_when_time_runs_out_is_settled_and_happens_once(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LIMIT_S", 0.3)
    far.proxy.hold_from(b"trade_opened")

    async def is_under_way() -> bool:
        """On a busy machine it may be given up before it begins."""
        status, problem = await far.open()
        assert (status, problem["code"]) == (AWAY, "unavailable")
        return "may or may not" in problem["detail"]

    await until(is_under_way)
    status, problem = await far.open()
    assert (status, problem["code"]) == (AWAY, "unavailable"), "until that is settled"
    assert "earlier attempt" in problem["detail"]
    far.proxy.mend()
    monkeypatch.undo()

    async def answered() -> dict[str, Any] | None:
        status, trade = await far.open()
        return trade if status == 201 else None

    trade = await until(answered)
    (told,) = await far.events()
    assert told["data"]["tradeId"] == trade["tradeId"]
    assert await far.open() == (201, trade)
