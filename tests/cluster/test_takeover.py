"""What time and prices do in a session goes on, once, at the node that takes it over."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.kit.nodes import are_even, foreign_session
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from vyomo_rt.clockwork import wall_now
from vyomo_rt.store import store_clock

DAY_MS = 86_400_000
TRADE = {"symbol": "NIFTY", "quantity": 10, "entryPrice": 100}
LIMIT = {"symbol": "NIFTY", "quantity": 10, "type": "LIMIT", "price": 50}


async def test_stops_trips_square_offs_and_the_new_day_go_on_where_sessions_are_taken_over(
    make_settings: MakeSettings, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_clock, "_OFF_MS", 10 * DAY_MS)
    passed_ms = 0

    def now() -> int:
        return wall_now() + passed_ms

    settings = make_settings(nats_url=nats_url)
    async with AsyncExitStack() as stack, AsyncExitStack() as former:
        here = await stack.enter_async_context(serve_here(settings, now=now))
        there = await former.enter_async_context(serve_here(settings, now=now))
        await until(lambda: are_even([here, there]))
        await here.tick("NIFTY", 100)
        trailing, tripped, squared, ordered = [await foreign_session(here) for _ in range(4)]
        await here.call("PATCH", f"/sessions/{tripped}", {"rules": {"maxDailyLoss": 10}})
        await here.call("PATCH", f"/sessions/{squared}", {"rules": {"squareOff": "00:05"}})
        await here.open_trade(trailing, **TRADE, trailingStop=5)
        await here.open_trade(squared, **TRADE)
        await here.call("POST", f"/sessions/{ordered}/orders", LIMIT)
        await former.aclose()
        await until(lambda: are_even([here]))
        await here.open_trade(tripped, **TRADE)
        for price in (104, 98):
            await here.tick("NIFTY", price)
        moved = await only(here, trailing, "trade_closed")
        assert (moved["exitDetail"], moved["exitPrice"]) == ("TRAILING", 98)
        lost = await only(here, tripped, "trade_closed")
        assert (lost["exitDetail"], lost["pnl"]) == ("DAILY_LOSS", -20)
        passed_ms = DAY_MS
        assert (await only(here, squared, "trade_closed"))["exitReason"] == "SQUARE_OFF"
        assert (await only(here, ordered, "order_ended"))["reason"] == "EXPIRED"
        lifted = await only(here, tripped, "session_changed", reason="NEW_DAY")
        assert lifted["status"] == "ACTIVE"


async def only(node: Rest, session_id: int, kind: str, **also: str) -> dict[str, Any]:
    """What the one event of a kind says, once it has come."""

    async def found() -> list[dict[str, Any]]:
        _, answer = await node.call("GET", f"/sessions/{session_id}/events?since=0")
        told = [each["data"] for each in answer["events"] if each["type"] == kind]
        return [data for data in told if data.items() >= also.items()]

    [data] = await until(found)
    return dict(data)
