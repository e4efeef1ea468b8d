"""Trades by REST."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from tests.web.calls import BEGIN, ORDER, TRADE_MEMBERS, Clock, refused


async def test_a_trade_is_opened_shown_and_closed(timed: Rest, clock: Clock) -> None:
    session_id = await timed.new_session()
    order = {"symbol": " nifty ", "quantity": 10, "entryPrice": 100.0025, "target": 110}
    status, opened = await timed.call("POST", f"/sessions/{session_id}/trades", order)
    assert status == 201
    trade_id = opened["tradeId"]
    assert opened == dict.fromkeys(TRADE_MEMBERS) | {
        "tradeId": trade_id,
        "sessionId": session_id,
        "symbol": "NIFTY",
        "side": "BUY",
        "quantity": 10,
        "entryPrice": 100.0025,
        "target": 110,
        "status": "OPEN",
        "timestamp": BEGIN,
        "openedAt": BEGIN,
        "openedQuantity": 10,
        "realizedPnL": 0,
    }
    assert await timed.call("GET", f"/trades/{trade_id}") == (200, opened)

    clock.now_ms += 1500
    status, closed = await timed.call("POST", f"/trades/{trade_id}/close", {"price": 101.0025})
    assert status == 200
    assert closed == opened | {
        "status": "CLOSED",
        "exitPrice": 101.0025,
        "pnl": 10,
        "realizedPnL": 10,
        "pnlPercent": 1,
        "exitReason": "MANUAL",
        "timestamp": "2026-11-22T10:00:01.623Z",
        "closedAt": "2026-11-22T10:00:01.623Z",
    }
    assert await timed.call("GET", f"/trades/{trade_id}") == (200, closed)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"symbol": None}, "symbol"),
        ({"symbol": "!"}, "symbol"),
        ({"symbol": 5}, "symbol"),
        ({"side": "HOLD"}, "side"),
        ({"side": 1}, "side"),
        ({"quantity": None}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": 10**7 + 1}, "quantity"),
        ({"quantity": "10"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"entryPrice": 0}, "entryPrice"),
        ({"entryPrice": 100.00001}, "entryPrice"),
        ({"entryPrice": 10**7 + 1}, "entryPrice"),
        ({"entryPrice": "100"}, "entryPrice"),
        ({"stopLoss": 0}, "stopLoss"),
        ({"stopLoss": 100}, "stopLoss"),
        ({"stopLoss": 100.0001}, "stopLoss"),
        ({"target": 100}, "target"),
        ({"target": True}, "target"),
        ({"side": "SELL", "stopLoss": 99}, "stopLoss"),
        ({"side": "SELL", "target": 101}, "target"),
        ({"tags": "gap"}, "tags"),
        ({"tags": ["Gap"]}, "tags"),
        ({"tags": ["gap", "a b"]}, "tags"),
        ({"tags": ["gap\n"]}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": ["x" * 33]}, "tags"),
        ({"tags": [f"t{i}" for i in range(11)]}, "tags"),
        ({"note": 5}, "note"),
        ({"note": "x" * 2001}, "note"),
    ],
    ids=str,
)
async def test_a_wrong_field_of_an_order_is_named(
    shared_server: Rest, change: dict[str, Any], field: str
) -> None:
    session_id = await shared_server.new_session()
    path = f"/sessions/{session_id}/trades"
    problem = await refused(shared_server, 400, "POST", path, ORDER | change)
    assert problem["code"] == "bad_request"
    assert problem["detail"].startswith(field)
    _, session = await shared_server.call("GET", f"/sessions/{session_id}")
    assert (session["seq"], session["totalTrades"]) == (0, 0)


async def test_a_sell_has_its_stop_above_and_its_target_below(server: Rest) -> None:
    session_id = await server.new_session()
    sell = await server.open_trade(
        session_id, side="SELL", entryPrice=100, stopLoss=105, target=90, quantity=10
    )
    await server.tick(sell["symbol"], 89.5)

    async def closed() -> dict[str, Any] | None:
        _, trade = await server.call("GET", f"/trades/{sell['tradeId']}")
        return trade if trade["status"] == "CLOSED" else None

    trade = await until(closed)
    assert (trade["exitReason"], trade["exitPrice"], trade["pnl"]) == ("TARGET", 89.5, 105)


async def test_a_trade_keeps_the_tags_and_the_note_that_it_is_opened_with(server: Rest) -> None:
    session_id = await server.new_session()
    tags, note = [f"{'x' * 31}{i}" for i in range(10)], "₹" * 2000
    trade = await server.open_trade(session_id, tags=[*tags[:9], tags[0], tags[9]][:10], note=note)
    assert (trade["tags"], trade["note"]) == (tags[:9], note)
    closed = await server.close_trade(trade["tradeId"], 1)
    assert (closed["tags"], closed["note"]) == (tags[:9], note)
    _, events = await server.call("GET", f"/sessions/{session_id}/events")
    assert events["events"][0]["data"]["tags"] == tags[:9]


async def test_opening_needs_an_active_session(server: Rest) -> None:
    session_id = await server.new_session()
    await server.call("PATCH", f"/sessions/{session_id}", {"status": "PAUSED"})
    problem = await refused(server, 409, "POST", f"/sessions/{session_id}/trades", ORDER)
    assert (problem["code"], "PAUSED" in problem["detail"]) == ("conflict", True)


async def test_a_session_takes_only_so_many_open_trades_and_another_one_after_a_close(
    make_settings: MakeSettings,
) -> None:
    async with serve_here(make_settings(max_open_trades=2)) as rest:
        session_id, other = await rest.new_session(), await rest.new_session()
        first, _ = [await rest.open_trade(session_id) for _ in range(2)]
        problem = await refused(rest, 409, "POST", f"/sessions/{session_id}/trades", ORDER)
        assert (problem["code"], "close one first" in problem["detail"]) == ("limit_exceeded", True)
        await rest.open_trade(other)
        await rest.close_trade(first["tradeId"], 196)
        await rest.open_trade(session_id)


async def test_opening_without_a_price_needs_a_fresh_one(timed: Rest, clock: Clock) -> None:
    session_id = await timed.new_session()
    path, order = f"/sessions/{session_id}/trades", {"symbol": "NIFTY", "quantity": 1}
    problem = await refused(timed, 409, "POST", path, order)
    assert problem["code"] == "conflict"
    await timed.tick("NIFTY", 100.5)
    status, trade = await timed.call("POST", path, order)
    assert (status, trade["entryPrice"]) == (201, 100.5)
    clock.now_ms += 60_000
    await refused(timed, 409, "POST", path, order)
    status, closed = await timed.call("POST", f"/trades/{trade['tradeId']}/close")
    assert (status, closed["exitPrice"]) == (200, 100.5), "closing takes the last known price"


async def test_closing_twice_shows_the_closed_trade(server: Rest) -> None:
    session_id = await server.new_session()
    trade = await server.open_trade(session_id)
    path = f"/trades/{trade['tradeId']}/close"
    problem = await refused(server, 409, "POST", path)
    assert "trade" not in problem, "no price is known"
    closed = await server.close_trade(trade["tradeId"], 0)
    problem = await refused(server, 409, "POST", path, {"price": 5})
    assert (problem["code"], problem["trade"]) == ("conflict", closed)


@pytest.mark.parametrize("price", [-1, 10**7 + 1, 1.00001, "1", True, []])
async def test_a_wrong_close_price_is_named(shared_server: Rest, price: Any) -> None:
    session_id = await shared_server.new_session()
    trade = await shared_server.open_trade(session_id)
    path = f"/trades/{trade['tradeId']}/close"
    problem = await refused(shared_server, 400, "POST", path, {"price": price})
    assert problem["detail"].startswith("price: ")
    assert await shared_server.call("GET", f"/trades/{trade['tradeId']}") == (200, trade)


async def test_of_two_closes_at_once_one_wins(server: Rest) -> None:
    session_id = await server.new_session()
    trade = await server.open_trade(session_id)
    path = f"/trades/{trade['tradeId']}/close"
    answers = await asyncio.gather(
        *(server.call("POST", path, {"price": price}) for price in (1, 2, 3, 4))
    )
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409]
    (won,) = [answer for status, answer in answers if status == 200]
    assert [answer["trade"] for status, answer in answers if status == 409] == [won] * 3
