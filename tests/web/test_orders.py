"""Pending entries by REST."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.waiting import until
from tests.web.calls import BEGIN, Clock, raw, refused

ORDER = {"symbol": "NIFTY", "quantity": 10, "type": "LIMIT", "price": 100.0025}
MEMBERS = {
    *("orderId", "sessionId", "symbol", "side", "quantity", "type", "price", "validity"),
    *("stopLoss", "target", "trailingStop", "trailingStep", "trailFrom", "breakevenAt"),
    *("tags", "note", "timestamp", "status", "reason", "detail", "tradeId", "placedAt", "endedAt"),
}


async def place(rest: Rest, session_id: int, **order: Any) -> dict[str, Any]:
    status, answer = await rest.call("POST", f"/sessions/{session_id}/orders", ORDER | order)
    assert status == 201, answer
    return answer


async def ended(rest: Rest, session_id: int, order_id: int) -> dict[str, Any]:
    """The order once it waits no longer."""

    async def look() -> dict[str, Any] | None:
        _, page = await rest.call("GET", f"/sessions/{session_id}/orders")
        [order] = [each for each in page["orders"] if each["orderId"] == order_id]
        return order if order["status"] != "PENDING" else None

    found: dict[str, Any] = await until(look)
    return found


async def test_an_order_is_placed_changed_cancelled_and_shown(timed: Rest, clock: Clock) -> None:
    session_id = await timed.new_session()
    answer = await place(timed, session_id, symbol=" nifty ", tags=["gap"], trailingStop=5)
    assert answer.keys() == {"order"}
    order = answer["order"]
    assert order == dict.fromkeys(MEMBERS) | {
        "orderId": order["orderId"],
        "sessionId": session_id,
        "symbol": "NIFTY",
        "side": "BUY",
        "quantity": 10,
        "type": "LIMIT",
        "price": 100.0025,
        "validity": "DAY",
        "trailingStop": 5,
        "trailingStep": 0.5,
        "tags": ["gap"],
        "timestamp": BEGIN,
        "status": "PENDING",
        "placedAt": BEGIN,
    }
    clock.now_ms += 1500
    path = f"/orders/{order['orderId']}"
    change = {"quantity": 7, "price": None, "tags": None, "note": "less", "validity": "GTC"}
    status, answer = await timed.call("PATCH", path, change)
    later = "2026-11-22T10:00:01.623Z"
    changed = order | {
        "quantity": 7,
        "tags": None,
        "note": "less",
        "validity": "GTC",
        "timestamp": later,
    }
    assert (status, answer) == (200, {"order": changed})
    status, answer = await timed.call("DELETE", path)
    cancelled = changed | {"status": "CANCELLED", "reason": "CANCELLED", "endedAt": later}
    assert (status, answer) == (200, {"order": cancelled})
    for method in ("DELETE", "PATCH"):
        problem = await refused(timed, 409, method, path, {})
        assert (problem["code"], problem["order"]) == ("conflict", cancelled)
    _, events = await timed.call("GET", f"/sessions/{session_id}/events")
    kinds = [event["type"] for event in events["events"]]
    assert kinds == ["order_placed", "order_placed", "order_ended"]


async def test_an_order_fills_on_a_tick_and_shows_its_trade(server: Rest) -> None:
    session_id = await server.new_session()
    order = (await place(server, session_id, stopLoss=90))["order"]
    await server.tick("NIFTY", 101)
    await server.tick("NIFTY", 99.5)
    filled = await ended(server, session_id, order["orderId"])
    _, trade = await server.call("GET", f"/trades/{filled['tradeId']}")
    assert (filled["status"], filled["reason"]) == ("FILLED", None)
    assert (trade["orderId"], trade["entryPrice"], trade["stopLoss"]) == (
        order["orderId"],
        99.5,
        90,
    )


async def test_an_order_that_fills_at_once_is_answered_with_its_trade(server: Rest) -> None:
    session_id = await server.new_session()
    await server.tick("NIFTY", 99)
    answer = await place(server, session_id)
    assert (answer["order"]["status"], answer["trade"]["entryPrice"]) == ("FILLED", 99)
    assert answer["order"]["tradeId"] == answer["trade"]["tradeId"]
    problem = await refused(
        server, 409, "POST", f"/sessions/{session_id}/orders", ORDER | {"target": 98}
    )
    assert (problem["code"], problem["field"]) == ("conflict", "target")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"symbol": None}, "symbol"),
        ({"quantity": 0}, "quantity"),
        ({"type": "MARKET"}, "type"),
        ({"type": None}, "type"),
        ({"price": None}, "price"),
        ({"price": 0}, "price"),
        ({"price": 1.00001}, "price"),
        ({"validity": "IOC"}, "validity"),
        ({"stop_loss": 5}, "stop_loss"),
        ({"trailingStep": 5}, "trailingStep"),
        ({"tags": ["No"]}, "tags"),
        ({"note": "x" * 2001}, "note"),
    ],
    ids=str,
)
async def test_a_wrong_field_of_an_order_is_named(
    shared_server: Rest, change: dict[str, Any], field: str
) -> None:
    session_id = await shared_server.new_session()
    path = f"/sessions/{session_id}/orders"
    problem = await refused(shared_server, 400, "POST", path, ORDER | change)
    assert problem["field"] == field
    _, page = await shared_server.call("GET", path)
    assert page == {"orders": [], "next": None}


async def test_a_key_makes_one_order_and_shows_what_it_made(server: Rest) -> None:
    session_id = await server.new_session()
    path, key = f"/sessions/{session_id}/orders", {"Idempotency_Key": "one"}
    both = await asyncio.gather(*(server.call("POST", path, ORDER, **key) for _ in range(2)))
    assert [status for status, _ in both] == [201, 201]
    assert both[0] == both[1]
    await server.tick("NIFTY", 99)
    order = both[0][1]["order"]
    await ended(server, session_id, order["orderId"])
    status, headers, again = await raw(
        server, "POST", path, '{"symbol":"NIFTY","quantity":10,"type":"LIMIT","price":100.00250}',
        **key,
    )  # fmt: skip
    assert (status, headers["Idempotency-Replayed"]) == (201, "true")
    assert again["trade"]["orderId"] == again["order"]["orderId"] == order["orderId"]
    status, problem = await server.call("POST", path, ORDER | {"quantity": 1}, **key)
    assert (status, problem["order"]["orderId"]) == (422, order["orderId"])
    status, problem = await server.call(
        "POST", f"/sessions/{session_id}/trades", {"symbol": "NIFTY", "quantity": 1}, **key
    )
    assert (status, problem["order"]["orderId"]) == (422, order["orderId"])


async def test_changes_and_cancels_take_no_key(server: Rest) -> None:
    session_id = await server.new_session()
    path = f"/orders/{(await place(server, session_id))['order']['orderId']}"
    for quantity in (2, 3):
        status, answer = await server.call(
            "PATCH", path, {"quantity": quantity}, Idempotency_Key="one"
        )
        assert (status, answer["order"]["quantity"]) == (200, quantity)
    assert (await server.call("DELETE", path, Idempotency_Key="one"))[0] == 200


async def test_orders_are_paged_newest_first(server: Rest) -> None:
    session_id, other = await server.new_session(), await server.new_session()
    ids = [(await place(server, session_id))["order"]["orderId"] for _ in range(5)]
    await place(server, other)
    for order_id in ids[1::2]:
        await server.call("DELETE", f"/orders/{order_id}")

    async def listed(query: str) -> tuple[list[int], int | None]:
        _, page = await server.call("GET", f"/sessions/{session_id}/orders?{query}")
        return [order["orderId"] for order in page["orders"]], page["next"]

    newest = ids[::-1]
    assert await listed("") == (newest, None)
    assert await listed("limit=2") == (newest[:2], newest[1])
    assert await listed(f"limit=3&after={newest[1]}") == (newest[2:], None)
    assert await listed("status=pending&limit=2") == (newest[0:3:2], newest[2])
    assert await listed(f"status=PENDING&after={newest[2]}") == ([newest[4]], None)
    assert await listed("status=CANCELLED") == (newest[1::2], None)
    problem = await refused(server, 400, "GET", f"/sessions/{session_id}/orders?status=GONE")
    assert problem["field"] == "status"


async def test_an_order_that_there_is_not_is_not_found(server: Rest) -> None:
    for method, path in (("DELETE", "/orders/99"), ("PATCH", "/orders/99"), ("PATCH", "/orders/x")):
        problem = await refused(server, 404, method, path, {})
        assert problem["field"] == "orderId"
    await refused(server, 404, "POST", "/sessions/99/orders", ORDER)
    await refused(server, 404, "GET", "/sessions/99/orders")
