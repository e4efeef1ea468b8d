"""Programs say who they are by a token, and get the next one before and after it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.access.signing import KEY, token
from tests.client.rig import ACK, PRICE, answering, calls_to, closing_with, event_stream, take
from tests.kit.server import MakeSettings, serve_here
from vyomo_rt_client import Api, ApiError, Refused, Stream, connect
from vyomo_rt_client.stream import Choice

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("quick")]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
EXPIRING = {"type": "token_expiring", "data": {"expiresAt": "2026-11-24T10:00:00.000Z"}}
ENDED = {"type": "error", "code": "unauthorized", "message": "the token has expired"}


class Source:
    """Gives the next of some tokens at each call, and the last one from then on."""

    def __init__(self, *tokens: str | Exception) -> None:
        self._tokens = list(tokens)
        self.calls = 0
        self._asked = False

    async def __call__(self) -> str:
        assert not self._asked, "one at a time"
        self._asked = True
        await asyncio.sleep(0)
        self._asked = False
        self.calls += 1
        found = self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]
        if isinstance(found, Exception):
            raise found
        return found


class Door:
    """A server's door: refuses all tokens but one, and notes what it was shown."""

    def __init__(self, good: str, then: Handler) -> None:
        self.good = good
        self.shown: list[str] = []
        self._then = then

    async def enter(self, request: web.Request) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.shown.append(shown)
        if shown == self.good:
            return await self._then(request)
        problem = {"code": "unauthorized", "detail": "the token has expired", "status": 401}
        return web.json_response(problem, status=401, content_type="application/problem+json")


async def open_socket(request: web.Request) -> web.StreamResponse:
    """Answers, sends a price, and stays."""
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    for message in (ACK, PRICE):
        await ws.send_json(message)
    await ws.receive()
    await ws.close()
    return ws


def answers(choice: Choice) -> Handler:
    return open_socket if choice == "ws" else event_stream(ACK, PRICE)


@asynccontextmanager
async def streaming(
    server: Handler, transport: Choice, source: str | Source
) -> AsyncIterator[Stream]:
    async with (
        answering(server) as url,
        connect(url, symbols=["A"], transport=transport, token=source) as stream,
    ):
        yield stream


async def test_a_program_with_a_token_is_let_in_on_every_way(
    make_settings: MakeSettings, transport: Choice
) -> None:
    now_s = int(time.time())
    trader = token(iat=now_s, exp=now_s + 600, role="trader")
    async with (
        serve_here(make_settings(auth_key=KEY)) as rest,
        Api(rest.url, token=trader) as api,
    ):
        session = await api.create_session(50000)
        followed = session["sessionId"]
        async with connect(
            rest.url, session_id=followed, transport=transport, token=trader
        ) as stream:
            assert (await take(stream, "session_update")).data["sessionId"] == followed
        with pytest.raises(Refused) as refused:
            await anext(connect(rest.url, session_id=followed, transport=transport))
        assert refused.value.status == 401 or refused.value.code == "unauthorized"
        async with Api(rest.url) as stranger:
            with pytest.raises(ApiError) as failed:
                await stranger.show_session(followed)
            assert failed.value.code == "unauthorized"


async def test_a_refused_token_is_replaced_by_the_next_one(transport: Choice) -> None:
    door, source = Door("good", answers(transport)), Source("old", "good")
    async with streaming(door.enter, transport, source) as stream:
        await take(stream, "price_update")
    assert door.shown[:2] == ["old", "good"]
    assert source.calls == 2


async def test_a_token_that_stays_is_shown_once_and_refused_in_the_servers_words(
    transport: Choice,
) -> None:
    for source in ("old", Source("old")):
        door = Door("good", answers(transport))
        async with answering(door.enter) as url:
            stream = connect(url, symbols=["A"], transport=transport, token=source)
            with pytest.raises(Refused):
                await anext(stream)
            assert stream.status.state == "closed"
        assert door.shown == ["old"]


async def test_an_empty_token_ends_the_stream_without_a_connection(transport: Choice) -> None:
    door = Door("good", answers(transport))
    async with answering(door.enter) as url:
        with pytest.raises(Refused, match="no longer allowed"):
            await anext(connect(url, symbols=["A"], transport=transport, token=Source("")))
    assert door.shown == []


async def test_after_the_end_of_a_token_the_stream_goes_on_with_another() -> None:
    sockets = [closing_with(4005, ACK, PRICE), open_socket]

    async def server(request: web.Request) -> web.StreamResponse:
        shown.append(request.headers["Authorization"])
        return await sockets[len(shown) - 1](request)

    shown: list[str] = []
    async with streaming(server, "ws", Source("a", "b")) as stream:
        for _ in range(2):
            await take(stream, "price_update")
    assert shown == ["Bearer a", "Bearer b"]


