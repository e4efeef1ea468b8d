"""Limits on what one client or one address may do, as it finds them."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from tests.kit.frames import RawWebSocket, frame, raw_socket, raw_websocket
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream, web_socket
from tests.kit.waiting import until
from vyomo_rt.web import reading

PING = b'{"type":"ping","id":%d}'


async def test_messages_beyond_the_pace_are_read_slower_and_none_is_dropped(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(messages_per_s=50, message_burst=10)
    async with serve_here(settings) as server, raw_websocket(server.url) as raw:
        begun_s = time.monotonic()
        await raw.send(b"".join(frame(PING % number) for number in range(40)))
        for number in range(40):
            assert (await raw.next("pong"))["id"] == number
        assert time.monotonic() - begun_s + 0.01 >= 0.6
        async with web_socket(server.url) as another:
            assert (await another.ask("ping"))["type"] == "pong"


async def test_pings_of_the_protocol_count_as_messages_and_keep_their_place(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(messages_per_s=50, message_burst=4)
    async with serve_here(settings) as server, raw_websocket(server.url) as raw:
        begun_s = time.monotonic()
        await raw.send((frame(b"x", opcode=9) + frame(PING % 1)) * 12 + frame(b"", opcode=2))
        answers = [(await raw.next_frame())[0] for _ in range(24)]
        assert answers == [10, 1] * 12
        assert time.monotonic() - begun_s + 0.01 >= 0.4
        assert await raw.close_code() == 1003, "what breaks a rule comes in its turn, too"


async def test_a_client_that_goes_on_too_fast_is_closed_with_4013_and_one_that_calms_down_is_not(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_HASTE_S", 1.0)
    settings = make_settings(
        messages_per_s=20, message_burst=5, ping_interval_s=0.3, pong_timeout_s=0.2
    )
    async with serve_here(settings) as server, AsyncExitStack() as stack:
        calm, hasty = [await stack.enter_async_context(raw_websocket(server.url)) for _ in range(2)]
        sent = b"".join(frame(PING % number) for number in range(1000))
        flooding = asyncio.create_task(hasty.send(sent * 200))
        stack.callback(flooding.cancel)
        calm_end, hasty_end = asyncio.create_task(end_of(calm)), asyncio.create_task(end_of(hasty))
        stack.callback(calm_end.cancel)
        for _ in range(3):
            await calm.send(sent[: 10 * len(frame(PING % 1))])
            await asyncio.sleep(0.6)
        code, answered = await hasty_end
        assert code == 4013, "and not because its pongs wait behind the rest"
        assert 5 < answered <= 60
        assert not calm_end.done()


async def end_of(raw: RawWebSocket) -> tuple[int, int]:
    """The close code, and how many texts came before it; it answers pings."""
    texts = 0
    while True:
        opcode, payload = await raw.next_frame()
        if opcode == 8:
            return int.from_bytes(payload[:2]), texts
        if opcode == 9:
            await raw.send(frame(payload, opcode=10))
        texts += opcode == 1


PROXY = {"trusted_proxy": ("127.0.0.0/8",), "max_connections_per_address": 3}
ADDRESSES = [
    ({"X-Forwarded-For": "6.6.6.%d, 203.0.113.7"}, {"X-Forwarded-For": "6.6.6.9, 203.0.113.8"}),
    ({"Forwarded": "for=6.6.6.%d, for=203.0.113.7"}, {"Forwarded": "for=203.0.113.8"}),
    ({"X-Forwarded-For": "2001:db8::%d"}, {"X-Forwarded-For": "2001:db8:0:1::1"}),
    ({"X-Forwarded-For": "nonsense %d"}, {"X-Forwarded-For": "203.0.113.8"}),
    (
        {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=6.6.6.%d"},
        {"X-Forwarded-For": "203.0.113.7"},
    ),
]
"""Headers of one client, whatever it makes up, and those of another."""


@pytest.mark.parametrize(("own", "others"), ADDRESSES)
async def test_an_address_has_so_many_connections_whatever_it_claims_to_be(
    make_settings: MakeSettings, own: dict[str, str], others: dict[str, str]
) -> None:
    """Counted are sockets, of a proxy's clients their streams: the next is told so and closed."""

    def spoofed(number: int) -> dict[str, str]:
        return {name: text.replace("%d", str(number)) for name, text in own.items()}

    async with serve_here(make_settings(**PROXY)) as server:
        async with AsyncExitStack() as stack:
            for number in range(3):
                await stack.enter_async_context(socket_of(server, spoofed(number)))
            assert await refusal_of_websocket(server, spoofed(4)) == 4504
            async with event_stream(server.url, "/sse/prices?symbols=A", **spoofed(5)) as stream:
                error = await stream.next()
                assert (error["type"], error["code"]) == ("error", "limit_exceeded")
                assert await stream.read() is None
            status, problem = await server.call("GET", "/sessions", **spoofed(6))
            assert (status, problem["code"], problem["retryAfterMs"]) == (429, "rate_limited", 1000)
            async with socket_of(server, others) as ws:
                await ws.send_str('{"type":"ping"}')
                assert json.loads(await ws.receive_str())["type"] == "pong"
            assert (await server.call("GET", "/sessions", **others))[0] == 200
            assert (await server.call("GET", "/sessions"))[0] == 200, "this machine has no limit"
        await until(lambda: takes(server, spoofed(7)))


