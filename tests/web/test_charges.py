"""Charges and the square-off, as a client sees them: over REST and on the stream."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Any

import pytest

from tests.kit.rest import API, Rest
from tests.kit.streams import watching
from tests.web.calls import Clock, refused

DUE_MS = 1_795_686_300_000
"""2026-11-26 15:15 in Asia/Kolkata."""


async def new_session(rest: Rest, **terms: Any) -> int:
    status, session = await rest.call("POST", "/sessions", {"startingCapital": 50_000} | terms)
    assert status == 201, session
    return int(session["sessionId"])


async def test_the_round_trip_of_an_option_is_a_gross_win_and_a_net_loss(server: Rest) -> None:
    session_id = await new_session(server, charges="NSE_OPTIONS")
    trade = await server.open_trade(session_id)
    assert (trade["charges"], trade["chargeItems"]) == (None, None), "an open trade has none yet"
    about = {"sessionId": session_id, "symbols": ["BANKNIFTY"], "updateInterval": 60_000}
    async with watching("ws", server.url, **about) as stream:
        closed = await server.close_trade(trade["tradeId"], 196.3)
        told = (await stream.next("trade_closed"))["data"]
        figures = (await stream.next("session_update"))["data"]
    for data in (closed, told):
        assert (data["pnl"], data["charges"], data["netPnl"]) == (52.5, 70.45, -17.95)
    assert closed["chargeItems"] == {
        "brokerage": 40,
        "stt": 14.72,
        "transaction": 6.96,
        "stamp": 0.29,
        "sebi": 0.02,
        "gst": 8.46,
    }
    gross = {"totalPnL": 52.5, "todayPnL": 52.5, "winRate": 100, "currentCapital": 50_052.5}
    net = {"totalCharges": 70.45, "netTotalPnL": -17.95, "netTodayPnL": -17.95}
    _, session = await server.call("GET", f"/sessions/{session_id}")
    for data in (figures, session):
        assert data.items() >= (gross | net).items()
    async with server.http.get(f"{server.url}{API}/sessions/{session_id}/trades.csv") as answer:
        [row] = csv.DictReader(StringIO(await answer.text()))
    assert (row["charges"], row["netPnl"]) == ("70.45", "-17.95")
    assert "chargeItems" not in row


async def test_a_part_tells_its_own_charges_and_the_close_those_of_the_whole_trade(
    server: Rest,
) -> None:
    session_id = await new_session(server, charges="NSE_OPTIONS")
    trade = await server.open_trade(session_id)
    path = f"/trades/{trade['tradeId']}/close"
    async with watching("sse", server.url, sessionId=session_id, updateInterval=60_000) as stream:
        _, part = await server.call("POST", path, {"price": 196.3, "quantity": 25})
        closed = await server.close_trade(trade["tradeId"], 196.3)
        told = [(await stream.next(kind))["data"] for kind in ("trade_reduced", "trade_closed")]
    parts = [part["charges"], told[0]["charges"]]
    assert parts == [47.03, 47.03]  # 14.02 of the entry and 33.01 for its exit
    assert told[0]["netPnl"] == part["netPnl"] == -20.78
    assert told[1]["charges"] == closed["charges"] == 94.02  # 28.00 and twice 33.01
    assert closed["netPnl"] == -41.52


async def test_without_charges_nothing_of_them_is_told(server: Rest) -> None:
    session_id = await server.new_session()
    trade = await server.open_trade(session_id)
    async with watching("ws", server.url, sessionId=session_id, updateInterval=60_000) as stream:
        await server.close_trade(trade["tradeId"], 196.3)
        told = (await stream.next("trade_closed"))["data"]
        figures = (await stream.next("session_update"))["data"]
    assert not {"charges", "netPnl"} & told.keys()
    assert not {"totalCharges", "netTotalPnL", "netTodayPnL"} & figures.keys()


@pytest.mark.parametrize("by_tick", [True, False], ids=["a price", "the clock"])
async def test_a_square_off_closes_at_the_price_before_it_and_lets_nothing_open(
    timed: Rest, clock: Clock, by_tick: bool
) -> None:
    clock.now_ms = DUE_MS - 3_600_000
    session_id = await new_session(timed, rules={"squareOff": "15:15"}, charges="NSE_OPTIONS")
    trade = await timed.open_trade(session_id, stopLoss=190)
    clock.now_ms = DUE_MS - 200
    await timed.tick("BANKNIFTY", 196.3)
    if by_tick:
        # The clock of its source is a little ahead.
        await timed.tick("BANKNIFTY", 100, ts=DUE_MS + 1)
    else:
        clock.now_ms = DUE_MS + 1
    closed = await timed.closed(trade["tradeId"])
    assert (closed["exitReason"], closed["exitPrice"], closed["stale"]) == (
        "SQUARE_OFF",
        196.3,
        None,
    )
    assert (closed["closedAt"], closed["netPnl"]) == ("2026-11-26T09:45:00.001Z", -17.95)
    clock.now_ms = DUE_MS + 500
    order = {"symbol": "BANKNIFTY", "quantity": 50, "entryPrice": 195.25}
    problem = await refused(timed, 409, "POST", f"/sessions/{session_id}/trades", order)
    words = f"squareOff: session {session_id} has squared off for today: no opening until"
    assert problem["detail"] == f"{words} 2026-11-26T18:30:00.000Z"
