"""Limits on what the tokens of one subject, or bad ones from one address, may do."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream, web_socket
from tests.kit.waiting import until
from tests.web.guarded import KEY, bearer, caller, post, ticket, token
from vyomo_rt.clockwork import wall_now

NOW_S = wall_now() // 1000


def good(**claims: object) -> dict[str, str]:
    return bearer(iat=NOW_S, exp=NOW_S + 3600, **claims)


async def test_a_subject_may_make_so_many_calls_and_refused_ones_count(
    make_settings: MakeSettings,
) -> None:
    """A 429 takes nothing, so somebody who waits as long as it says is served."""
    settings = make_settings(auth_key=KEY, calls_per_s=1, call_burst=6)
    async with serve_here(settings) as rest:
        asha, ravi = (
            caller(rest, sub=sub, iat=NOW_S, exp=NOW_S + 3600, role="trader")
            for sub in ("asha", "ravi")
        )
        began_s, served = time.monotonic(), 0
        statuses = [
            (await asha.call(method, path, body))[0]
            for method, path, body in (
                ("GET", "/me", None),
                ("GET", "/sessions/99", None),
                ("POST", "/sessions", {"startingCapital": -1}),
                ("POST", "/ticks", {}),
                ("GET", "/limits", None),
                ("GET", "/connections", None),
            )
        ]
        assert statuses == [200, 404, 400, 403, 200, 403]
        for _ in range(20):
            async with rest.http.get(f"{rest.url}{API}/me", headers=asha.headers) as response:
                problem = await response.json(content_type=None)
                if response.status == 200:  # a second has passed: the machine is busy
                    served += 1
                    continue
                assert (response.status, problem["code"]) == (429, "rate_limited")
                assert 0 < problem["retryAfterMs"] <= 1000
                assert response.headers["Retry-After"] == "1"
        assert served <= time.monotonic() - began_s
        assert (await ravi.call("GET", "/me"))[0] == 200
        async with rest.http.get(f"{rest.url}/livez", headers=asha.headers) as response:
            assert response.status == 200
        await until(lambda: is_served(asha))


async def is_served(who: Rest) -> bool:
    return (await who.call("GET", "/me"))[0] == 200


async def test_a_subject_may_have_so_many_streams_however_they_come_in(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(auth_key=KEY, max_connections_per_subject=3)
    async with serve_here(settings) as rest:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            first = await enter(web_socket(rest.url, **good()))
            await (await enter(event_stream(rest.url, "/sse/prices?symbols=A", **good()))).next()
            late = await enter(web_socket(rest.url))
            text = token(iat=NOW_S, exp=NOW_S + 3600)
            assert (await late.ask("auth", token=text))["type"] == "ack"
            assert (await late.ask("auth", token=text))["type"] == "ack", "it counts once"
            async with web_socket(rest.url, **good()) as socket:
                assert await socket.closed() == 4504
            async with web_socket(rest.url) as socket:
                await socket.send("auth", token=text)
                assert await socket.closed() == 4504
            async with event_stream(rest.url, "/sse/prices?symbols=A", **good()) as stream:
                error = await stream.next()
                assert (error["type"], error["code"]) == ("error", "limit_exceeded")
                assert await stream.read() is None
            async with web_socket(rest.url, **good(sub="ravi")) as socket:
                assert (await socket.ask("ping"))["type"] == "pong"
            await first.ws.close()
            await until(lambda: takes(rest))
        await until(lambda: takes(rest))


async def test_a_ticket_s_stream_takes_the_place_of_the_one_before_where_no_other_is_free(
    make_settings: MakeSettings,
) -> None:
    """A page whose network has changed comes back before its old connection is known to be dead."""
    settings = make_settings(auth_key=KEY, max_connections_per_subject=1)
    async with serve_here(settings) as rest:
        asha = caller(rest, sub="asha", iat=NOW_S, exp=NOW_S + 3600)
        url = f"/sse/prices?symbols=A&ticket={await ticket(asha, '/sse/prices', 'symbols=A')}"
        async with event_stream(rest.url, url) as first:
            assert (await first.next())["type"] == "ack"
            async with event_stream(rest.url, url) as second:
                assert (await second.next())["type"] == "ack"
                await first.ended()
                assert not await takes(rest, sub="asha"), "it counts as one"


async def takes(rest: Rest, **claims: object) -> bool:
    async with web_socket(rest.url, **good(**claims)) as socket:
        await socket.send("ping")
        return (await socket.ws.receive()).type is aiohttp.WSMsgType.TEXT


async def test_an_address_may_send_so_many_bad_tokens_and_good_ones_are_never_refused_for_them(
    make_settings: MakeSettings,
) -> None:
    """They count together, wherever they are tried; calls without any do not."""
    settings = make_settings(
        auth_key=KEY, failed_tokens_per_minute=4, trusted_proxy=("127.0.0.0/8",)
    )
    bad = {"Authorization": "Bearer x"}
    there = {"X-Forwarded-For": "203.0.113.7"}
    async with serve_here(settings) as rest:
        for _ in range(9):
            assert (await rest.call("GET", "/me"))[0] == 401
        assert (await rest.call("GET", "/me", **bad))[0] == 401
        assert (await post(rest, "/sign-in", {"token": "x"}))[0] == 401
        assert (await rest.call("GET", "/me", Authorization=good()["Authorization"] + "x"))[
            0
        ] == 401
        async with web_socket(rest.url) as socket:
            await socket.send("auth", token="x")
            assert await socket.closed() == 4500
        for _ in range(3):
            status, problem = await rest.call("GET", "/me", **bad)
            assert (status, problem["code"]) == (429, "rate_limited")
            assert 10_000 < problem["retryAfterMs"] <= 15_000
        assert (await post(rest, "/sign-in", {"ticket": "x"}))[0] == 429
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await rest.http.ws_connect(f"{rest.url}/ws/auto-trader", headers=bad)
        assert refused.value.status == 429
        async with web_socket(rest.url) as socket:
            assert (await socket.ask("auth", token="x"))["code"] == "rate_limited"
            assert await socket.closed() == 4500, "or it would wait for ever"
        with pytest.raises((aiohttp.ServerDisconnectedError, ConnectionError)):
            await rest.http.get(f"{rest.url}/sse/prices?symbols=A", headers=bad)
        assert (await rest.call("GET", "/me", **good()))[0] == 200
        assert (await rest.call("GET", "/me", **bad, **there))[0] == 401


async def test_the_limits_are_shown_to_everybody_who_may_enter(
    make_settings: MakeSettings,
) -> None:
    async with serve_here(make_settings(auth_key=KEY, messages_per_s=7)) as rest:
        assert (await rest.call("GET", "/limits"))[0] == 401
        _, shown = await rest.call("GET", "/limits", **good(role="feed"))
    assert shown == {
        "messagesPerS": 7,
        "messageBurst": 40,
        "maxMessageBytes": 65_536,
        "maxSymbols": 500,
        "maxConnections": 10_000,
        "maxConnectionsPerAddress": 200,
        "maxConnectionsPerSubject": 50,
        "acceptsPerS": 500,
        "failedTokensPerMinute": 30,
        "callsPerS": 50,
        "callBurst": 100,
        "maxOpenTrades": 1000,
    }
