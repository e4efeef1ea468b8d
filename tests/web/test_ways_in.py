"""With a key callers need a token: where it may be, and what is answered without a good one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.rest import API, Rest
from tests.kit.streams import event_stream, web_socket
from tests.web.guarded import NOW_S, bearer
from vyomo_rt.domain.moment import iso

PATH = "/api/auto-trader/sessions"


async def problem(rest: Rest, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
    async with rest.http.get(rest.url + path, headers=headers) as response:
        if response.status == 401:
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert response.headers["Cache-Control"] == "no-store"
        return response.status, await response.json(content_type=None)


async def test_a_call_without_a_token_is_401_with_the_way_to_send_one(guarded: Rest) -> None:
    for path in (PATH, "/sse/prices?symbols=A", f"{API}/me"):
        status, said = await problem(guarded, path)
        assert (status, said["code"], said["field"]) == (401, "unauthorized", "Authorization")
        assert "Authorization: Bearer" in said["detail"]


async def test_what_anybody_may_see_needs_no_token(guarded: Rest) -> None:
    for path in ("/", "/livez", "/readyz", "/metrics", "/api/openapi.json", "/static/vyomo-rt.js"):
        async with guarded.http.get(guarded.url + path) as response:
            assert response.status == 200, path


@pytest.mark.parametrize("value", ["Bearer", "Bearer  ", "Basic dTpw", "x.y.z", "Bearer x.y.z"])
async def test_a_bad_bearer_is_401_with_the_reason(guarded: Rest, value: str) -> None:
    status, said = await problem(guarded, PATH, Authorization=value)
    assert (status, said["code"]) == (401, "unauthorized")
    assert "x.y.z" not in said["detail"]


async def test_a_bearer_is_good_for_rest_sse_and_the_websocket(guarded: Rest) -> None:
    for role in ("viewer", "trader", "admin"):
        assert (await problem(guarded, PATH, **bearer(role=role)))[0] == 200
    async with event_stream(guarded.url, "/sse/prices?symbols=A", **bearer()) as stream:
        assert (await stream.next())["type"] == "ack"
    async with web_socket(guarded.url, **bearer()) as socket:
        assert (await socket.ask("ping"))["type"] == "pong"


async def test_me_says_what_the_token_says(guarded: Rest) -> None:
    status, said = await problem(guarded, f"{API}/me", **bearer(role="trader", sessions=[7, 6]))
    until = iso((NOW_S + 3600) * 1000)
    assert status == 200
    assert said == {"sub": "asha", "role": "trader", "sessions": [6, 7], "expiresAt": until}


async def test_the_token_comes_before_the_role_and_that_before_everything_else(
    guarded: Rest,
) -> None:
    async def asked(body: bytes, **headers: str) -> int:
        url = f"{guarded.url}{API}/sessions/999/trades?typo=1"
        async with guarded.http.post(url, data=body, headers=headers) as response:
            return response.status

    assert await asked(b"{") == 401
    assert await asked(b"{", **bearer(role="viewer")) == 403
    assert await asked(b"{", **bearer(role="trader")) == 404
    assert await asked(b"{", **bearer(role="admin")) == 400


async def test_too_many_parameters_are_refused_only_to_who_may_call(guarded: Rest) -> None:
    many = "&".join(f"a{number}=1" for number in range(1001))
    for path in (f"{API}/prices?{many}", f"/sse/prices?symbols=A&{many}"):
        assert (await problem(guarded, path))[0] == 401
        assert (await problem(guarded, path, **bearer(role="feed")))[0] == 403
        assert (await problem(guarded, path, **bearer()))[0] == 400


async def test_without_a_key_bearers_are_ignored_and_everybody_is_an_admin(server: Rest) -> None:
    nobody = {"sub": None, "role": "admin", "sessions": "*", "expiresAt": None}
    for headers in ({}, {"Authorization": "Bearer rubbish"}, bearer(role="viewer")):
        assert await problem(server, f"{API}/me", **headers) == (200, nobody)


async def test_with_a_key_any_name_is_served_but_only_own_pages_are(guarded: Rest) -> None:
    assert (await problem(guarded, PATH, Host="trade.example", **bearer()))[0] == 200
    own = {"Host": "trade.example", "Origin": "https://trade.example"}
    assert (await problem(guarded, PATH, **own, **bearer()))[0] == 200
    for origin in ("http://localhost:3000", "https://evil.example", "null"):
        status, said = await problem(guarded, PATH, Origin=origin, **bearer())
        assert (status, said["field"]) == (403, "Origin"), origin
