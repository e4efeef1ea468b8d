"""What a caller may do is asked of each call, before anything is looked up for it."""

from __future__ import annotations

import re

import aiohttp
import pytest

from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, routed_calls, serve_here
from tests.kit.streams import watching, web_socket
from tests.web.calls import As
from vyomo_rt.domain.grant import Grant, Need, Role

NEEDS = {
    ("POST", f"{API}/sessions"): Need.TRADE,
    ("GET", f"{API}/sessions"): Need.SEE,
    ("GET", f"{API}/sessions/{{sessionId}}"): Need.SEE,
    ("PATCH", f"{API}/sessions/{{sessionId}}"): Need.TRADE,
    ("POST", f"{API}/sessions/{{sessionId}}/trades"): Need.TRADE,
    ("GET", f"{API}/sessions/{{sessionId}}/trades"): Need.SEE,
    ("GET", f"{API}/sessions/{{sessionId}}/trades.csv"): Need.SEE,
    ("GET", f"{API}/sessions/{{sessionId}}/events"): Need.SEE,
    ("GET", f"{API}/trades/{{tradeId}}"): Need.SEE,
    ("PATCH", f"{API}/trades/{{tradeId}}"): Need.TRADE,
    ("POST", f"{API}/trades/{{tradeId}}/close"): Need.TRADE,
    ("GET", f"{API}/prices"): Need.SEE,
    ("GET", f"{API}/market"): Need.SEE,
    ("GET", f"{API}/instruments"): Need.SEE,
    ("POST", f"{API}/ticks"): Need.PUSH,
    ("GET", f"{API}/connections/{{connectionId}}"): Need.SEE,
    ("GET", f"{API}/me"): Need.ENTER,
    ("GET", "/ws/auto-trader"): Need.SEE,
    ("GET", "/ws/ingest"): Need.PUSH,
    ("GET", "/sse/auto-trader"): Need.SEE,
    ("GET", "/sse/sessions/{sessionId}"): Need.SEE,
    ("GET", "/sse/prices"): Need.SEE,
}
"""Each call, and what it needs; written down here again, because a mistake lets strangers in."""

FOR_ANYBODY = {
    ("GET", path)
    for path in (
        "/", "/static/{name}", "/livez", "/readyz", "/metrics",
        "/api/openapi.json", "/api/asyncapi.json",
    )
}  # fmt: skip

MAY = {
    Role.VIEWER: {Need.ENTER, Need.SEE},
    Role.TRADER: {Need.ENTER, Need.SEE, Need.TRADE},
    Role.FEED: {Need.ENTER, Need.PUSH},
    Role.ADMIN: set(Need),
}


def trader(subject: str, *sessions: int) -> Grant:
    return Grant(subject, Role.TRADER, frozenset(sessions), None)


async def test_there_is_no_call_of_which_it_is_not_written_down_what_it_needs(
    make_settings: MakeSettings,
) -> None:
    routed = await routed_calls(make_settings())
    assert routed == NEEDS.keys() | FOR_ANYBODY


async def test_each_call_is_refused_to_each_role_that_may_not_make_it_and_to_no_other(
    make_settings: MakeSettings, act_as: As
) -> None:
    """Their ids are unknown and their bodies no JSON: the refusal comes before both are seen."""
    async with serve_here(make_settings()) as rest:
        for role in Role:
            act_as(Grant("asha", role, None, None))
            for (method, path), need in NEEDS.items():
                url = rest.url + re.sub(r"{\w+}", "999", path)
                async with rest.http.request(method, url, data=b"{") as response:
                    refused = response.status == 403
                    assert refused == (need not in MAY[role]), (role, method, path)
                    if refused:
                        problem = await response.json(content_type=None)
                        assert problem["code"] == "forbidden"
                        assert problem["detail"].startswith(f"the role {role} may not ")
        for _, path in FOR_ANYBODY - {("GET", "/static/{name}")}:
            async with rest.http.get(rest.url + path) as response:
                assert response.status == 200, path


