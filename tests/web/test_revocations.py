"""Tokens are taken back with everything they opened, and connections are kicked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream, web_socket
from tests.web.calls import ORDER, Clock
from tests.web.guarded import KEY, NOW_S, all_closed, bearer, caller, signed_in, ticket
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.moment import iso
from vyomo_rt.store.access import SavedAccess
from vyomo_rt.web.long_answers import LongAnswers

DAY_MS = 86_400_000
OF_ENCODING = 3
"""Turns of the loop that a thousand prices take before the first part is sent."""


async def revoke(rest: Rest, **what: Any) -> dict[str, Any]:
    status, document = await caller(rest, sub="root", role="admin", iat=NOW_S + 20).call(
        "POST", "/revocations", what
    )
    assert status == 201, document
    return document


async def me(rest: Rest, headers: dict[str, str]) -> int:
    async with rest.http.get(f"{rest.url}{API}/me", headers=headers) as response:
        return response.status


@pytest.mark.parametrize(
    "what",
    [{"jti": "t1"}, {"sub": "asha"}, {"issuedBefore": iso(NOW_S * 1000 + 50)}],
    ids=["token", "subject", "moment"],
)
async def test_what_is_revoked_ends_with_all_that_it_opened_and_nothing_else_does(
    guarded: Rest, what: dict[str, Any]
) -> None:
    mine = bearer(jti="t1")
    # Issued later, for another: none of the three is about it.
    theirs = bearer(sub="ravi", jti="t2", iat=NOW_S + 15)
    page = await signed_in(guarded, jti="t1")
    text = await ticket(caller(guarded, jti="t1"), "/sse/prices", "symbols=A")
    unused = await ticket(caller(guarded, jti="t1"), "/ws/auto-trader")
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        sockets = [await enter(web_socket(guarded.url, **h)) for h in (mine, page)]
        streams = [
            await enter(event_stream(guarded.url, f"/sse/prices?symbols=A{more}", **headers))
            for more, headers in (("", mine), (f"&ticket={text}", {}))
        ]
        bystander = await enter(web_socket(guarded.url, **theirs))
        for stream in streams:
            await stream.next("ack")
        closing = all_closed(*sockets)
        await revoke(guarded, **what)
        assert await closing == [4500, 4500]
        for stream in streams:
            await stream.ended()
            assert stream.messages("error") == []
        assert (await bystander.ask("ping"))["type"] == "pong"
    cookie = {"Cookie": page["Cookie"]}
    assert [await me(guarded, h) for h in (mine, cookie, theirs)] == [401, 401, 200]
    for path in (f"/sse/prices?symbols=A&ticket={text}", f"/ws/auto-trader?ticket={unused}"):
        async with event_stream(guarded.url, path) as stream:
            assert stream.status == 401
    async with web_socket(guarded.url) as socket:
        await socket.send("auth", token=mine["Authorization"].removeprefix("Bearer "))
        assert await socket.closed() == 4500


async def test_a_subject_is_revoked_up_to_now_and_may_get_a_new_token(
    guarded: Rest, clock: Clock
) -> None:
    await revoke(guarded, sub="asha")
    assert await me(guarded, bearer()) == 401
    clock.now_ms += 1000
    assert await me(guarded, bearer(iat=NOW_S + 1)) == 200
    await revoke(guarded, sub="asha")
    assert await me(guarded, bearer(iat=NOW_S + 1)) == 401


async def test_a_token_whose_issuer_s_clock_is_ahead_stays_revoked(
    guarded: Rest, clock: Clock
) -> None:
    """It is no token of later; of those, the same issuer's next one is good, and others' are."""
    ahead = bearer(iat=NOW_S + 25)
    async with web_socket(guarded.url, **ahead) as socket:
        closing = all_closed(socket)
        await revoke(guarded, sub="asha")
        assert await closing == [4500]
    assert await me(guarded, ahead) == 401
    clock.now_ms += 1000
    assert await me(guarded, bearer(iat=NOW_S + 26)) == 200
    assert await me(guarded, bearer(sub="ravi", iat=NOW_S)) == 200
    clock.now_ms += 60_000
    assert await me(guarded, ahead) == 401


async def test_revocations_are_kept_over_restarts_until_their_tokens_have_expired(
    make_settings: MakeSettings, clock: Clock
) -> None:
    settings = make_settings(auth_key=KEY)
    async with serve_here(settings, now=clock) as rest:
        document = await revoke(rest, jti="t1")
        assert document["jti"] == "t1"
        assert document["at"] == iso(clock.now_ms)
        assert document["until"] >= iso(clock.now_ms + DAY_MS)
        await revoke(rest, sub="ravi")
        await revoke(rest, issuedBefore=(NOW_S - 100) * 1000)
    for now_s in (NOW_S, NOW_S + 86_400):
        clock.now_ms = now_s * 1000
        async with serve_here(settings, now=clock) as rest:
            good = {"iat": now_s, "exp": now_s + 60}
            assert await me(rest, bearer(**good)) == 200
            assert await me(rest, bearer(**good, jti="t1")) == 401
            assert await me(rest, bearer(exp=NOW_S + 86_400, sub="ravi")) == 401
            assert await me(rest, bearer(iat=NOW_S - 101, exp=NOW_S + 3600)) == 401


async def test_while_the_store_is_away_the_last_list_counts_and_a_new_entry_acts_at_once(
    guarded: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await revoke(guarded, jti="t1")

    async def away(*_: object) -> None:
        raise Unavailable("the database is away")

    for name in ("save_revocation", "save_entry", "mark_used", "remove_entries"):
        monkeypatch.setattr(SavedAccess, name, away)
    async with web_socket(guarded.url, **bearer(jti="t2")) as socket:
        assert await me(guarded, bearer(jti="t1")) == 401
        closing = all_closed(socket)
        status, problem = await caller(guarded).call("POST", "/revocations", {"jti": "t2"})
        assert (status, problem["code"]) == (503, "unavailable")
        assert await closing == [4500]
    assert await me(guarded, bearer(jti="t2")) == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"jti": "a", "sub": "b"},
        {"jti": ""},
        {"sub": 5},
        {"issuedBefore": NOW_S},
        {"issuedBefore": "soon"},
        {"issuedBefore": (NOW_S + 3600) * 1000},
    ],
)
async def test_a_revocation_of_nothing_or_of_what_is_to_come_is_refused(
    guarded: Rest, wrong: dict[str, Any]
) -> None:
    assert (await caller(guarded).call("POST", "/revocations", wrong))[0] == 400
    assert await me(guarded, bearer()) == 200


async def test_a_command_whose_token_is_revoked_while_its_body_comes_does_nothing(
    guarded: Rest,
) -> None:
    """The race between a revocation and a trade that was begun."""
    trader = caller(guarded, role="trader", jti="t1")
    session_id = await trader.new_session()
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"symbol":"NIFTY",'
        arrived.set()
        await go_on.wait()
        yield b'"quantity":10,"entryPrice":100}'

    url = f"{guarded.url}{API}/sessions/{session_id}/trades"
    sending = asyncio.create_task(post_status(guarded, url, body(), trader.headers))
    await arrived.wait()
    await revoke(guarded, jti="t1")
    go_on.set()
    assert await sending == 401
    _, trades = await caller(guarded).call("GET", f"/sessions/{session_id}/trades")
    assert trades["trades"] == []


async def post_status(rest: Rest, url: str, body: Any, headers: dict[str, str]) -> int:
    async with rest.http.post(url, data=body, headers=headers) as response:
        return response.status


async def test_nothing_is_delivered_after_a_revocation_was_answered(guarded: Rest) -> None:
    """Events that happen right behind it go to nobody whose token it took."""
    admin = caller(guarded)
    session_id = await admin.new_session()
    sockets = AsyncExitStack()
    async with sockets:
        watching = []
        for _ in range(5):
            socket = await sockets.enter_async_context(
                web_socket(guarded.url, **bearer(sessions=[session_id], jti="t1"))
            )
            await socket.ask("subscribe_session", sessionId=session_id)
            watching.append(socket)
        opening = [
            asyncio.create_task(admin.call("POST", f"/sessions/{session_id}/trades", ORDER))
            for _ in range(20)
        ]
        closing = all_closed(*watching)
        document = await revoke(guarded, jti="t1")
        after = await admin.open_trade(session_id)
        await asyncio.gather(*opening)
        assert await closing == 5 * [4500]
        for socket in watching:
            seen = [m["data"]["tradeId"] for m in socket.messages("trade_opened")]
            assert after["tradeId"] not in seen
    assert document["jti"] == "t1"


async def test_an_admin_sees_all_connections_and_kicks_one(guarded: Rest) -> None:
    admin = caller(guarded)
    async with (
        web_socket(guarded.url, **bearer()) as socket,
        web_socket(guarded.url, **bearer()) as other,
        web_socket(guarded.url),
    ):
        kicked = (await socket.ask("subscribe_prices", symbols=["A"]))["connectionId"]
        _, document = await admin.call("GET", "/connections")
        listed = {each["connectionId"]: each for each in document["connections"]}
        assert sorted(each["sub"] or "" for each in listed.values()) == ["", "asha", "asha"]
        assert listed[kicked].keys() == {"connectionId", "sub", "address"}
        assert listed[kicked]["address"].startswith("127.0.0.1:")
        closing = all_closed(socket)
        assert (await admin.call("POST", f"/connections/{kicked}/kick"))[0] == 204
        assert await closing == [4503]
        assert (await other.ask("ping"))["type"] == "pong"
        assert (await admin.call("POST", f"/connections/{kicked}/kick"))[0] == 404


async def test_without_a_key_nothing_is_revoked_and_nobody_kicked(server: Rest) -> None:
    assert (await server.call("POST", "/revocations", {"sub": "asha"}))[0] == 409
    async with web_socket(server.url) as socket:
        connection_id = (await socket.ask("subscribe_prices", symbols=["A"]))["connectionId"]
        assert (await server.call("POST", f"/connections/{connection_id}/kick"))[0] == 409
        _, document = await server.call("GET", "/connections")
        assert [each["sub"] for each in document["connections"]] == [None]


async def test_a_long_answer_is_cut_off_once_its_token_is_revoked(
    guarded: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = [{"symbol": f"SYMBOL{number}", "price": 1} for number in range(1000)]
    assert (await caller(guarded, role="feed").call("POST", "/ticks", ticks))[0] == 200
    turns, next_turn = 0, LongAnswers.next_turn

    async def revoke_between_parts(self: LongAnswers) -> None:
        nonlocal turns
        await next_turn(self)
        turns += 1
        if turns == OF_ENCODING + 2:
            await revoke(guarded, jti="t1")

    monkeypatch.setattr(LongAnswers, "next_turn", revoke_between_parts)
    url = f"{guarded.url}{API}/prices"
    async with guarded.http.get(url, headers=bearer(jti="t1")) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert turns == OF_ENCODING + 2
