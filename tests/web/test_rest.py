"""REST, as a client meets it."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from vyomo_rt.wire.decoding import exact_form

BEGIN_MS = 1_795_341_600_123
BEGIN = "2026-11-22T10:00:00.123Z"
SESSION_MEMBERS = {
    *("sessionId", "currentCapital", "totalPnL", "todayPnL", "totalTrades", "winRate", "status"),
    *("statusReason", "timestamp", "winningTrades", "losingTrades", "openTrades", "unrealizedPnL"),
    *("name", "startingCapital", "epoch", "seq", "createdAt"),
}
TRADE_MEMBERS = {
    *("tradeId", "sessionId", "symbol", "side", "quantity", "entryPrice", "stopLoss", "target"),
    *("status", "timestamp", "exitPrice", "pnl", "pnlPercent", "exitReason"),
    *("openedAt", "closedAt"),
}
ORDER = {"symbol": "NIFTY", "quantity": 10, "entryPrice": 100}


class Clock:
    """The server's clock, in the hands of the test."""

    now_ms = BEGIN_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timed(make_settings: MakeSettings, clock: Clock) -> AsyncIterator[Rest]:
    """A server that takes ticks and goes by the test's clock."""
    async with serve_here(make_settings(), now=clock) as rest:
        yield rest


async def refused(rest: Rest, expected: int, method: str, path: str, body: Any = None) -> Any:
    """The problem that answers a call, which must have the given status."""
    status, problem = await rest.call(method, path, body)
    assert status == expected, problem
    assert problem["status"] == expected
    assert {"type", "title", "status", "detail", "code"} <= problem.keys()
    return problem


async def raw(
    rest: Rest, method: str, path: str, body: bytes | str | BytesIO = b"", **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of a call with exactly this body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with rest.http.request(
        method, f"{rest.url}{API}{path}", data=body, headers=named
    ) as response:
        return response.status, dict(response.headers), json.loads(await response.read())


async def test_the_originals_worked_example(server: Rest) -> None:
    """Bought 50 at 195.25, now 196.30: 52.5 and 0.54 %; capital 50000 + 1245.75."""
    session_id = await server.new_session(50_000)
    first = await server.open_trade(session_id, symbol="NIFTY", quantity=75, entryPrice=22150.5)
    await server.close_trade(first["tradeId"], 22167.11)
    await server.open_trade(session_id)
    await server.tick("BANKNIFTY", 196.30)
    _, session = await server.call("GET", f"/sessions/{session_id}")
    assert session["currentCapital"] == 51245.75
    assert session["totalPnL"] == 1245.75
    assert (session["totalTrades"], session["winRate"]) == (2, 100)
    assert session["unrealizedPnL"] == 52.5


# --- sessions


async def test_a_session_is_made_shown_and_listed(timed: Rest) -> None:
    body = {"name": "Opening range ₹", "startingCapital": 50000.5}
    status, made = await timed.call("POST", "/sessions", body)
    assert status == 201
    assert made.keys() == SESSION_MEMBERS
    assert (made["name"], made["startingCapital"]) == ("Opening range ₹", 50000.5)
    assert (made["currentCapital"], made["status"], made["seq"]) == (50000.5, "ACTIVE", 0)
    assert (made["createdAt"], made["timestamp"]) == (BEGIN, BEGIN)
    assert isinstance(made["epoch"], str)
    assert made["epoch"]
    assert await timed.call("GET", f"/sessions/{made['sessionId']}") == (200, made)
    _, other = await timed.call("POST", "/sessions", {"startingCapital": 1, "name": None})
    assert other["epoch"] != made["epoch"]
    assert other["name"]
    assert await timed.call("GET", "/sessions") == (200, {"sessions": [made, other], "next": None})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{}", "startingCapital"),
        ('{"startingCapital":null}', "startingCapital"),
        ('{"startingCapital":0}', "startingCapital"),
        ('{"startingCapital":-1}', "startingCapital"),
        ('{"startingCapital":100000000000.01}', "startingCapital"),
        ('{"startingCapital":1.005}', "startingCapital"),
        ('{"startingCapital":"1"}', "startingCapital"),
        ('{"startingCapital":true}', "startingCapital"),
        ('{"startingCapital":NaN}', "startingCapital"),
        ('{"startingCapital":1e400}', "startingCapital"),
        ('{"startingCapital":1e-2000000}', "startingCapital"),
        ('{"startingCapital":1e99999999999999999999}', "startingCapital"),
        ('{"startingCapital":1,"name":5}', "name"),
        ('{"startingCapital":1,"name":"' + "x" * 201 + '"}', "name"),
    ],
    ids=lambda text: text[:40],
)
async def test_a_wrong_field_of_a_session_is_named(server: Rest, body: str, field: str) -> None:
    status, headers, problem = await raw(server, "POST", "/sessions", body)
    assert (status, problem["code"]) == (400, "bad_request")
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["detail"].startswith(field)
    assert await server.call("GET", "/sessions") == (200, {"sessions": [], "next": None})


