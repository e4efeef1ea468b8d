"""A refusal that stands ends the stream with the server's words; one that passes is waited out."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.client.rig import (
    ACK,
    PRICE,
    RESUMED,
    answering,
    closing_with,
    event_stream,
    status,
    take,
)  # fmt: skip
from tests.kit.proxy import proxy_before
from tests.kit.rest import Rest
from tests.kit.waiting import PATIENCE_S, until
from vyomo_rt_client import Message, Refused, Status, Stream, connect
from vyomo_rt_client.stream import Choice

pytestmark = pytest.mark.asyncio(loop_scope="session")
NOBODYS = 999_999_999
"""A session that none of the tests on the same server makes."""


async def first_wait(url: str, transport: Choice, **options: Any) -> Status:
    """The first status that says that, and how long, it waits."""
    waits: list[Status] = []

    def note(status: Status) -> None:
        if status.state == "waiting":
            waits.append(status)

    async with connect(
        url, symbols=["A"], transport=transport, on_status=note, **options
    ) as stream:
        reading = asyncio.create_task(take(stream, "never"))
        await until(lambda: waits)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await reading
    return waits[0]


@pytest.mark.parametrize("choice", ["auto", "ws", "sse"])
@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"session_id": NOBODYS}, "not_found", f"session {NOBODYS} not found"),
        ({"session_id": 0}, "bad_request", "sessionId"),
        ({"symbols": ["NIFTY", "?"]}, "bad_request", "symbols"),
        ({"symbols": ["A"], "price_interval_ms": "soon"}, "bad_request", "priceInterval"),
    ],
)
async def test_a_refusal_is_raised_in_the_words_of_the_server(
    server: Rest, choice: Choice, options: dict[str, Any], code: str, message: str
) -> None:
    stream = connect(server.url, transport=choice, **options)
    with pytest.raises(Refused, match=message) as raised:
        async for _ in stream:
            pass
    assert raised.value.code == code
    assert raised.value.status == (None if choice != "sse" else 404 if code == "not_found" else 400)
    assert stream.status.state == "closed"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.parametrize("code", [1003, 1007, 1009, 4500, 4503, 4509])
async def test_a_final_close_code_is_raised(code: int) -> None:
    async with answering(closing_with(code, ACK, PRICE)) as url:
        stream = connect(url, symbols=["A"])
        assert (await anext(stream)).data["price"] == 100
        with pytest.raises(Refused, match="because of a reason") as raised:
            await anext(stream)
        assert raised.value.close_code == code


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1011, 4008, 4012, 4504])
async def test_another_close_code_is_waited_out_with_back_off(code: int) -> None:
    async with answering(closing_with(code, ACK)) as url:
        status = await first_wait(url, "ws")
    assert status.detail == "because of a reason"
    assert status.delay_s is not None
    assert 0 <= status.delay_s <= 1


async def test_what_is_no_vyomo_rt_server_is_said_to_be_none(server: Rest) -> None:
    page = status(200, text="<html>", content_type="text/html")
    async with answering(page) as url:
        with pytest.raises(Refused, match="text/html instead of an event stream: is this a"):
            await anext(connect(url, symbols=["A"], transport="sse"))
    with pytest.raises(Refused, match="there is nothing at /wrong/sse/auto-trader"):
        await anext(connect(f"{server.url}/wrong", symbols=["A"], transport="sse"))
    with pytest.raises(Refused, match="HTTP 404 instead of a WebSocket"):
        await anext(connect(f"{server.url}/wrong", symbols=["A"], transport="ws"))
    async with answering(event_stream({"type": "ack"} | ACK, {"no": "type"}, retry_ms=1)) as url:
        assert "not a message of a vyomo-rt server" in (await first_wait(url, "sse")).detail


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("choice", ["auto", "ws"])
async def test_a_refusal_of_a_websocket_that_stands_is_raised_though_one_was_open(
    code: int, choice: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vyomo_rt_client.stream._BACK_OFF_S", 0.01)
    handlers = iter([closing_with(1000, ACK, PRICE), *[status(code)] * 9])

    async def handler(request: web.Request) -> web.StreamResponse:
        return await next(handlers)(request)

    async with answering(handler) as url:
        stream = connect(url, symbols=["A"], transport=choice)
        assert (await anext(stream)).type == "price_update"
        with pytest.raises(Refused, match=f"HTTP {code}") as raised:
            async with asyncio.timeout(PATIENCE_S):
                await anext(stream)
    assert raised.value.status == code


@pytest.mark.parametrize("code", [503, 502, 429, 500])
async def test_a_status_that_passes_is_waited_out_as_long_as_it_says_at_least(
    code: int, transport: Choice
) -> None:
    async with answering(status(code, headers={"Retry-After": "7"})) as url:
        waiting = await first_wait(url, transport)
    assert f"HTTP {code}" in waiting.detail
    assert waiting.delay_s is not None
    assert 7 < waiting.delay_s <= 8


async def test_an_error_that_passes_is_waited_out_as_long_as_it_says_at_least(
    transport: Choice,
) -> None:
    error = {"type": "error", "message": "busy", "code": "unavailable", "retryAfterMs": 2500}
    async with answering(closing_with(1000, error), event_stream(error)) as url:
        waiting = await first_wait(url, transport)
    assert waiting.detail == "busy"
    assert waiting.delay_s is not None
    assert 2.5 < waiting.delay_s <= 3.5


async def test_a_server_that_names_no_time_to_wait_is_not_stormed(
    transport: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vyomo_rt_client.stream.random.uniform", lambda _, high: high)
    waits: list[Status] = []
    async with (
        answering(status(503, headers={"Retry-After": "0"})) as url,
        connect(url, symbols=["A"], transport=transport, on_status=waits.append) as stream,
    ):
        with pytest.raises(TimeoutError):
            await take(stream, "never", within_s=1.5)
    assert [s.delay_s for s in waits if s.state == "waiting"] == [1, 2]


async def test_too_many_connections_pass(transport: Choice) -> None:
    error = {"type": "error", "message": "too many connections", "code": "limit_exceeded"}
    async with answering(closing_with(4504), event_stream(error, retry_ms=100)) as url:
        assert (await first_wait(url, transport)).state == "waiting"


async def test_a_server_that_shuts_down_says_when_to_come_back(transport: Choice) -> None:
    shutdown = {"type": "server_shutdown", "data": {"reconnectAfterMs": 3984}}
    async with answering(closing_with(4001, ACK, shutdown), event_stream(ACK, shutdown)) as url:
        waiting = await first_wait(url, transport)
    assert (waiting.detail, waiting.delay_s) == ("the server shuts down", 3.984)


async def test_a_busy_server_is_no_reason_to_leave_the_websocket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vyomo_rt_client.stream._BACK_OFF_S", 0.01)
    waits: list[Status] = []
    async with (
        answering(closing_with(4504), status(500)) as url,
        connect(url, symbols=["A"], on_status=waits.append) as stream,
    ):
        reading = asyncio.create_task(take(stream, "never"))
        await until(lambda: len(waits) > 8)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await reading
    assert {waiting.transport for waiting in waits} == {"ws"}


async def test_an_event_stream_is_not_come_back_to_earlier_than_it_says() -> None:
    async with answering(event_stream(ACK, retry_ms=4321)) as url:
        delay_s = (await first_wait(url, "sse")).delay_s
    assert delay_s is not None
    assert 4.321 < delay_s <= 5.321


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest of each back-off; in fact it does not wait."""
    most: list[float] = []

    def uniform(low: float, high: float) -> float:
        assert low == 0
        most.append(high)
        return 0.0

    monkeypatch.setattr("vyomo_rt_client.stream.random.uniform", uniform)
    return most


