"""Tickets: what opens a stream where no header can be sent."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream
from tests.kit.waiting import PATIENCE_S
from tests.web.calls import Clock
from tests.web.guarded import KEY, NOW_S, bearer, caller, ticket
from vyomo_rt.domain.moment import iso

PRICES = "/sse/prices"
WS = "/ws/auto-trader"


async def status_of(rest: Rest, path: str, **headers: str) -> int:
    async with event_stream(rest.url, path, **headers) as stream:
        return stream.status


async def ws_status(rest: Rest, path: str = WS, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        async with rest.http.ws_connect(rest.url + path, headers=named):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def test_a_ticket_opens_a_websocket_once(guarded: Rest) -> None:
    text = await ticket(caller(guarded, role="viewer"), WS)
    used = await asyncio.gather(*(ws_status(guarded, f"{WS}?ticket={text}") for _ in range(5)))
    assert sorted(used) == [101, 401, 401, 401, 401]


async def test_a_ticket_reopens_exactly_its_stream_and_each_use_ends_the_one_before(
    guarded: Rest,
) -> None:
    text = await ticket(caller(guarded, role="viewer"), PRICES, "symbols=A,B&priceInterval=500")
    url = f"{PRICES}?symbols=A%2CB&priceInterval=500&ticket={text}"
    async with event_stream(guarded.url, url) as first:
        assert (await first.next("ack"))["result"]["symbols"] == ["A", "B"]
        assert await status_of(guarded, url, method="HEAD") == 200
        async with event_stream(guarded.url, f"{url}&lastEventId=1-2-x") as second:
            await first.ended()
            await second.next("ack")
            for other in (
                f"{PRICES}?symbols=A,B,C&priceInterval=500&ticket={text}",
                f"{PRICES}?symbols=A,B&ticket={text}",
                f"/sse/auto-trader?symbols=A,B&priceInterval=500&ticket={text}",
                f"{url}&ticket={text}",
                f"{PRICES}?symbols=A,B&priceInterval=500&ticket={text[:-1]}",
            ):
                assert await status_of(guarded, other) == 401, other
            assert await ws_status(guarded, f"{WS}?ticket={text}") == 401
            async with guarded.http.get(f"{guarded.url}/api/auto-trader/me?ticket={text}") as told:
                assert told.status == 401


async def test_a_ticket_is_to_be_used_soon_and_then_lasts_as_long_as_its_token(
    guarded: Rest, clock: Clock
) -> None:
    viewer = caller(guarded, role="viewer")
    late, early, once = [
        await ticket(viewer, PRICES, "symbols=A"),
        await ticket(viewer, PRICES, "symbols=A"),
        await ticket(viewer, WS),
    ]
    assert await status_of(guarded, f"{PRICES}?symbols=A&ticket={early}") == 200
    clock.now_ms += 30_000
    assert await status_of(guarded, f"{PRICES}?symbols=A&ticket={late}") == 401
    assert await ws_status(guarded, f"{WS}?ticket={once}") == 401
    clock.now_ms += 3_500_000
    assert await status_of(guarded, f"{PRICES}?symbols=A&ticket={early}") == 200
    clock.now_ms += 70_000
    assert await status_of(guarded, f"{PRICES}?symbols=A&ticket={early}") == 401


async def test_a_ticket_says_by_when_it_is_to_be_used(guarded: Rest, clock: Clock) -> None:
    viewer = caller(guarded, role="viewer")
    _, document = await viewer.call("POST", "/tickets", {"path": WS})
    assert document["expiresAt"] == iso(clock.now_ms + 30_000)
    clock.now_ms = (NOW_S + 3590) * 1000
    _, document = await viewer.call("POST", "/tickets", {"path": WS})
    assert document["expiresAt"] == iso((NOW_S + 3600) * 1000)


async def test_a_ticket_is_for_a_stream_and_made_of_a_bearer(guarded: Rest) -> None:
    viewer = caller(guarded, role="viewer")
    wrong: list[Any] = [
        {"path": "/api/auto-trader/sessions"}, {"path": "/sse/prices?symbols=A"}, {}, {"path": 5},
        {"path": "/", "query": "a=1"},
        {"path": "/sse/prices", "query": "?symbols=A"}, {"path": WS, "typo": 1},
    ]  # fmt: skip
    for body in wrong:
        assert (await viewer.call("POST", "/tickets", body))[0] == 400, body
    assert (await caller(guarded, role="feed").call("POST", "/tickets", {"path": WS}))[0] == 201


async def test_of_the_ways_in_the_first_counts_and_no_other_makes_a_bad_one_good(
    guarded: Rest,
) -> None:
    viewer = caller(guarded, role="viewer")
    url = f"{PRICES}?symbols=A&ticket="
    text = await ticket(viewer, PRICES, "symbols=A")
    assert await status_of(guarded, url + text, Authorization="Bearer bad") == 401
    assert await status_of(guarded, url + "bad", **viewer.headers) == 200
    once, bad = await ticket(viewer, WS), "vyomo-rt.v1, vyomo-rt.token.bad"
    assert await ws_status(guarded, f"{WS}?ticket={once}", Sec_WebSocket_Protocol=bad) == 401
    page = {"Cookie": "vyomo-rt=bad", "Sec_WebSocket_Protocol": bad}
    assert await ws_status(guarded, f"{WS}?ticket=bad", **page, **bearer()) == 101
    assert await ws_status(guarded, f"{WS}?ticket={once}", Cookie="vyomo-rt=bad") == 101
    assert await ws_status(guarded, WS, Cookie="vyomo-rt=bad") == 401


async def test_a_stream_s_ticket_survives_a_restart_and_one_for_once_does_not(
    make_settings: MakeSettings, clock: Clock
) -> None:
    settings = make_settings(auth_key=KEY)
    async with serve_here(settings, now=clock) as rest:
        viewer = caller(rest, role="viewer")
        text, unused = [await ticket(viewer, PRICES, "symbols=A") for _ in range(2)]
        once = await ticket(viewer, WS)
        assert await status_of(rest, f"{PRICES}?symbols=A&ticket={text}") == 200
        # The store hears of the use within a second, behind the request.
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.sleep(1.2)
    async with serve_here(settings, now=clock) as rest:
        assert await status_of(rest, f"{PRICES}?symbols=A&ticket={text}") == 200
        assert await status_of(rest, f"{PRICES}?symbols=A&ticket={unused}") == 401
        assert await ws_status(rest, f"{WS}?ticket={once}") == 401


async def test_the_store_has_no_ticket_but_its_hash(
    make_settings: MakeSettings, clock: Clock
) -> None:
    from vyomo_rt.store.client import connect, database_of  # noqa: PLC0415

    settings = make_settings(auth_key=KEY)
    async with serve_here(settings, now=clock) as rest:
        text = await ticket(caller(rest, role="viewer"), PRICES, "symbols=A")
        client = connect(settings.mongo_uri or "")
        entries = client[database_of(client) or ""]["entries"]
        (document,) = await entries.find({}).to_list(None)
        assert text not in str(document)
        assert document["path"] == PRICES
        client.close()


async def test_without_a_key_tickets_are_taken_and_ignored_and_none_are_made(server: Rest) -> None:
    assert await status_of(server, f"{PRICES}?symbols=A&ticket=rubbish") == 200
    assert await ws_status(server, f"{WS}?ticket=rubbish") == 101
    status, problem = await server.call("POST", "/tickets", {"path": WS})
    assert (status, problem["code"]) == (409, "conflict")