async def test_a_status_is_changed_by_patch(server: Rest) -> None:
    session_id = await server.new_session()
    path = f"/sessions/{session_id}"
    for status in ("PAUSED", "HALTED", "ACTIVE", "STOPPED", "STOPPED"):
        code, session = await server.call("PATCH", path, {"status": status})
        assert (code, session["status"]) == (200, status)
        assert session.keys() == SESSION_MEMBERS
    problem = await refused(server, 409, "PATCH", path, {"status": "ACTIVE"})
    assert problem["code"] == "conflict"
    for body in ({"status": "GONE"}, {"status": 5}):
        problem = await refused(server, 400, "PATCH", path, body)
        assert problem["detail"].startswith("status")
    await refused(server, 404, "PATCH", "/sessions/77", {"status": "PAUSED"})


async def test_a_change_of_the_session_is_one_numbered_event_and_none_if_nothing_changes(
    server: Rest,
) -> None:
    session_id = await server.new_session()
    path = f"/sessions/{session_id}"
    _, session = await server.call("PATCH", path, {"status": "PAUSED", "name": "Opening range"})
    assert (session["status"], session["statusReason"]) == ("PAUSED", "MANUAL")
    assert (session["name"], session["seq"]) == ("Opening range", 1)
    for body in ({"status": "PAUSED"}, {"name": "Opening range"}, {}):
        status, again = await server.call("PATCH", path, body)
        assert (status, again["seq"]) == (200, 1)
    _, renamed = await server.call("PATCH", path, {"name": "Closing range"})
    assert (renamed["statusReason"], renamed["seq"]) == ("MANUAL", 2)
    _, listed = await server.call("GET", f"{path}/events")
    changes = [(event["type"], event["data"]["name"]) for event in listed["events"]]
    assert changes == [("session_changed", "Opening range"), ("session_changed", "Closing range")]


async def test_sessions_are_listed_by_id_a_page_at_a_time(server: Rest) -> None:
    ids = [await server.new_session() for _ in range(3)]
    await server.call("PATCH", f"/sessions/{ids[1]}", {"status": "STOPPED"})

    async def listed(query: str) -> tuple[list[int], int | None]:
        status, page = await server.call("GET", f"/sessions?{query}")
        assert status == 200, page
        return [session["sessionId"] for session in page["sessions"]], page["next"]

    assert await listed("limit=2") == (ids[:2], ids[1])
    assert await listed(f"limit=2&after={ids[1]}") == (ids[2:], None)
    assert await listed("status=STOPPED") == ([ids[1]], None)
    for query in ("limit=0", "limit=1001", "status=GONE", "after=-1", "page=2"):
        problem = await refused(server, 400, "GET", f"/sessions?{query}")
        assert problem["field"] == query.partition("=")[0]


async def test_a_session_with_open_trades_is_not_stopped(server: Rest) -> None:
    session_id = await server.new_session()
    trade = await server.open_trade(session_id)
    problem = await refused(server, 409, "PATCH", f"/sessions/{session_id}", {"status": "STOPPED"})
    assert problem["code"] == "conflict"
    await server.close_trade(trade["tradeId"], 1)
    status, _ = await server.call("PATCH", f"/sessions/{session_id}", {"status": "STOPPED"})
    assert status == 200


# --- trades


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
    }
    assert await timed.call("GET", f"/trades/{trade_id}") == (200, opened)

    clock.now_ms += 1500
    status, closed = await timed.call("POST", f"/trades/{trade_id}/close", {"price": 101.0025})
    assert status == 200
    assert closed == opened | {
        "status": "CLOSED",
        "exitPrice": 101.0025,
        "pnl": 10,
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
    ],
    ids=str,
)
async def test_a_wrong_field_of_an_order_is_named(
    server: Rest, change: dict[str, Any], field: str
) -> None:
    session_id = await server.new_session()
    path = f"/sessions/{session_id}/trades"
    problem = await refused(server, 400, "POST", path, ORDER | change)
    assert problem["code"] == "bad_request"
    assert problem["detail"].startswith(field)
    _, session = await server.call("GET", f"/sessions/{session_id}")
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
async def test_a_wrong_close_price_is_named(server: Rest, price: Any) -> None:
    session_id = await server.new_session()
    trade = await server.open_trade(session_id)
    path = f"/trades/{trade['tradeId']}/close"
    problem = await refused(server, 400, "POST", path, {"price": price})
    assert problem["detail"].startswith("price: ")
    assert await server.call("GET", f"/trades/{trade['tradeId']}") == (200, trade)


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


