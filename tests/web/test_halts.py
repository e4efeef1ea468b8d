"""The kill switch by REST."""

from __future__ import annotations

import pytest

from tests.kit.rest import Rest
from tests.kit.streams import watching
from tests.web.calls import As, Clock, refused
from vyomo_rt.domain.grant import Grant, Role


async def test_close_all_halts_closes_and_names_what_it_could_not_close(server: Rest) -> None:
    session_id, other = await server.new_session(), await server.new_session()
    priced = await server.open_trade(session_id)
    unpriced = await server.open_trade(session_id, symbol="TCS")
    kept = await server.open_trade(other)
    await server.tick("BANKNIFTY", 190)
    async with watching("sse", server.url, sessionId=session_id) as stream:
        status, answer = await server.call(
            "POST", f"/sessions/{session_id}/close-all", {"reason": "enough"}
        )
        changed = await stream.next("session_changed")
        closed = await stream.next("trade_closed")
        assert status == 200
        assert answer["closed"] == [priced["tradeId"]]
        [failed] = answer["failed"]
        assert (failed["tradeId"], failed["code"]) == (unpriced["tradeId"], "conflict")
        assert "no price of TCS" in failed["message"]
        assert {"status": "HALTED", "reason": "KILL", "detail": "enough"}.items() <= (
            changed["data"].items()
        )
        assert (closed["data"]["exitReason"], closed["data"]["exitDetail"]) == ("MANUAL", "KILL")
        await server.tick("TCS", 3000)
        closed = await stream.next("trade_closed")
    assert (closed["data"]["tradeId"], closed["data"]["exitPrice"]) == (unpriced["tradeId"], 3000)
    assert closed["data"]["exitDetail"] == "KILL"
    _, trade = await server.call("GET", f"/trades/{kept['tradeId']}")
    assert trade["status"] == "OPEN", "no other session is touched"
    _, again = await server.call("POST", f"/sessions/{session_id}/close-all")
    assert again == {"closed": [], "failed": []}


async def test_a_kill_at_a_stale_price_says_so(timed: Rest, clock: Clock) -> None:
    session_id = await timed.new_session()
    trade = await timed.open_trade(session_id)
    await timed.tick("BANKNIFTY", 190)
    clock.now_ms += 60_000
    _, answer = await timed.call("POST", f"/sessions/{session_id}/close-all", {"halt": False})
    assert answer == {"closed": [trade["tradeId"]], "failed": []}
    _, closed = await timed.call("GET", f"/trades/{trade['tradeId']}")
    assert (closed["exitPrice"], closed["stale"], closed["exitDetail"]) == (190, True, None)
    _, session = await timed.call("GET", f"/sessions/{session_id}")
    assert session["status"] == "ACTIVE"


async def test_halt_answers_for_every_session_that_the_caller_may_trade(
    server: Rest, act_as: As
) -> None:
    mine, others, stopped = [await server.new_session() for _ in range(3)]
    trade = await server.open_trade(mine)
    await server.tick("BANKNIFTY", 190)
    await server.call("PATCH", f"/sessions/{stopped}", {"status": "STOPPED"})
    act_as(Grant("asha", Role.TRADER, frozenset({mine, stopped}), None))
    status, answer = await server.call("POST", "/halt", {"reason": "fire drill"})
    nothing: dict[str, list[int]] = {"closed": [], "failed": []}
    assert (status, answer) == (200, {"sessions": [{"sessionId": mine, **nothing}]})
    status, answer = await server.call("POST", "/halt", {"closeAll": True})
    killed = {"sessionId": mine, "closed": [trade["tradeId"]], "failed": []}
    assert answer == {"sessions": [killed]}
    act_as(Grant.EVERYTHING)
    for session_id, expected in ((mine, "HALTED"), (others, "ACTIVE"), (stopped, "STOPPED")):
        _, session = await server.call("GET", f"/sessions/{session_id}")
        assert session["status"] == expected


@pytest.mark.parametrize(
    ("body", "field"),
    [({"halt": "yes"}, "halt"), ({"reason": ""}, "reason"), ({"closeAll": True}, "closeAll")],
)
async def test_a_wrong_member_of_a_kill_changes_nothing(
    server: Rest, body: dict[str, object], field: str
) -> None:
    session_id = await server.new_session()
    problem = await refused(server, 400, "POST", f"/sessions/{session_id}/close-all", body)
    assert problem["field"] == field
    _, session = await server.call("GET", f"/sessions/{session_id}")
    assert session["status"] == "ACTIVE"


async def test_a_session_that_there_is_not_or_that_is_stopped_cannot_be_killed(
    server: Rest,
) -> None:
    await refused(server, 404, "POST", "/sessions/99/close-all")
    session_id = await server.new_session()
    await server.call("PATCH", f"/sessions/{session_id}", {"status": "STOPPED"})
    await refused(server, 409, "POST", f"/sessions/{session_id}/close-all")
