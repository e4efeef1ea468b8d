"""Rules of a session as a client sees them."""

from __future__ import annotations

from tests.kit.rest import Rest
from tests.web.calls import refused

TEN = {"symbol": "RULED", "quantity": 10, "entryPrice": 100}


async def ruled(server: Rest, **rules: object) -> str:
    """The path of a new session with rules."""
    body = {"startingCapital": 50000, "rules": rules}
    status, session = await server.call("POST", "/sessions", body)
    assert status == 201
    return f"/sessions/{session['sessionId']}"


async def test_a_session_says_how_far_each_rule_is(server: Rest) -> None:
    path = await ruled(server, maxDailyLoss=100.5, cooldownSeconds=900)
    _, trade = await server.call("POST", f"{path}/trades", TEN)
    await server.tick("RULED", 95.25)
    _, session = await server.call("GET", path)
    assert session["today"] == {
        "trades": 1,
        "losingStreak": 0,
        "cooldownUntil": None,
        "lossLeft": 53,
    }
    closed = await server.close_trade(trade["tradeId"])
    _, session = await server.call("GET", path)
    today = session["today"]
    assert (today["losingStreak"], today["lossLeft"]) == (1, 53)
    assert today["cooldownUntil"] > closed["closedAt"]
    problem = await refused(server, 409, "POST", f"{path}/trades", TEN)
    assert today["cooldownUntil"] in problem["detail"]
    assert problem["detail"].startswith("cooldownSeconds: ")
    assert (problem["code"], problem["field"]) == ("conflict", "sessionId")


async def test_a_trip_is_told_by_numbered_events_and_lifted_by_a_request(server: Rest) -> None:
    path = await ruled(server, maxDailyLoss=100)
    _, trade = await server.call("POST", f"{path}/trades", TEN)
    await server.tick("RULED", 100)
    await server.tick("RULED", 89.5)
    closed = await server.closed(trade["tradeId"])
    assert (closed["exitReason"], closed["exitDetail"]) == ("RISK", "DAILY_LOSS")
    _, session = await server.call("GET", path)
    assert (session["status"], session["statusReason"]) == ("HALTED", "DAILY_LOSS")
    problem = await refused(server, 409, "POST", f"{path}/trades", TEN)
    assert "HALTED by DAILY_LOSS until " in problem["detail"]
    _, lifted = await server.call("PATCH", path, {"status": "ACTIVE"})
    assert (lifted["waived"], lifted["statusReason"]) == (["DAILY_LOSS"], "MANUAL")
    assert lifted["waivedOn"] is not None
    _, listed = await server.call("GET", f"{path}/events?since=2")
    assert [event["type"] for event in listed["events"]] == [
        "session_changed",
        "trade_closed",
        "session_changed",
    ]
    assert listed["events"][0]["data"]["reason"] == "DAILY_LOSS"
