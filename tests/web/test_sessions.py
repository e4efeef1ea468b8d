"""Sessions and their events by REST."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.web.calls import BEGIN, raw, refused

SESSION_MEMBERS = {
    *("sessionId", "currentCapital", "totalPnL", "todayPnL", "totalTrades", "winRate", "status"),
    *("statusReason", "timestamp", "winningTrades", "losingTrades", "openTrades", "unrealizedPnL"),
    *("name", "startingCapital", "epoch", "seq", "createdAt", "owner"),
    *("rules", "charges", "lock", "waived", "waivedOn", "today"),
}


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
        ('{"startingCapital":1,"name":""}', "name"),
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
async def test_a_wrong_since_is_named(shared_server: Rest, since: str) -> None:
    session_id = await shared_server.new_session()
    problem = await refused(
        shared_server, 400, "GET", f"/sessions/{session_id}/events?since={since}"
    )
    assert problem["detail"].startswith("since: ")


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


ALL_RULES = {
    "maxDailyLoss": 2000.5,
    "dailyTarget": 3000,
    "profitLock": {"armAt": 1500, "floor": 500.25},
    "maxOrderValue": 100000,
    "maxTradesPerDay": 20,
    "maxOpenTrades": 5,
    "losingStreak": 3,
    "cooldownSeconds": 900,
    "squareOff": "15:15",
}


async def test_rules_and_charges_are_set_told_and_merged(server: Rest) -> None:
    body = {"startingCapital": 50000, "rules": ALL_RULES, "charges": "NSE_OPTIONS"}
    status, made = await server.call("POST", "/sessions", body)
    assert (status, made["rules"], made["charges"]) == (201, ALL_RULES, "NSE_OPTIONS")
    assert (made["seq"], made["statusReason"]) == (1, None)
    path = f"/sessions/{made['sessionId']}"
    change = {"name": "Careful", "rules": {"losingStreak": None, "maxOpenTrades": 2}}
    _, changed = await server.call("PATCH", path, change | {"charges": None})
    merged = {name: value for name, value in ALL_RULES.items() if name != "losingStreak"}
    assert changed["rules"] == merged | {"maxOpenTrades": 2}
    assert (changed["charges"], changed["name"], changed["seq"]) == (None, "Careful", 2)
    _, again = await server.call("PATCH", path, change | {"rules": {"maxOpenTrades": 2}})
    assert again["seq"] == 2
    _, listed = await server.call("GET", f"{path}/events")
    first, second = (event["data"] for event in listed["events"])
    assert (first["rules"], first["reason"], first["statusReason"]) == (ALL_RULES, "MANUAL", None)
    assert (second["rules"], second["charges"]) == (changed["rules"], None)


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"maxDailyLoss": 0}, "rules.maxDailyLoss"),
        ({"maxDailyLoss": -5}, "rules.maxDailyLoss"),
        ({"dailyTarget": 1.005}, "rules.dailyTarget"),
        ({"maxOrderValue": "5"}, "rules.maxOrderValue"),
        ({"profitLock": 5}, "rules.profitLock"),
        ({"profitLock": {"armAt": 5}}, "rules.profitLock.floor"),
        ({"profitLock": {"armAt": 5, "floor": 5}}, "rules.profitLock.floor"),
        ({"profitLock": {"armAt": 5, "floor": 0}}, "rules.profitLock.floor"),
        ({"losingStreak": 2.5}, "rules.losingStreak"),
        ({"losingStreak": True}, "rules.losingStreak"),
        ({"maxTradesPerDay": 0}, "rules.maxTradesPerDay"),
        ({"maxOpenTrades": 0}, "rules.maxOpenTrades"),
        ({"cooldownSeconds": -1}, "rules.cooldownSeconds"),
        ({"squareOff": "9:15"}, "rules.squareOff"),
        ({"squareOff": "24:00"}, "rules.squareOff"),
        ({"squareOff": 915}, "rules.squareOff"),
        ({"maxLoss": 5}, "rules.maxLoss"),
        ([], "rules"),
    ],
    ids=str,
)
async def test_a_wrong_rule_is_named(shared_server: Rest, rules: object, field: str) -> None:
    session_id = await shared_server.new_session()
    for method, path, more in (
        ("POST", "/sessions", {"startingCapital": 1}),
        ("PATCH", f"/sessions/{session_id}", {}),
    ):
        problem = await refused(shared_server, 400, method, path, {**more, "rules": rules})
        assert problem["field"] == field
        assert problem["detail"].startswith(field)


async def test_an_unknown_plan_of_charges_is_refused_by_the_known_ones(server: Rest) -> None:
    body = {"startingCapital": 1, "charges": "NSE"}
    problem = await refused(server, 400, "POST", "/sessions", body)
    assert problem["field"] == "charges"
    assert "NSE_INTRADAY, NSE_OPTIONS or NSE_FUTURES" in problem["detail"]