ABOUT_A_SESSION = [
    ("GET", f"{API}/sessions/{{}}"),
    ("GET", f"{API}/sessions/0{{}}"),
    ("PATCH", f"{API}/sessions/{{}}"),
    ("POST", f"{API}/sessions/{{}}/trades"),
    ("GET", f"{API}/sessions/{{}}/trades?status=open"),
    ("GET", f"{API}/sessions/{{}}/trades.csv"),
    ("GET", f"{API}/sessions/{{}}/events"),
    ("GET", "/sse/sessions/{}"),
    ("GET", "/sse/sessions/{}?symbols=NIFTY&sessionId=1"),
    ("GET", "/sse/auto-trader?sessionId={}"),
    ("GET", "/sse/auto-trader?symbols=NIFTY&sessionId=" + 30 * "0" + "{}"),
]
ABOUT_A_TRADE = [
    ("GET", f"{API}/trades/{{}}"),
    ("PATCH", f"{API}/trades/{{}}"),
    ("POST", f"{API}/trades/{{}}/close"),
]


async def test_a_session_out_of_reach_is_answered_like_one_that_there_is_not(
    make_settings: MakeSettings, act_as: As
) -> None:
    async with serve_here(make_settings()) as rest:

        async def told(method: str, path: str) -> tuple[int, str]:
            body = None if method == "GET" else b"{"
            async with rest.http.request(method, rest.url + path, data=body) as response:
                return response.status, (await response.json(content_type=None))["detail"]

        foreign = await rest.new_session()
        trade_id = (await rest.open_trade(foreign))["tradeId"]
        act_as(trader("asha"))
        cases = [(method, path, foreign) for method, path in ABOUT_A_SESSION]
        cases += [(method, path, trade_id) for method, path in ABOUT_A_TRADE]
        for method, path, id_ in cases:
            status, words = await told(method, path.format(987))
            assert status == 404, (method, path)
            expected = status, words.replace("987", str(id_))
            assert await told(method, path.format(id_)) == expected, (method, path)
        act_as(Grant.EVERYTHING)
        _, trade = await rest.call("GET", f"/trades/{trade_id}")
        assert trade["status"] == "OPEN"


async def test_who_makes_a_session_has_it_in_reach_and_nobody_else_sees_it(
    make_settings: MakeSettings, act_as: As
) -> None:
    async with serve_here(make_settings()) as rest:
        ownerless = await rest.new_session()
        act_as(trader("asha"))
        own = await rest.new_session()
        trade = await rest.open_trade(own)
        await rest.close_trade(trade["tradeId"], 200)
        assert (await rest.call("PATCH", f"/sessions/{own}", {"name": "Mine"}))[0] == 200
        assert await listed(rest) == [own]
        async with watching("sse", rest.url, sessionId=own) as stream:
            assert (await stream.next("session_update"))["data"]["sessionId"] == own
        async with web_socket(rest.url) as socket:
            answer = await socket.ask("subscribe_session", sessionId=ownerless)
            assert (answer["type"], answer["code"]) == ("error", "not_found")
            assert (await socket.ask("subscribe_session", sessionId=own))["type"] == "ack"
        act_as(trader("ravi", ownerless))
        assert await listed(rest) == [ownerless]
        act_as(Grant.EVERYTHING)
        assert await listed(rest) == [ownerless, own]


async def listed(rest: Rest) -> list[int]:
    _, answer = await rest.call("GET", "/sessions")
    return [session["sessionId"] for session in answer["sessions"]]


async def test_an_idempotency_key_is_one_of_its_subject(
    make_settings: MakeSettings, act_as: As
) -> None:
    made: dict[str, int] = {}
    async with serve_here(make_settings()) as rest:
        for subject in ("asha", "ravi", "asha"):
            act_as(trader(subject))
            status, session = await rest.call(
                "POST", "/sessions", {"startingCapital": 5}, Idempotency_Key="k"
            )
            assert status == 201
            assert made.setdefault(subject, session["sessionId"]) == session["sessionId"]
        assert made["asha"] != made["ravi"]
        act_as(Grant.EVERYTHING)
        _, session = await rest.call(
            "POST", "/sessions", {"startingCapital": 5}, Idempotency_Key="k"
        )
        assert session["sessionId"] not in made.values()


async def test_a_handshake_is_refused_before_it_is_one(
    make_settings: MakeSettings, act_as: As
) -> None:
    async with serve_here(make_settings()) as rest:
        act_as(Grant("feed", Role.FEED, None, None))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await rest.http.ws_connect(f"{rest.url}/ws/auto-trader")
        assert refused.value.status == 403