async def read_until_attempts(most: list[float], count: int, url: str) -> None:
    async with connect(url, symbols=["A"]) as stream:
        reading = asyncio.create_task(take(stream, "never"))
        await until(lambda: len(most) >= count)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await reading


async def test_the_back_off_grows_to_ten_seconds(most: list[float], unused_tcp_port: int) -> None:
    await read_until_attempts(most, 7, f"http://127.0.0.1:{unused_tcp_port}")
    assert most[:7] == [1, 2, 4, 8, 10, 10, 10]


async def test_the_back_off_begins_anew_after_a_connection_that_held_and_no_other(
    most: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(closing_with(1000, ACK)) as url:
        await read_until_attempts(most, 3, url)
        assert most[:3] == [1, 2, 4]
        most.clear()
        monkeypatch.setattr("vyomo_rt_client.stream._STEADY_S", 0)
        await read_until_attempts(most, 3, url)
        assert most[:3] == [1, 1, 1]


async def test_prices_go_on_while_a_session_is_refused_for_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vyomo_rt_client.stream._BACK_OFF_S", 0.01)
    connections = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal connections
        connections += 1
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        asked = 0
        async for text in ws:
            command = json.loads(text.data)
            if command["type"] == "subscribe_prices":
                await ws.send_json(ACK | {"id": command["id"]})
                await ws.send_json(PRICE)
                continue
            asked += 1
            assert (command["sessionId"], command["since"]) == (6, 10)
            if asked <= 2:
                await ws.send_json(
                    {"type": "error", "message": "the store is away", "code": "unavailable",
                     "retryAfterMs": 50, "id": command["id"]}
                )  # fmt: skip
                await ws.send_json(PRICE)
            else:
                await ws.send_json(RESUMED | {"id": command["id"]})
                opened = {"type": "trade_opened", "data": {"sessionId": 6}, "seq": 11}
                await ws.send_json(opened)
        return ws

    states: list[Status] = []
    async with (
        answering(handler) as url,
        connect(
            url, session_id=6, symbols=["A"], since="6-10-e", transport="ws",
            on_status=states.append,
        ) as stream,
    ):  # fmt: skip
        seen: list[Message] = []
        while not seen or seen[-1].type != "trade_opened":
            async with asyncio.timeout(PATIENCE_S):
                seen.append(await anext(stream))
    assert [message.type for message in seen] == ["price_update"] * 3 + ["trade_opened"]
    assert seen[-1].seq == 11
    assert connections == 1
    assert [status.state for status in states[:3]] == ["connecting", "waiting", "open"]


async def test_what_the_status_callback_raises_ends_the_iteration(server: Rest) -> None:
    def stop(status: Status) -> None:
        if status.state == "open":
            raise LookupError

    async with aiohttp.ClientSession() as http:
        with pytest.raises(LookupError):
            async for _ in connect(server.url, symbols=["A"], session=http, on_status=stop):
                pass
        assert http.connector is not None
        await until(lambda: not http.connector._acquired)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"limit": 2}, r"allows 2 connections \(TCPConnector\(limit=…\)\), and all are in use"),
        ({"limit_per_host": 2}, r"2 connections to a server \(TCPConnector\(limit_per_host=…\)\)"),
    ],
)
async def test_a_full_aiohttp_session_is_named_at_once(
    server: Rest, transport: Choice, limits: dict[str, Any], named: str
) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(**limits)) as http,
        connect(server.url, symbols=["A"], session=http) as one,
        connect(server.url, symbols=["A"], session=http, transport="sse") as other,
    ):
        await server.tick("A", 1)
        for stream in (one, other):
            await take(stream, "price_update")
        states: list[Status] = []
        third = connect(
            server.url, symbols=["A"], session=http, transport=transport, on_status=states.append
        )
        with pytest.raises(Refused, match=named):
            await anext(third)
        assert [status.state for status in states] == ["connecting", "closed"]
        await one.aclose()
        async with connect(server.url, symbols=["A"], session=http) as fourth:
            await take(fourth, "price_update")