async def test_trades_are_paged_newest_first(server: Rest) -> None:
    session_id, other = await server.new_session(), await server.new_session()
    opened = [await server.open_trade(session_id) for _ in range(7)]
    await server.open_trade(other)
    for trade in opened[1::2]:
        await server.close_trade(trade["tradeId"], 1)
    ids = [trade["tradeId"] for trade in reversed(opened)]

    async def pages(query: str) -> list[list[int]]:
        found, after = [], ""
        while True:
            _, page = await server.call("GET", f"/sessions/{session_id}/trades?{query}{after}")
            assert page.keys() == {"trades", "next"}
            assert all(trade.keys() == TRADE_MEMBERS for trade in page["trades"])
            found.append([trade["tradeId"] for trade in page["trades"]])
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    assert await pages("") == [ids]
    assert await pages("limit=3") == [ids[:3], ids[3:6], ids[6:]]
    assert await pages("limit=7") == [ids]
    assert await pages("status=open&limit=2") == await pages("status=OPEN&limit=2")
    assert await pages("status=OPEN&limit=2") == [ids[0:4:2], ids[4::2]]
    assert await pages("status=CLOSED") == [ids[1::2]]
    assert await pages("after=1&limit=5") == [[]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=x", "limit"),
            ("limit=-1", "limit"),
        ),
        *(("after=0", "after"), ("after=x", "after"), ("after=1.5", "after")),
        *(("status=GONE", "status"), (f"limit={'0' * 20}1999", "limit")),
        (f"after={'0' * 20}{'9' * 5000}", "after"),
    ],
    ids=lambda text: text[:24],
)
async def test_a_wrong_parameter_of_a_list_is_named(server: Rest, query: str, field: str) -> None:
    session_id = await server.new_session()
    problem = await refused(server, 400, "GET", f"/sessions/{session_id}/trades?{query}")
    assert (problem["code"], problem["detail"].split(":")[0]) == ("bad_request", field)


# --- what is unknown