async def test_a_stream_of_events_whose_token_ended_is_opened_with_another() -> None:
    texts = [event_stream(ACK, PRICE, ENDED), event_stream(ACK, PRICE)]

    async def server(request: web.Request) -> web.StreamResponse:
        shown.append(request.headers["Authorization"])
        return await texts[len(shown) - 1](request)

    shown: list[str] = []
    async with streaming(server, "sse", Source("a", "b")) as stream:
        for _ in range(2):
            await take(stream, "price_update")
    assert shown == ["Bearer a", "Bearer b"]


async def test_a_fixed_token_that_has_ended_ends_the_stream() -> None:
    async with streaming(closing_with(4005, ACK, PRICE), "ws", "a") as stream:
        await take(stream, "price_update")
        with pytest.raises(Refused) as refused:
            await take(stream, "never")
    assert refused.value.close_code == 4005


async def test_before_its_token_ends_a_socket_goes_on_with_the_next_one() -> None:
    told: list[dict[str, Any]] = []

    async def server(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        for message in (ACK, EXPIRING):
            await ws.send_json(message)
        while "auth" not in [message["type"] for message in told]:
            told.append(await ws.receive_json())
        await ws.send_json({**ACK, "id": "auth"})
        await ws.send_json(PRICE)
        await ws.receive()
        return ws

    async with streaming(server, "ws", Source("a", "b")) as stream:
        assert (await take(stream, "token_expiring", "price_update")).type == "token_expiring"
        await take(stream, "price_update")
    assert told[-1] == {"type": "auth", "id": "auth", "token": "b"}


async def test_whoever_gets_no_next_token_is_out_before_the_old_one_ends() -> None:
    async with streaming(closing_after_leaving(ACK, EXPIRING), "ws", Source("a", "")) as stream:
        await take(stream, "token_expiring")
        with pytest.raises(Refused, match="no longer allowed"):
            await take(stream, "never")


def closing_after_leaving(*messages: dict[str, Any]) -> Handler:
    async def server(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        for message in messages:
            await ws.send_json(message)
        async for _ in ws:
            pass
        return ws

    return server


async def test_a_source_that_fails_for_now_is_asked_again(transport: Choice) -> None:
    door, source = Door("good", answers(transport)), Source(OSError("no network"), "good")
    async with streaming(door.enter, transport, source) as stream:
        await take(stream, "price_update")
    assert door.shown[0] == "good"


async def test_a_call_whose_token_is_refused_is_made_once_more_with_another() -> None:
    async def prices(_: web.Request) -> web.StreamResponse:
        return web.json_response({"prices": []})

    door, source = Door("good", prices), Source("old", "good")
    async with calls_to(door.enter) as url, Api(url, token=source) as api:
        await asyncio.gather(api.list_prices(), api.list_prices())
        assert source.calls == 2, "two calls that are refused together ask for one token"
        door.good = "another"
        with pytest.raises(ApiError, match="has expired") as failed:
            await api.list_prices()
    assert (failed.value.status, failed.value.code) == (401, "unauthorized")
    assert door.shown.count("good") == 3


async def test_an_empty_token_is_refused_before_a_call_is_made() -> None:
    door = Door("good", open_socket)
    async with calls_to(door.enter) as url, Api(url, token=Source("")) as api:
        with pytest.raises(ApiError, match="no longer allowed") as failed:
            await api.list_prices()
    assert (failed.value.status, door.shown) == (401, [])


async def test_a_call_that_comes_too_often_waits_as_long_as_the_server_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [
        web.json_response(
            {"code": "rate_limited", "detail": "too many", "retryAfterMs": 30},
            status=429,
            content_type="application/problem+json",
            headers={"Retry-After": "1"},
        ),
        web.json_response({"prices": []}),
    ]
    slept: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)
        await real_sleep(0)

    async def server(_: web.Request) -> web.StreamResponse:
        return answers.pop(0)

    monkeypatch.setattr("vyomo_rt_client.calls.random.uniform", lambda *_: 0)
    async with calls_to(server) as url, Api(url) as api:
        monkeypatch.setattr("vyomo_rt_client.calls.asyncio.sleep", sleep)
        assert await api.list_prices() == []
    assert 0.03 in slept


async def test_an_empty_text_is_no_token() -> None:
    for make in (lambda: connect("http://h", symbols=["A"], token=""), lambda: Api("h", token="")):
        with pytest.raises(ValueError, match="token"):
            make()