async def test_without_a_trusted_proxy_its_headers_mean_nothing(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(max_connections_per_address=1)
    async with serve_here(settings) as server, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(socket_of(server, {"X-Forwarded-For": "203.0.113.7"}))
        assert await takes(server, {"X-Forwarded-For": "203.0.113.7"})


async def test_a_direct_clients_sockets_count_from_the_moment_they_are_accepted(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(host="0.0.0.0", allow_open=True, max_connections_per_address=3)
    async with serve_here(settings) as here:
        server = Rest(here.url.replace("127.0.0.1", own_address()), here.http)
        async with AsyncExitStack() as stack:
            silent = [await stack.enter_async_context(raw_socket(server.url)) for _ in range(2)]
            await stack.enter_async_context(socket_of(server, {}))
            assert await refusal_of_websocket(server, {}) == 4504
            refused = [await stack.enter_async_context(raw_socket(server.url)) for _ in range(3)]
            async with raw_socket(server.url) as dropped:
                assert await dropped.rest() == b"", "not even that is told without end"
            await refused[0].send(
                b"GET /api/auto-trader/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            assert (await refused[0].answer())[1]["code"] == "rate_limited"
            assert await refused[0].rest() == b""
            await silent[0].send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await silent[0].answer())[0] == 200, "it came in time"
            assert (await here.call("GET", "/sessions"))[0] == 200
        await until(lambda: takes(server, {}))


def own_address() -> str:
    """An address of this machine that is not loopback; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("203.0.113.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(sock.getsockname()[0])


async def test_connections_are_accepted_at_a_pace_after_a_first_few(
    make_settings: MakeSettings,
) -> None:
    async with serve_here(make_settings(accepts_per_s=40)) as server, AsyncExitStack() as stack:
        begun_s = time.monotonic()
        await asyncio.gather(
            *(stack.enter_async_context(raw_websocket(server.url)) for _ in range(23))
        )
        assert time.monotonic() - begun_s + 0.01 >= 0.5


@asynccontextmanager
async def socket_of(
    server: Rest, headers: dict[str, str]
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with server.http.ws_connect(f"{server.url}/ws/auto-trader", headers=headers) as ws:
        yield ws


async def refusal_of_websocket(server: Rest, headers: dict[str, str]) -> int | None:
    async with socket_of(server, headers) as ws:
        await ws.receive()
        return ws.close_code


async def takes(server: Rest, headers: dict[str, str]) -> bool:
    async with socket_of(server, headers) as ws:
        await ws.send_str('{"type":"ping"}')
        return (await ws.receive()).type is aiohttp.WSMsgType.TEXT