@pytest.mark.parametrize(
    ("path", "body", "field", "hint"),
    [
        ("/sessions", {"startingCapital": 1, "owner": 2}, "owner", "known are starting"),
        ("/sessions", {"starting_capital": 1}, "starting_capital", "mean startingCapital?"),
        ("/sessions/1/trades", ORDER | {"stop_loss": 99}, "stop_loss", "mean stopLoss?"),
        ("/sessions/1/trades", ORDER | {"stoploss": 99}, "stoploss", "mean stopLoss?"),
        ("/sessions/1/trades", ORDER | {"sid": "SELL"}, "sid", "mean side?"),
        ("/sessions/1/trades", ORDER | {"Target": 1}, "Target", "mean target?"),
        ("/sessions/1/trades", ORDER | {"x" * 500: 1}, "x" * 40, "known are symbol, quantity"),
        ("/trades/1/close", {"exitPrice": 5}, "exitPrice", "mean price?"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_an_unknown_member_is_refused_with_what_was_probably_meant(
    server: Rest, path: str, body: Any, field: str, hint: str
) -> None:
    await server.new_session()
    await server.open_trade(1)
    problem = await refused(server, 400, "POST", path, body)
    assert (problem["code"], problem["field"]) == ("bad_request", field)
    assert problem["detail"].startswith(f"{field}: unknown; ")
    assert hint in problem["detail"]
    _, session = await server.call("GET", "/sessions/1")
    assert session["seq"] == 1, "nothing was done"


async def test_an_unknown_member_of_a_change_or_of_a_tick_is_refused_too(server: Rest) -> None:
    session_id = await server.new_session()
    body = {"status": "PAUSED", "state": "HALTED"}
    problem = await refused(server, 400, "PATCH", f"/sessions/{session_id}", body)
    assert problem["detail"] == "state: unknown; did you mean status?"
    status, answer = await server.call("POST", "/ticks", [tick(), tick(timestamp=1), tick(Price=1)])
    assert (status, answer["accepted"]) == (200, 1)
    assert [row["reason"] for row in answer["rejected"]] == [
        "timestamp: unknown; known are symbol, price, ts",
        "Price: unknown; did you mean price?",
    ]


@pytest.mark.parametrize(
    ("path", "field", "hint"),
    [
        ("/sessions?page=1", "page", "known are status, limit, after"),
        ("/sessions/1?x=", "x", "there is none here"),
        ("/sessions/1/trades?symbol=NIFTY", "symbol", "known are status, limit, after"),
        ("/sessions/1/trades?Limit=5", "Limit", "did you mean limit?"),
        ("/sessions/1/events?limit=1", "limit", "known are since"),
        ("/trades/1?full=1", "full", "there is none here"),
        ("/prices?symbol=NIFTY", "symbol", "did you mean symbols?"),
        ("/connections/x?a=1", "a", "there is none here"),
    ],
)
async def test_an_unknown_parameter_is_refused(
    server: Rest, path: str, field: str, hint: str
) -> None:
    await server.new_session()
    problem = await refused(server, 400, "GET", path)
    assert (problem["code"], problem["field"]) == ("bad_request", field)
    assert problem["detail"] == f"{field}: unknown; {hint}"


async def test_a_command_and_ticks_take_no_parameters(server: Rest) -> None:
    await server.new_session()
    for method, path in (("POST", "/sessions"), ("POST", "/ticks"), ("PATCH", "/sessions/1")):
        problem = await refused(server, 400, method, f"{path}?dryRun=true", {})
        assert problem["field"] == "dryRun"
    for path in ("/livez", "/readyz", "/metrics", "/api/openapi.json"):
        async with server.http.get(f"{server.url}{path}?name[]=x") as response:
            assert response.status == 200, "who probes may add what it likes"


async def test_an_address_of_many_parameters_is_refused(server: Rest) -> None:
    problem = await refused(server, 400, "GET", "/prices?" + "&".join(["symbols=A"] * 1001))
    assert problem["code"] == "limit_exceeded"
    status, _ = await server.call("GET", "/prices?" + "&".join(["symbols=A"] * 1000))
    assert status == 200


# --- Idempotency-Key


async def test_a_repeated_request_gets_the_first_status_and_the_present_document(
    server: Rest,
) -> None:
    body = json.dumps({"startingCapital": 50000})
    status, headers, session = await raw(server, "POST", "/sessions", body, Idempotency_Key="k")
    assert (status, headers.get("Idempotency-Replayed")) == (201, None)
    path = f"/sessions/{session['sessionId']}/trades"
    order = json.dumps(ORDER)
    status, headers, trade = await raw(server, "POST", path, order, Idempotency_Key="k")
    assert (status, headers.get("Idempotency-Replayed")) == (201, None)
    close = f"/trades/{trade['tradeId']}/close"
    status, headers, closed = await raw(server, "POST", close, '{"price":1}', Idempotency_Key="c")
    assert (status, headers.get("Idempotency-Replayed")) == (200, None)

    spaced = json.dumps(dict(reversed(ORDER.items())), indent=2)
    for repeated in (order, spaced):
        status, headers, again = await raw(server, "POST", path, repeated, Idempotency_Key="k")
        assert (status, headers["Idempotency-Replayed"], again) == (201, "true", closed)
    status, headers, again = await raw(server, "POST", close, '{"price":1}', Idempotency_Key="c")
    assert (status, headers["Idempotency-Replayed"], again) == (200, "true", closed)
    status, headers, again = await raw(server, "POST", "/sessions", body, Idempotency_Key="k")
    assert (status, headers["Idempotency-Replayed"]) == (201, "true")
    assert (again["sessionId"], again["totalTrades"]) == (session["sessionId"], 1)


async def test_a_key_with_another_body_is_refused(server: Rest) -> None:
    session_id = await server.new_session()
    trades = f"/sessions/{session_id}/trades"
    _, trade = await server.call("POST", trades, ORDER, Idempotency_Key="k")
    close = f"/trades/{trade['tradeId']}/close"
    await server.call("POST", "/sessions", {"startingCapital": 1}, Idempotency_Key="k")
    for path, body in (
        (trades, ORDER | {"quantity": 11}),
        (trades, "nonsense"),
        (close, {"price": 1}),
        ("/sessions", {"startingCapital": 2}),
    ):
        status, problem = await server.call("POST", path, body, Idempotency_Key="k")
        assert (status, problem["code"]) == (422, "conflict"), path
        assert problem["field"] == "Idempotency-Key"
        if path == "/sessions":
            assert "which made session 2" in problem["detail"]
            assert problem["session"]["sessionId"] == 2
        else:
            assert f"which made trade {trade['tradeId']}" in problem["detail"]
            assert problem["trade"] == trade
    assert (await server.call("GET", f"/trades/{trade['tradeId']}"))[1] == trade


async def test_a_key_is_looked_up_before_any_other_check(server: Rest) -> None:
    session_id = await server.new_session()
    path = f"/sessions/{session_id}/trades"
    _, trade = await server.call("POST", path, ORDER, Idempotency_Key="k")
    await server.call("PATCH", f"/sessions/{session_id}", {"status": "HALTED"})
    assert await server.call("POST", path, ORDER, Idempotency_Key="k") == (201, trade)
    assert (await server.call("POST", path, ORDER, Idempotency_Key="new"))[0] == 409


SAME = [
    ("195.25", ["195.250", "1.9525e2", "19525E-2"]),
    ("100", ["100.0", "1e2", "1.00E+2"]),
    ("195.250", ["195.25", "1.9525e2"]),
    ("1e2", ["100", "100.000"]),
]


@pytest.mark.parametrize(("first", "others"), SAME, ids=str)
async def test_a_number_that_is_spelled_otherwise_is_the_same_number(
    server: Rest, first: str, others: list[str]
) -> None:
    """A client that writes its numbers in another way does not open a second trade."""
    path = f"/sessions/{await server.new_session()}/trades"
    order = '{"symbol":"NIFTY","quantity":10,"entryPrice":%s,"side":"SELL"}'
    _, _, trade = await raw(server, "POST", path, order % first, Idempotency_Key="k")
    for other in others:
        status, headers, again = await raw(server, "POST", path, order % other, Idempotency_Key="k")
        assert (status, headers["Idempotency-Replayed"], again) == (201, "true", trade), other
    for other in ("195.26", "100.01", '"100"', "1"):
        status, _, problem = await raw(server, "POST", path, order % other, Idempotency_Key="k")
        assert (status, problem["trade"]) == (422, trade), other


async def test_a_key_of_an_earlier_version_still_knows_its_request(
    server: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which hashed a number as it was spelled."""
    path, body = "/sessions", '{"startingCapital":50000.50}'
    with monkeypatch.context() as earlier:
        earlier.setattr("vyomo_rt.wire.decoding.canonical", exact_form)
        _, _, session = await raw(server, "POST", path, body, Idempotency_Key="old")
    status, headers, again = await raw(server, "POST", path, body, Idempotency_Key="old")
    assert (status, headers["Idempotency-Replayed"]) == (201, "true")
    assert again["sessionId"] == session["sessionId"]
    status, _, problem = await raw(
        server, "POST", path, '{"startingCapital":50000.51}', Idempotency_Key="old"
    )
    assert (status, problem["session"]["sessionId"]) == (422, session["sessionId"])


async def test_one_request_sent_many_times_at_once_makes_one_trade(server: Rest) -> None:
    session_id = await server.new_session()
    path = f"/sessions/{session_id}/trades"
    answers = await asyncio.gather(
        *(server.call("POST", path, ORDER, Idempotency_Key="k") for _ in range(6))
    )
    assert {status for status, _ in answers} == {201}
    assert len({trade["tradeId"] for _, trade in answers}) == 1
    _, listed = await server.call("GET", path)
    assert len(listed["trades"]) == 1


@pytest.mark.parametrize("key", ["", "k" * 129])
async def test_a_key_has_1_to_128_characters(server: Rest, key: str) -> None:
    status, problem = await server.call(
        "POST", "/sessions", {"startingCapital": 1}, Idempotency_Key=key
    )
    assert (status, problem["detail"].split(":")[0]) == (400, "Idempotency-Key")
    status, _ = await server.call(
        "POST", "/sessions", {"startingCapital": 1}, Idempotency_Key="k" * 128
    )
    assert status == 201


async def test_a_key_that_is_no_text_is_refused(server: Rest) -> None:
    body = b'{"startingCapital":1}'
    reader, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
    writer.write(
        b"POST /api/auto-trader/sessions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Idempotency-Key: \xff\xfe\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"Idempotency-Key" in answer


# --- prices and ticks


def tick(**fields: Any) -> dict[str, Any]:
    return {"symbol": "NIFTY", "price": 100} | fields


async def test_ticks_come_alone_in_a_list_or_one_a_line(server: Rest) -> None:
    one, two = json.dumps(tick()), json.dumps(tick(symbol="bank nifty", price=83.4025))
    for body, kind, count in (
        (one, "application/json", 1),
        (f"[{one},{two}]", "application/json", 2),
        (f"{one}\n{two}\n", "application/x-ndjson", 2),
        (f"{one}\r\n\r\n{two}", "application/jsonl", 2),
        ("[]", "application/json", 0),
    ):
        status, _, answer = await raw(server, "POST", "/ticks", body, Content_Type=kind)
        assert (status, answer) == (200, {"accepted": count, "rejected": []}), kind
    _, listed = await server.call("GET", "/prices")
    assert {each["symbol"]: each["price"] for each in listed["prices"]} == {
        "NIFTY": 100,
        "BANK NIFTY": 83.4025,
    }


async def test_rejected_rows_are_named_and_the_others_are_taken(timed: Rest) -> None:
    rows = [
        tick(symbol="A"),
        tick(symbol="!"),
        tick(symbol="B", price=0),
        tick(symbol="C", price="1"),
        {"symbol": "D"},
        {"price": 1},
        5,
        None,
        tick(symbol="E", ts="2026-11-22T10:00:00"),
        tick(symbol="F", ts=BEGIN_MS + 5001),
        tick(symbol="Z"),
    ]
    status, answer = await timed.call("POST", "/ticks", rows)
    assert (status, answer["accepted"]) == (200, 2)
    reasons = {row["index"]: row["reason"] for row in answer["rejected"]}
    symbols = {row["index"]: row["symbol"] for row in answer["rejected"]}
    assert symbols == dict(enumerate(["!", "B", "C", "D", None, None, None, "E", "F"], start=1))
    for index, word in enumerate(
        ["symbol", "price", "price", "price", "symbol", "object", "object", "ts", "ahead"], start=1
    ):
        assert word in reasons[index], (index, reasons[index])
    _, listed = await timed.call("GET", "/prices")
    assert [each["symbol"] for each in listed["prices"]] == ["A", "Z"]


async def test_ticks_of_which_none_is_accepted_are_refused_as_a_whole(timed: Rest) -> None:
    """Who pushes and looks at nothing but the status learns of it."""
    rows = [tick(symbol="!"), tick(price=100.12345)]
    problem = await refused(timed, 422, "POST", "/ticks", rows)
    assert problem["code"] == "bad_request"
    assert problem["accepted"] == 0
    assert [(row["index"], row["symbol"]) for row in problem["rejected"]] == [
        (0, "!"),
        (1, "NIFTY"),
    ]
    reason = problem["rejected"][1]["reason"]
    assert reason == ("price: expected at most 4 decimals, got 100.12345: round it to 4 decimals")
    assert problem["rejected"][0]["reason"] in problem["detail"]
    await timed.tick("NIFTY", 100)
    status, answer = await timed.call("POST", "/ticks", tick(price=500))
    assert (status, answer["accepted"], answer["held"]) == (200, 1, ["NIFTY"])
    old = tick(ts=BEGIN_MS - 1)
    problem = await refused(timed, 422, "POST", "/ticks", old)
    assert problem["held"] == ["NIFTY"]


@pytest.mark.parametrize(
    ("ts", "unit"),
    [
        (1_795_677_225, "seconds"),
        (0, "seconds"),
        (-5, "seconds"),
        (10**11 - 1, "seconds"),
        (10**14, "microseconds"),
        (1_795_677_225_000_000, "microseconds"),
        (10**17, "nanoseconds"),
        (1_795_677_225_000_000_000, "nanoseconds"),
    ],
)
async def test_a_ts_in_another_unit_is_refused_by_its_name(timed: Rest, ts: int, unit: str) -> None:
    problem = await refused(timed, 422, "POST", "/ticks", tick(ts=ts))
    reason = f"ts: {ts} looks like {unit}: expected epoch milliseconds"
    assert problem["rejected"][0]["reason"] == reason


async def test_a_line_that_is_no_json_is_a_rejected_row(server: Rest) -> None:
    body = '{"symbol":"A","price":1}\n{oops\n{"symbol":"B","price":1e99999999999999999999}\n'
    body += '{"symbol":"C","price":1}\n'
    status, _, answer = await raw(
        server, "POST", "/ticks", body, Content_Type="application/x-ndjson"
    )
    assert (status, answer.get("accepted")) == (200, 2)
    assert [row["index"] for row in answer["rejected"]] == [1, 2]


@pytest.mark.parametrize("body", ["", "5", '"x"', "null", "{oops", "[1"])
async def test_a_body_without_ticks_is_refused(server: Rest, body: str) -> None:
    status, headers, problem = await raw(server, "POST", "/ticks", body)
    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert problem["code"] in {"bad_json", "bad_request"}


async def test_a_tick_may_be_newer_equal_or_up_to_5_s_ahead_but_never_older(
    timed: Rest, clock: Clock
) -> None:
    async def accepted(price: float, ts: int | str) -> bool:
        _, answer = await timed.call("POST", "/ticks", tick(price=price, ts=ts))
        return bool(answer["accepted"])

    assert await accepted(100, BEGIN_MS)
    assert await accepted(101, BEGIN_MS), "exchange time has one-second steps"
    assert not await accepted(102, BEGIN_MS - 1)
    assert await accepted(103, "2026-11-22T15:30:01.123+05:30")
    assert not await accepted(104, BEGIN_MS + 5001)
    assert await accepted(105, BEGIN_MS + 5000)
    assert not await accepted(106, BEGIN_MS)
    _, listed = await timed.call("GET", "/prices?symbols=nifty")
    assert listed == {
        "prices": [
            {
                "symbol": "NIFTY",
                "price": 105,
                "timestamp": BEGIN,
                "asOf": "2026-11-22T10:00:05.123Z",
                "source": "ingest",
                "stale": False,
            }
        ]
    }
    clock.now_ms += 60_000
    _, listed = await timed.call("GET", "/prices?symbols=nifty")
    assert listed["prices"][0]["stale"] is True
    assert await accepted(105, BEGIN_MS + 5000), "an identical tick renews freshness"
    _, listed = await timed.call("GET", "/prices?symbols=nifty")
    assert (listed["prices"][0]["stale"], listed["prices"][0]["price"]) == (False, 105)
    assert listed["prices"][0]["asOf"] == "2026-11-22T10:00:05.123Z"


async def test_prices_are_listed_by_symbol_and_unknown_ones_left_out(server: Rest) -> None:
    for symbol in ("A", "B", "C"):
        await server.tick(symbol, 5)
    _, listed = await server.call("GET", "/prices?symbols=c,%20a%20,nope,&symbols=b")
    assert [each["symbol"] for each in listed["prices"]] == ["C", "A", "B"]
    problem = await refused(server, 400, "GET", "/prices?symbols=A,!")
    assert "symbol" in problem["detail"]


async def test_under_simulated_prices_ticks_are_refused(make_settings: MakeSettings) -> None:
    async with serve_here(make_settings(feed="sim")) as rest:
        problem = await refused(rest, 409, "POST", "/ticks", tick())
        assert problem["code"] == "conflict"
        session_id = await rest.new_session()
        problem = await refused(
            rest, 400, "POST", f"/sessions/{session_id}/trades", ORDER | {"symbol": "NOSUCH"}
        )
        assert "NOSUCH" in problem["detail"]


# --- who has left


def logged(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return words in caplog.messages


async def test_a_command_whose_client_has_left_is_not_carried_out(
    server: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    """It gave up while the server stood still, and may have acted otherwise since."""
    caplog.set_level(logging.INFO, logger="vyomo_rt.web")
    session_id = await server.new_session()
    trade = await server.open_trade(session_id)
    for method, path, body in (
        ("POST", "/sessions", {"startingCapital": 1}),
        ("PATCH", f"/sessions/{session_id}", {"status": "HALTED"}),
        ("POST", f"/sessions/{session_id}/trades", ORDER),
        ("POST", f"/trades/{trade['tradeId']}/close", {"price": 1}),
    ):
        # Nothing turns the loop in between: so the server stands still.
        with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as gone:
            data = json.dumps(body).encode()
            head = f"{method} {API}{path} HTTP/1.1\r\nHost: localhost\r\n"
            gone.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        words = f"{method} {API}{path} is not carried out: its client has left"
        await until(partial(logged, caplog, words))
    _, listed = await server.call("GET", "/sessions")
    (session,) = listed["sessions"]
    assert (session["status"], session["seq"]) == ("ACTIVE", 1)
    assert len(caplog.messages) == 4


async def test_ticks_of_a_client_that_has_left_are_taken(server: Rest) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as gone:
        body = b'{"symbol":"NIFTY","price":5}'
        head = f"POST {API}/ticks HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
        gone.sendall(f"{head}\r\n\r\n".encode() + body)

    async def taken() -> bool:
        return bool((await server.call("GET", "/prices"))[1]["prices"])

    await until(taken)


# --- events


async def test_events_are_those_after_since_in_order(server: Rest) -> None:
    session_id = await server.new_session()
    trade = await server.open_trade(session_id)
    closed = await server.close_trade(trade["tradeId"], 200)
    await server.open_trade(session_id)
    _, session = await server.call("GET", f"/sessions/{session_id}")

    async def events(since: str) -> list[dict[str, Any]]:
        status, answer = await server.call("GET", f"/sessions/{session_id}/events{since}")
        assert status == 200
        assert (answer["seq"], answer["epoch"]) == (3, session["epoch"])
        return list(answer["events"])

    everything = await events("")
    assert [(event["type"], event["seq"]) for event in everything] == [
        ("trade_opened", 1),
        ("trade_closed", 2),
        ("trade_opened", 3),
    ]
    assert everything[1]["data"].items() <= closed.items()
    assert await events("?since=0") == everything
    assert await events("?since=2") == everything[2:]
    assert await events("?since=3") == await events("?since=99") == []


@pytest.mark.parametrize("since", ["-1", "x", "1.5", "0" * 20 + "9" * 5000])
async def test_a_wrong_since_is_named(server: Rest, since: str) -> None:
    session_id = await server.new_session()
    problem = await refused(server, 400, "GET", f"/sessions/{session_id}/events?since={since}")
    assert problem["detail"].startswith("since: ")


# --- what is not there, and what is no request


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", f"/sessions/{id_}") for id_ in ("77", "0", "-1", "x", "9" * 30, "1.0")),
        *(("GET", f"/trades/{id_}") for id_ in ("77", "0", "x", "9" * 30)),
        ("GET", "/sessions/77/trades"),
        ("GET", "/sessions/77/events"),
        ("POST", "/sessions/77/trades"),
        ("POST", "/trades/77/close"),
        ("GET", "/nothing"),
        ("GET", "/"),
        ("POST", "/prices/x"),
    ],
)
async def test_what_is_not_there_is_not_found(server: Rest, method: str, path: str) -> None:
    body = ORDER if path.endswith("trades") and method == "POST" else None
    problem = await refused(server, 404, method, path, body)
    assert (problem["code"], problem["title"]) == ("not_found", "Not Found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/sessions", {"GET", "HEAD", "POST"}),
        ("PUT", "/sessions/1", {"GET", "HEAD", "PATCH"}),
        ("GET", "/ticks", {"POST"}),
        ("GET", "/trades/1/close", {"POST"}),
    ],
)
async def test_another_method_is_refused_and_the_right_ones_are_named(
    server: Rest, method: str, path: str, allowed: set[str]
) -> None:
    status, headers, problem = await raw(server, method, path)
    assert (status, problem["status"]) == (405, 405)
    assert headers["Content-Type"] == "application/problem+json"
    assert {name.strip() for name in headers["Allow"].split(",")} == allowed


@pytest.mark.parametrize("body", ["", "{", "[]", "5", "nonsense", "\ufeff", '{"a":"\\ud800"}'])
async def test_a_body_that_is_no_json_object_is_bad_json(server: Rest, body: str) -> None:
    session_id = await server.new_session()
    for path in ("/sessions", f"/sessions/{session_id}/trades"):
        status, headers, problem = await raw(server, "POST", path, body)
        assert (status, problem["code"]) == (400, "bad_json")
        assert headers["Content-Type"] == "application/problem+json"


async def test_a_body_that_is_too_large_is_refused(server: Rest) -> None:
    status, _, problem = await raw(server, "POST", "/ticks", BytesIO(b" " * (3 << 20)))
    assert (status, problem["code"]) == (413, "limit_exceeded")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_encoded_as_it_says_is_refused(
    server: Rest, encoding: str
) -> None:
    headers = {"Content-Encoding": encoding}
    url = f"{server.url}{API}/ticks"
    async with server.http.post(url, data=b"hello", headers=headers) as response:
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["code"]) == (400, "bad_request")
        assert encoding in problem["detail"]


async def test_a_name_of_any_characters_comes_back_as_it_was_given(server: Rest) -> None:
    for name in ("null", '{"a":1}', "5", "2026-11-22T10:00:00Z", "a\nb\x00c", "😀", " "):
        _, made = await server.call("POST", "/sessions", {"startingCapital": 1, "name": name})
        _, shown = await server.call("GET", f"/sessions/{made['sessionId']}")
        assert shown["name"] == name


async def test_everything_is_there_after_a_restart(make_settings: MakeSettings) -> None:
    settings = make_settings()
    async with serve_here(settings) as rest:
        session_id = await rest.new_session()
        trade = await rest.open_trade(session_id)
        await rest.tick("BANKNIFTY", 196.3)
        await rest.close_trade(trade["tradeId"])
        before = await seen(rest, session_id)
    async with serve_here(settings) as rest:
        assert await seen(rest, session_id) == before
        _, listed = await rest.call("GET", "/prices")
        assert [(each["symbol"], each["stale"]) for each in listed["prices"]] == [
            ("BANKNIFTY", True)
        ]
        assert await rest.new_session() == session_id + 1
        assert (await rest.open_trade(session_id))["tradeId"] > trade["tradeId"]


async def seen(rest: Rest, session_id: int) -> list[Any]:
    """All that REST says of a session, apart from the present time."""
    paths = (
        f"/sessions/{session_id}",
        f"/sessions/{session_id}/trades",
        f"/sessions/{session_id}/events",
    )
    answers = [(await rest.call("GET", path))[1] for path in paths]
    moment = datetime.fromisoformat(answers[0].pop("timestamp"))
    assert moment.tzinfo == UTC
    return answers