async def test_a_stream_that_was_open_waits_for_a_full_aiohttp_session(
    server: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vyomo_rt_client.stream._BACK_OFF_MAX_S", 0.05)
    states: list[Status] = []

    async def only_other() -> Stream:
        """Another stream in the place of the first one, which is not let in meanwhile."""
        while True:
            other = connect(server.url, symbols=["A"], session=http)
            with suppress(Refused):
                await take(other, "price_update")
                return other

    async with (
        proxy_before(server.url) as proxy,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http,
        connect(proxy.url, symbols=["A"], session=http, on_status=states.append) as stream,
    ):
        await server.tick("A", 1)
        await take(stream, "price_update")
        reading = asyncio.create_task(take(stream, "never"))
        proxy.refuses_websockets = True
        proxy.drop()
        async with await only_other():
            proxy.refuses_websockets = False
            await until(lambda: any("allows 1 connections" in each.detail for each in states))
            assert {status.transport for status in states} == {"ws"}
        await until(lambda: states[-1].state == "open")
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await reading


async def test_a_connection_that_ends_while_a_command_is_sent_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def reset(*_: object, **__: object) -> None:
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(aiohttp.ClientWebSocketResponse, "send_json", reset)
    async with answering(closing_with(1000)) as url:
        assert (await first_wait(url, "ws")).detail == "the connection ended"
