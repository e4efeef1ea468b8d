"""A server that lost its database while a write of it was on its way: the write lands late.

Between the first server and the store is a proxy that holds the write, and everything behind
it, until a second server has the database and has loaded it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
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
from vyomo_rt.store import lease
from vyomo_rt.trading import ledger

AWAY = 503


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that are soon dead, and a checkpoint with each event."""
    monkeypatch.setattr(lease, "LEASE_MS", 1000)
    monkeypatch.setattr(lease, "RENEW_S", 0.1)
    monkeypatch.setattr(lease, "_RETRY_S", 0.05)
    monkeypatch.setattr(ledger, "CHECKPOINT_EVERY", 1)


@dataclass
class Handover:
    """The first server behind its proxy, and how to bring up the second one."""

    proxy: Proxy
    first: Rest
    bring_up_second: Callable[[], Awaitable[Rest]]
    lost: list[str]
    """Why the first server can't go on."""
    session_id: int

    async def second_after(self, *marks: bytes, doing: Awaitable[Any]) -> Rest:
        """Hold the write with these marks that ``doing`` makes; let it go when all have loaded."""
        self.proxy.hold_from(*marks)
        asked = asyncio.ensure_future(doing)
        await until(lambda: self.proxy.holds)
        second = await self.bring_up_second()
        self.proxy.mend()
        await asked
        await until(lambda: self.lost)
        return second


@pytest.fixture
async def handover(embedded_uri: str) -> AsyncIterator[Handover]:
    """Whatever happens in it: in the end the store is sound."""
    database = f"test_{uuid.uuid4().hex}"
    socket = unquote(embedded_uri.removeprefix("mongodb://").rstrip("/"))
    lost: list[str] = []
    async with proxy_before(socket) as proxy:
        async with AsyncExitStack() as stack:
            uri = f"mongodb://127.0.0.1:{proxy.port}/{database}?directConnection=true"
            first = await stack.enter_async_context(
                serve_here(Settings(port=0, mongo_uri=uri), on_failure=lost.append)
            )

            async def bring_up_second() -> Rest:
                settings = Settings(port=0, mongo_uri=f"{embedded_uri}{database}")
                return await stack.enter_async_context(serve_here(settings))

            session_id = await first.new_session()
            yield Handover(proxy, first, bring_up_second, lost, session_id)
            proxy.mend()
        await assert_sound(embedded_uri, database)


async def test_a_trade_that_was_opened_late_is_found_and_its_stop_fires(handover: Handover) -> None:
    session_id, path = handover.session_id, f"/sessions/{handover.session_id}"
    order = {"symbol": "NIFTY", "quantity": 10, "entryPrice": 100, "stopLoss": 99}
    opening = handover.first.call("POST", f"{path}/trades", order)
    second = await handover.second_after(b"insert\0", b"events\0", doing=opening)

    async def is_known() -> bool:
        _, session = await second.call("GET", path)
        return bool(session["openTrades"] == 1)

    await until(is_known)
    _, listed = await second.call("GET", f"{path}/trades?status=OPEN")
    [trade] = listed["trades"]
    await second.tick("NIFTY", 90)

    async def is_stopped() -> bool:
        _, closed = await second.call("GET", f"/trades/{trade['tradeId']}")
        return bool(closed["exitReason"] == "SL")

    await until(is_stopped)
    assert trade["sessionId"] == session_id


async def test_a_trade_that_was_closed_late_is_open_nowhere(handover: Handover) -> None:
    trade = await handover.first.open_trade(handover.session_id)
    closing = handover.first.call("POST", f"/trades/{trade['tradeId']}/close", {"price": 200})
    second = await handover.second_after(b"insert\0", b"events\0", doing=closing)

    async def is_closed() -> bool:
        _, session = await second.call("GET", f"/sessions/{handover.session_id}")
        return bool(session["openTrades"] == 0)

    await until(is_closed)
    _, found = await second.call("GET", f"/trades/{trade['tradeId']}")
    assert (found["status"], found["exitPrice"]) == ("CLOSED", 200)


async def test_a_status_that_was_set_late_is_in_force(handover: Handover) -> None:
    path = f"/sessions/{handover.session_id}"
    pausing = handover.first.call("PATCH", path, {"status": "PAUSED"})
    second = await handover.second_after(b"insert\0", b"events\0", doing=pausing)

    async def is_paused() -> bool:
        _, session = await second.call("GET", path)
        return bool(session["status"] == "PAUSED")

    await until(is_paused)


async def test_a_session_that_was_made_late_is_there(handover: Handover) -> None:
    making = handover.first.call("POST", "/sessions", {"startingCapital": 1})
    second = await handover.second_after(b"insert\0", b"sessions\0", doing=making)

    async def is_there() -> bool:
        _, listed = await second.call("GET", "/sessions")
        return len(listed["sessions"]) == 2

    await until(is_there)
    _, listed = await second.call("GET", "/sessions")
    late = max(session["sessionId"] for session in listed["sessions"])
    assert await second.new_session() > late
    await second.open_trade(late)


async def test_numbers_that_were_drawn_late_are_only_left_out(handover: Handover) -> None:
    order = {"symbol": "NIFTY", "quantity": 10, "entryPrice": 100}
    opening = handover.first.call("POST", f"/sessions/{handover.session_id}/trades", order)
    second = await handover.second_after(b"findAndModify", b"counters", doing=opening)
    first, next_ = [await second.open_trade(handover.session_id) for _ in range(2)]
    assert first["tradeId"] < next_["tradeId"]


async def test_a_copy_or_a_checkpoint_that_comes_late_overwrites_nothing_newer(
    handover: Handover,
) -> None:
    trade = await handover.first.open_trade(handover.session_id)
    closing = handover.first.call("POST", f"/trades/{trade['tradeId']}/close", {"price": 200})
    second = await handover.second_after(b"update\0", b"checkpoint", doing=closing)
    await second.open_trade(handover.session_id)
    _, found = await second.call("GET", f"/trades/{trade['tradeId']}")
    assert found["status"] == "CLOSED"


async def test_what_a_server_is_asked_after_its_right_has_run_out_is_refused_until_it_is_renewed(
    handover: Handover,
) -> None:
    handover.proxy.black_hole()
    order = {"symbol": "NIFTY", "quantity": 10, "entryPrice": 100}
    path = f"/sessions/{handover.session_id}/trades"
    await asyncio.sleep(1)
    status, problem = await handover.first.call("POST", path, order)
    assert (status, problem["code"]) == (AWAY, "unavailable")
    handover.proxy.mend()

    async def is_opened() -> bool:
        status, _ = await handover.first.call("POST", path, order)
        return status == 201

    await until(is_opened)
