"""What a caller may do is asked of each call, before anything is looked up for it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import aiohttp
import pytest

from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, routed_calls, serve_here
from tests.kit.streams import event_stream, web_socket
from tests.web.calls import Clock
from tests.web.guarded import KEY, Caller, bearer, caller
from vyomo_rt.domain.grant import Need, Role

NEEDS = {
    ("POST", f"{API}/sessions"): Need.TRADE,
    ("GET", f"{API}/sessions"): Need.SEE,
    ("GET", f"{API}/sessions/{{sessionId}}"): Need.SEE,
    ("PATCH", f"{API}/sessions/{{sessionId}}"): Need.TRADE,
    ("POST", f"{API}/sessions/{{sessionId}}/trades"): Need.TRADE,
    ("GET", f"{API}/sessions/{{sessionId}}/trades"): Need.SEE,
    ("GET", f"{API}/sessions/{{sessionId}}/trades.csv"): Need.SEE,
    ("GET", f"{API}/sessions/{{sessionId}}/events"): Need.SEE,
    ("GET", f"{API}/sessions/{{sessionId}}/report"): Need.SEE,
    ("GET", f"{API}/sessions/{{sessionId}}/curve"): Need.SEE,
    ("GET", f"{API}/trades/{{tradeId}}"): Need.SEE,
    ("PATCH", f"{API}/trades/{{tradeId}}"): Need.TRADE,
    ("POST", f"{API}/trades/{{tradeId}}/close"): Need.TRADE,
    ("POST", f"{API}/sessions/{{sessionId}}/orders"): Need.TRADE,
    ("GET", f"{API}/sessions/{{sessionId}}/orders"): Need.SEE,
    ("PATCH", f"{API}/orders/{{orderId}}"): Need.TRADE,
    ("DELETE", f"{API}/orders/{{orderId}}"): Need.TRADE,
    ("POST", f"{API}/sessions/{{sessionId}}/close-all"): Need.TRADE,
    ("POST", f"{API}/halt"): Need.TRADE,
    ("GET", f"{API}/prices"): Need.SEE,
    ("GET", f"{API}/bars"): Need.SEE,
    ("PATCH", f"{API}/replay"): Need.ADMINISTER,
    ("GET", f"{API}/market"): Need.SEE,
    ("GET", f"{API}/instruments"): Need.SEE,
    ("POST", f"{API}/ticks"): Need.PUSH,
    ("GET", f"{API}/connections/{{connectionId}}"): Need.SEE,
    ("GET", f"{API}/cluster"): Need.ADMINISTER,
    ("GET", f"{API}/connections"): Need.ADMINISTER,
    ("POST", f"{API}/connections/{{connectionId}}/kick"): Need.ADMINISTER,
    ("GET", f"{API}/me"): Need.ENTER,
    ("GET", f"{API}/limits"): Need.ENTER,
    ("GET", f"{API}/audit"): Need.ADMINISTER,
    ("POST", f"{API}/tickets"): Need.ENTER,
    ("POST", f"{API}/sign-out"): Need.ENTER,
    ("POST", f"{API}/revocations"): Need.ADMINISTER,
    ("GET", "/ws/auto-trader"): Need.SEE,
    ("GET", "/ws/ingest"): Need.PUSH,
    ("GET", "/sse/auto-trader"): Need.SEE,
    ("GET", "/sse/sessions/{sessionId}"): Need.SEE,
    ("GET", "/sse/sessions"): Need.SEE,
    ("GET", "/sse/prices"): Need.SEE,
}
"""Each call, and what it needs; written down here again, because a mistake lets strangers in."""

FOR_ANYBODY = {
    ("GET", path)
    for path in (
        "/", "/static/{name}", "/static-{edition}/{name}", "/livez", "/readyz", "/metrics",
        "/api/openapi.json", "/api/asyncapi.json",
    )
} | {("POST", f"{API}/sign-in")}  # fmt: skip

MAY = {
    Role.VIEWER: {Need.ENTER, Need.SEE},
    Role.TRADER: {Need.ENTER, Need.SEE, Need.TRADE},
    Role.FEED: {Need.ENTER, Need.PUSH},
    Role.ADMIN: set(Need),
}

IN_A_QUERY = [
    ("GET", "/sse/auto-trader?sessionId={sessionId}"),
    ("GET", "/sse/auto-trader?symbols=NIFTY&sessionId=" + 30 * "0" + "{sessionId}"),
    ("GET", "/sse/sessions/{sessionId}?symbols=NIFTY&sessionId=1"),
    ("GET", f"{API}/sessions/0{{sessionId}}"),
    ("GET", f"{API}/sessions/{{sessionId}}?typo=1"),
]
"""Other ways to name a session."""

UNKNOWN = {"sessionId": "987", "orderId": "987", "tradeId": "987", "connectionId": "abcabcabcabc"}


async def asked(rest: Rest, method: str, path: str, **headers: str) -> tuple[int, str]:
    """The status and the words of a call whose body, if it takes one, is no JSON."""
    body = None if method == "GET" else b"{"
    async with rest.http.request(method, rest.url + path, data=body, headers=headers) as response:
        if response.status < 400 or response.content_type == "text/event-stream":
            return response.status, ""
        return response.status, (await response.json(content_type=None))["detail"]


def filled(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda found: ids[found[1]], path)


def about_something() -> Iterator[tuple[str, str]]:
    """The calls about a session, a trade or a connection; any other kind has to be put here."""
    for method, path in NEEDS:
        names = set(re.findall(r"{(\w+)}", path))
        assert names <= UNKNOWN.keys(), path
        if names:
            yield method, path
    yield from IN_A_QUERY


async def test_there_is_no_call_of_which_it_is_not_written_down_what_it_needs(
    make_settings: MakeSettings,
) -> None:
    routed = await routed_calls(make_settings())
    assert routed == NEEDS.keys() | FOR_ANYBODY


async def test_no_call_is_answered_without_a_token_and_none_to_a_role_that_lacks_the_right(
    guarded: Rest,
) -> None:
    """Their ids are unknown and their bodies no JSON: the refusal comes before both are seen."""
    for (method, path), need in NEEDS.items():
        url = filled(path, UNKNOWN)
        status, words = await asked(guarded, method, url)
        # A WebSocket may say later who it is; this one is no handshake.
        assert status == (400 if path == "/ws/auto-trader" else 401), (method, path)
        for role in Role:
            status, words = await asked(guarded, method, url, **bearer(role=role.value))
            assert (status == 403) == (need not in MAY[role]), (role, method, path)
            assert status != 401
            if status == 403:
                assert words.startswith(f"the role {role} may not ")
    for method, path in ((method, path) for method, path in FOR_ANYBODY if "{" not in path):
        assert (await asked(guarded, method, path))[0] in (200, 400), path


async def test_what_is_foreign_is_answered_like_what_is_not_there_and_what_is_own_is_answered(
    guarded: Rest,
) -> None:
    foreign, own = caller(guarded, sub="ravi", role="trader"), caller(guarded, role="trader")
    async with (
        event_stream(guarded.url, "/sse/prices?symbols=A", **own.headers) as own_stream,
        event_stream(guarded.url, "/sse/prices?symbols=A", **foreign.headers) as foreign_stream,
    ):
        theirs = await things(foreign, (await foreign_stream.next("ack"))["connectionId"])
        mine = await things(own, (await own_stream.next("ack"))["connectionId"])
        for method, path in about_something():
            if NEEDS.get((method, path)) is Need.ADMINISTER:
                continue
            unknown = await asked(guarded, method, filled(path, UNKNOWN), **own.headers)
            assert unknown[0] == 404, (method, path)
            for name, id_ in theirs.items():
                unknown = (404, unknown[1].replace(UNKNOWN[name], id_))
            told = await asked(guarded, method, filled(path, theirs), **own.headers)
            assert told == unknown, (method, path)
            status, _ = await asked(guarded, method, filled(path, mine), **own.headers)
            assert status not in (401, 403, 404), (method, path)
    _, trade = await foreign.call("GET", f"/trades/{theirs['tradeId']}")
    assert trade["status"] == "OPEN"


async def things(who: Caller, connection_id: str) -> dict[str, str]:
    session_id = await who.new_session()
    trade = await who.open_trade(session_id)
    entry = {"symbol": "NIFTY", "quantity": 1, "type": "LIMIT", "price": 1}
    _, placed = await who.call("POST", f"/sessions/{session_id}/orders", entry)
    return {
        "sessionId": str(session_id),
        "tradeId": str(trade["tradeId"]),
        "orderId": str(placed["order"]["orderId"]),
        "connectionId": connection_id,
    }


async def test_a_closed_trade_of_another_is_unknown_too(guarded: Rest) -> None:
    foreign = caller(guarded, sub="ravi", role="trader")
    trade = await foreign.open_trade(await foreign.new_session())
    await foreign.close_trade(trade["tradeId"], 200)
    for method, path in (("GET", ""), ("POST", "/close")):
        url = f"/trades/{trade['tradeId']}{path}"
        assert (await caller(guarded, role="trader").call(method, url, {}))[0] == 404
        assert (await foreign.call(method, url, {}))[0] != 404


async def test_who_makes_a_session_has_it_in_reach_and_nobody_else_sees_it(guarded: Rest) -> None:
    admin, asha = caller(guarded), caller(guarded, role="trader")
    other = await admin.new_session()
    own = await asha.new_session()
    assert (await asha.call("PATCH", f"/sessions/{own}", {"name": "Mine"}))[0] == 200
    assert await listed(asha) == [own]
    assert await listed(caller(guarded, sub="ravi", sessions=[other, 99])) == [other]
    assert await listed(caller(guarded, sub="ravi", sessions="*")) == [other, own]
    assert await listed(caller(guarded, sub="ravi")) == []
    async with web_socket(guarded.url, **asha.headers) as socket:
        answer = await socket.ask("subscribe_session", sessionId=other)
        assert (answer["type"], answer["code"]) == ("error", "not_found")
        # A session out of reach comes before all else that is wrong.
        worse = await socket.ask("subscribe_session", sessionId=other, since=-1)
        assert worse == answer | {"id": worse["id"]}
        assert (await socket.ask("subscribe_session", sessionId=own))["type"] == "ack"


async def listed(rest: Rest) -> list[int]:
    _, answer = await rest.call("GET", "/sessions")
    return [session["sessionId"] for session in answer["sessions"]]


async def test_an_owner_has_its_sessions_in_reach_after_a_restart_even_those_at_rest(
    make_settings: MakeSettings, clock: Clock
) -> None:
    settings = make_settings(auth_key=KEY)
    async with serve_here(settings, now=clock) as rest:
        asha, ravi = caller(rest, role="trader"), caller(rest, sub="ravi", role="trader")
        own, foreign = await asha.new_session(), await ravi.new_session()
        for who, session_id in ((asha, own), (ravi, foreign)):
            await who.call("PATCH", f"/sessions/{session_id}", {"status": "STOPPED"})
    async with serve_here(settings, now=clock) as rest:
        asha = caller(rest, role="viewer")
        assert await listed(asha) == [own]
        assert (await asha.call("GET", f"/sessions/{own}"))[0] == 200
        assert (await asha.call("GET", f"/sessions/{foreign}"))[0] == 404


async def test_an_idempotency_key_is_one_of_its_subject(guarded: Rest) -> None:
    made: dict[str, int] = {}
    for subject in ("asha", "ravi", "asha"):
        status, session = await caller(guarded, sub=subject, role="trader").call(
            "POST", "/sessions", {"startingCapital": 5}, Idempotency_Key="k"
        )
        assert status == 201
        assert made.setdefault(subject, session["sessionId"]) == session["sessionId"]
    assert made["asha"] != made["ravi"]


async def test_a_handshake_is_refused_before_it_is_one(guarded: Rest) -> None:
    for headers, status in ((bearer(role="feed"), 403), ({"Authorization": "Bearer x"}, 401)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await guarded.http.ws_connect(f"{guarded.url}/ws/auto-trader", headers=headers)
        assert refused.value.status == status
