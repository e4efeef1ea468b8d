"""A browser signs in and has a cookie, which no other site's page can use."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream, web_socket
from tests.web.calls import Clock
from tests.web.guarded import KEY, NOW_S, all_closed, caller, post, signed_in, ticket, token


async def test_a_sign_in_says_who_it_is_and_sets_a_cookie_for_this_site_only(guarded: Rest) -> None:
    status, said, cookies = await post(
        guarded, "/sign-in", {"token": token(role="trader", sessions=[6])}, Origin=guarded.url
    )
    assert status == 200
    assert (said["sub"], said["role"], said["sessions"]) == ("asha", "trader", [6])
    cookie = cookies["vyomo-rt"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert int(cookie["max-age"]) in (3599, 3600)
    assert not cookie["secure"]
    own = {"Origin": "https://trade.example", "Host": "trade.example"}
    _, _, cookies = await post(guarded, "/sign-in", {"token": token()}, **own)
    assert cookies["vyomo-rt"]["secure"]


async def test_the_cookie_is_good_for_rest_sse_and_the_websocket(guarded: Rest) -> None:
    page = await signed_in(guarded, role="trader")
    async with guarded.http.get(f"{guarded.url}{API}/me", headers=page) as response:
        assert (await response.json())["sub"] == "asha"
    async with event_stream(guarded.url, "/sse/prices?symbols=A", **page) as stream:
        await stream.next("ack")
    async with web_socket(guarded.url, **page) as socket:
        assert (await socket.ask("ping"))["type"] == "pong"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await guarded.http.ws_connect(f"{guarded.url}/ws/ingest", headers=page)
    assert refused.value.status == 401


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", "http://127.0.0.1:1"])
async def test_with_a_cookie_only_the_own_page_changes_something(
    guarded: Rest, origin: str | None
) -> None:
    page = await signed_in(guarded, role="trader")
    made = {"startingCapital": 5}
    assert (await post(guarded, "/sessions", made, **page))[0] == 201
    page.pop("Origin")
    if origin is not None:
        page["Origin"] = origin
    for path in ("/sessions", "/sign-out", "/sessions/1/trades"):
        status, problem, _ = await post(guarded, path, made, **page)
        assert (status, problem["field"]) == (403, "Origin"), path
    assert (await post(guarded, "/sessions", made, **page | caller(guarded).headers))[0] == (
        201 if origin is None else 403
    )
    async with guarded.http.get(f"{guarded.url}{API}/me", headers=page) as response:
        assert response.status == (200 if origin is None else 403)


async def test_another_site_signs_nobody_in(guarded: Rest) -> None:
    for origin in ("https://evil.example", "null"):
        status, _, cookies = await post(guarded, "/sign-in", {"token": token()}, Origin=origin)
        assert (status, len(cookies)) == (403, 0)


async def test_a_page_that_is_allowed_signs_nobody_in_either(
    make_settings: MakeSettings, clock: Clock
) -> None:
    settings = make_settings(auth_key=KEY, allowed_origins=("https://dash.example",))
    async with serve_here(settings, now=clock) as rest:
        status, problem, _ = await post(
            rest, "/sign-in", {"token": token()}, Origin="https://dash.example"
        )
        assert (status, problem["field"]) == (403, "Origin")


async def test_a_ticket_for_the_front_door_signs_in_once_and_opens_nothing_else(
    guarded: Rest,
) -> None:
    text = await ticket(caller(guarded, role="viewer"), "/")
    async with event_stream(guarded.url, f"/sse/prices?symbols=A&ticket={text}") as stream:
        assert stream.status == 401
    assert (await post(guarded, "/sign-in", {"ticket": text}))[0] == 200
    assert (await post(guarded, "/sign-in", {"ticket": text}))[0] == 401
    other = await ticket(caller(guarded, role="viewer"), "/ws/auto-trader")
    assert (await post(guarded, "/sign-in", {"ticket": other}))[0] == 401


async def test_a_bad_sign_in_is_401_and_sets_nothing(guarded: Rest, clock: Clock) -> None:
    for body, expected in (
        ({"token": "x"}, 401),
        ({"token": token(exp=NOW_S - 60)}, 401),
        ({"ticket": "x"}, 401),
        ({}, 400),
        ({"token": token(), "ticket": "x"}, 400),
    ):
        status, _, cookies = await post(guarded, "/sign-in", body)
        assert (status, len(cookies)) == (expected, 0), body
    clock.now_ms += 3_610_000
    assert (await post(guarded, "/sign-in", {"token": token()}))[0] == 401


async def test_a_sign_out_ends_the_cookie_and_everything_opened_with_it(guarded: Rest) -> None:
    page, other = await signed_in(guarded), await signed_in(guarded)
    async with (
        web_socket(guarded.url, **page) as socket,
        web_socket(guarded.url, **other) as bystander,
        event_stream(guarded.url, "/sse/prices?symbols=A", **page) as stream,
    ):
        await stream.next("ack")
        closing = all_closed(socket)
        status, _, cookies = await post(guarded, "/sign-out", **page)
        assert (status, cookies["vyomo-rt"]["max-age"]) == (204, "0")
        assert await closing == [4500]
        await stream.ended()
        assert (await bystander.ask("ping"))["type"] == "pong"
    async with guarded.http.get(f"{guarded.url}{API}/me", headers=page) as response:
        assert response.status == 401


async def test_a_sign_in_survives_a_restart_and_a_sign_out_does_too(
    make_settings: MakeSettings, clock: Clock
) -> None:
    settings = make_settings(auth_key=KEY)
    async with serve_here(settings, now=clock) as rest:
        page, gone = await signed_in(rest), await signed_in(rest)
        assert (await post(rest, "/sign-out", **gone))[0] == 204
    async with serve_here(settings, now=clock) as rest:
        for headers, expected in ((page, 200), (gone, 401)):
            named = {"Cookie": headers["Cookie"]}
            async with rest.http.get(f"{rest.url}{API}/me", headers=named) as response:
                assert response.status == expected


async def test_the_sign_in_ends_with_its_token(guarded: Rest, clock: Clock) -> None:
    page = await signed_in(guarded)
    clock.now_ms += 3_600_000
    async with guarded.http.get(f"{guarded.url}{API}/me", headers=page) as response:
        assert response.status == 401


async def test_a_ticket_is_not_made_of_a_cookie(guarded: Rest) -> None:
    page = await signed_in(guarded)
    assert (await post(guarded, "/tickets", {"path": "/"}, **page))[0] == 401


async def test_without_a_key_nobody_signs_in(server: Rest) -> None:
    assert (await post(server, "/sign-in", {"token": "x"}))[0] == 409
    assert (await post(server, "/sign-out"))[0] == 204


async def test_a_page_without_a_host_is_no_page_of_this_server(guarded: Rest) -> None:
    """HTTP/1.0 has no Host that could be compared with the Origin."""
    body = f'{{"token":"{token()}"}}'
    request = (
        f"POST {API}/sign-in HTTP/1.0\r\nOrigin: {guarded.url}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    where = urlsplit(guarded.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(request.encode())
    assert b" 403 " in await reader.readline()
    writer.close()
