"""Connections to ``/ws/ingest``: who may open one, what ends it, and what many do to others."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.kit.frames import frame, raw_websocket
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching, web_socket
from tests.kit.waiting import until
from tests.web.calls import As, Clock, tick
from tests.web.guarded import bearer, token
from tests.web.pushing import MIB, PATH, push, ticks
from vyomo_rt.app.server import running
from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.web.listening import bind_sockets
from vyomo_rt.wire.tick import MAX_FRAME_TICKS


async def test_only_a_handshake_of_one_who_may_push_is_accepted(
    server: Rest, make_settings: MakeSettings, act_as: As
) -> None:
    async with server.http.get(f"{server.url}{PATH}") as response:
        problem = await response.json(content_type=None)
        assert (response.status, problem["field"]) == (400, "Upgrade")
    for status, headers in (
        (403, {"Origin": "https://elsewhere.example"}),
        (421, {"Host": "elsewhere.example"}),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await server.http.ws_connect(f"{server.url}{PATH}", headers=headers)
        assert refused.value.status == status
    async with serve_here(make_settings(feed=("sim",))) as simulated:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await simulated.http.ws_connect(f"{simulated.url}{PATH}")
        assert refused.value.status == 409
    for role, may in ((Role.FEED, True), (Role.ADMIN, True), (Role.VIEWER, False)):
        act_as(Grant("somebody", role, None, None))
        if may:
            async with web_socket(server.url, PATH) as ws:
                assert (await push(ws, ticks("A")))["type"] == "ack"
        else:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await server.http.ws_connect(f"{server.url}{PATH}")
            assert refused.value.status == 403


async def test_with_a_key_a_feed_says_who_it_is_by_the_handshake_alone(
    guarded: Rest, clock: Clock
) -> None:
    async def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await guarded.http.ws_connect(f"{guarded.url}{PATH}", headers=named)
        return refused.value.status

    feed = bearer(role="feed")
    assert await status() == 401
    assert await status(**bearer(role="viewer")) == 403
    _, ticket = await guarded.call("POST", "/tickets", {"path": PATH}, **feed)
    offered = f"vyomo-rt.v1, vyomo-rt.token.{token(role='feed')}"
    for path, headers in (
        (PATH, feed),
        (PATH, {"Sec_WebSocket_Protocol": offered}),
        (f"{PATH}?ticket={ticket['ticket']}", {}),
    ):
        async with web_socket(guarded.url, path, **headers) as ws:
            assert (await push(ws, ticks("A")))["result"]["accepted"] == 1
    async with web_socket(guarded.url, PATH, **feed) as ws:
        assert (await push(ws, ticks("A")))["type"] == "ack"
        clock.now_ms += 3_600_000
        assert await ws.closed() == 4005


async def test_it_is_a_connection_like_others_counted_limited_and_explained(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with (
        serve_here(make_settings(max_connections=1)) as server,
        web_socket(server.url, PATH) as ws,
    ):
        await push(ws, ticks("A"))
        async with server.http.get(f"{server.url}/metrics") as response:
            figures = (await response.text()).splitlines()
        assert 'vyomo_rt_connections{transport="ws"} 1.0' in figures
        assert "vyomo_rt_ingest_frames_total 1.0" in figures
        for path in (PATH, "/ws/auto-trader"):
            async with web_socket(server.url, path) as other:
                assert await other.closed() == 4504
        name = next(line.split()[1] for line in caplog.messages if " opened from " in line)
        _, told = await server.call("GET", f"/connections/{name}")
        assert told["reasons"] == [
            "it pushes ticks: it gets an ack for each frame with an id, and otherwise refusals"
        ]


async def test_a_client_that_is_gone_is_dropped_and_one_that_only_sends_is_not(
    make_settings: MakeSettings,
) -> None:
    """Its pong may lie behind all that it has sent."""
    settings = make_settings(ping_interval_s=0.6, pong_timeout_s=0.4)
    async with (
        serve_here(settings) as server,
        raw_websocket(server.url, PATH) as gone,
        raw_websocket(server.url, PATH) as sender,
    ):
        closing = asyncio.create_task(gone.close_code())
        while not closing.done():
            await sender.send_text(json.dumps(tick()))
            await asyncio.sleep(0.02)
        assert await closing == 4012
        await sender.send_text(json.dumps({"ticks": ticks("A"), "id": 1}))
        assert (await sender.next("ack"))["result"]["accepted"] == 1


async def test_a_client_that_does_not_read_its_acks_is_read_no_further_and_then_closed(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(slow_timeout_s=0.5)
    text = json.dumps({"ticks": [5] * MAX_FRAME_TICKS, "id": 1})
    refused = frame(text.ljust(MIB).encode())
    async with (
        serve_here(settings) as server,
        raw_websocket(server.url, PATH, receive_buffer=4096) as ws,
    ):

        async def send_on() -> int:
            for sent in range(400):
                try:
                    await ws.send(refused)
                except ConnectionError:
                    return sent
            return 400

        sent = await asyncio.wait_for(send_on(), 20)
        # About a hundred acks fill the megabytes that the kernel holds for this socket.
        assert sent < 200, "the sockets hold a few megabytes, and the server no more"
        async with server.http.get(f"{server.url}/metrics") as response:
            figures = await response.text()
        assert 'vyomo_rt_connections_closed_total{reason="4008",transport="ws"} 1.0' in figures


async def test_a_flood_of_many_connections_holds_nobody_up_and_loses_nothing(
    server: Rest, no_collector: None
) -> None:
    """The work between two turns of the loop, in time of the processor, so that others' programs
    do not count."""
    connections, frames, count = 20, 2, 500
    rows = [tick(symbol=f"S{n % 500}", price=100 + n % 500) for n in range(count)]
    data = frame(json.dumps({"ticks": rows, "id": 1}).encode())
    odd = frame(("{oops\n" * count).encode())
    steps_s: list[float] = []
    loop = asyncio.get_running_loop()
    before_s = time.thread_time()

    def look() -> None:
        nonlocal before_s
        now_s = time.thread_time()
        steps_s.append(now_s - before_s)
        before_s = now_s
        loop.call_soon(look) if flooding else None

    async with AsyncExitStack() as stack:
        raws = [
            await stack.enter_async_context(raw_websocket(server.url, PATH))
            for _ in range(connections)
        ]
        watcher = await stack.enter_async_context(
            watching("ws", server.url, symbols=["S1"], priceInterval=100)
        )
        flooding = True
        loop.call_soon(look)
        sending = [asyncio.create_task(ws.send(data * frames + odd)) for ws in raws]
        for ws in raws:
            for _ in range(frames):
                assert (await ws.next("ack"))["result"]["accepted"] == count
        flooding = False
        await asyncio.gather(*sending)
        await watcher.next("price_update")
    assert max(steps_s) < 0.03, sorted(steps_s)[-5:]
    assert sorted(steps_s)[int(0.99 * len(steps_s))] < 0.01


async def test_when_the_server_stops_acks_say_how_far_each_connection_came(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings()
    rows = [tick(symbol=f"S{n}") for n in range(MAX_FRAME_TICKS)]
    data = frame(json.dumps({"ticks": rows, "id": 1}).encode())
    sockets = bind_sockets(settings.host, settings.port)
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    taken, told = 0, []
    async with AsyncExitStack() as stack:
        running_ = running(settings, sockets)
        rooms = await running_.__aenter__()
        raws = [await stack.enter_async_context(raw_websocket(url, PATH)) for _ in range(3)]
        sending = [asyncio.create_task(ws.send(data * 20)) for ws in raws]
        await until(lambda: rooms.board.ticks.labels("accepted")._value.get() > 7000)
        stopping = asyncio.create_task(running_.__aexit__(None, None, None))
        for ws in raws:
            opcode, payload = await ws.next_frame()
            while opcode != 8:
                if opcode == 1:
                    told.append(json.loads(payload))
                opcode, payload = await ws.next_frame()
            assert int.from_bytes(payload[:2]) == 4001
            assert told[-1]["type"] == "server_shutdown", "the last word"
        await stopping
        taken = rooms.board.ticks.labels("accepted")._value.get()
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
    for sock in sockets:
        sock.close()
    results = [message["result"] for message in told if message["type"] == "ack"]
    assert sum(result["accepted"] for result in results) == taken < 60 * MAX_FRAME_TICKS
    assert not any(result["rejected"] for result in results)
