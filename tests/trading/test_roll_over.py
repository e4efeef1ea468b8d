"""Midnight in Asia/Kolkata on a running server, by the computer's clock."""

from __future__ import annotations

from typing import Any

from freezegun import freeze_time

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until


async def test_todays_pnl_begins_anew_at_1830_utc_while_the_server_runs(
    make_settings: MakeSettings,
) -> None:
    with freeze_time(
        "2026-11-22T18:29:59Z", real_asyncio=True, ignore=["pymongo", "motor"]
    ) as clock:
        async with serve_here(make_settings()) as rest:
            session_id = await rest.new_session()
            trades = [await rest.open_trade(session_id, entryPrice=100) for _ in range(2)]
            await rest.close_trade(trades[0]["tradeId"], 101)
            assert await figures(rest, session_id) == (50, 50)

            async def began_anew() -> bool:
                return await figures(rest, session_id) == (0, 50)

            assert not await began_anew()
            clock.move_to("2026-11-22T18:30:00Z")
            await until(began_anew)
            await rest.close_trade(trades[1]["tradeId"], 98)
            assert await figures(rest, session_id) == (-100, -50)
            _, session = await rest.call("GET", f"/sessions/{session_id}")
            assert session["timestamp"] == "2026-11-22T18:30:00.000Z"

        clock.move_to("2026-11-22T18:30:01Z")
        async with serve_here(make_settings()) as rest:
            assert await figures(rest, session_id) == (-100, -50)
        clock.move_to("2026-11-23T18:30:00Z")
        async with serve_here(make_settings()) as rest:
            assert await figures(rest, session_id) == (0, -50)


async def figures(rest: Rest, session_id: int) -> tuple[Any, Any]:
    _, session = await rest.call("GET", f"/sessions/{session_id}")
    return session["todayPnL"], session["totalPnL"]
