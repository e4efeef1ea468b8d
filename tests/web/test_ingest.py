"""Ticks over ``/ws/ingest``, with a real server and real sockets."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from tests.kit.frames import frame, raw_websocket
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import WebSocket, watching, web_socket
from tests.kit.waiting import until
from tests.web.calls import BEGIN_MS, As, Clock, raw, tick
from tests.web.guarded import bearer, token
from vyomo_rt.app.server import running
from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.web.listening import bind_sockets
from vyomo_rt.wire.tick import MAX_FRAME_TICKS

PATH = "/ws/ingest"
MIB = 1024 * 1024
BAD_ROWS = [
    tick(symbol="!"),
    tick(symbol="B", price=0),
    tick(symbol="C", price="1"),
    {"symbol": "D"},
    5,
    None,
    tick(symbol="E", ts="2026-11-22T10:00:00"),
    tick(symbol="F", ts=BEGIN_MS + 5001),
    tick(symbol="G", prices=1),
]


def ticks(*symbols: str, price: float = 100) -> list[dict[str, Any]]:
    return [tick(symbol=symbol, price=price) for symbol in symbols]


async def push(ws: WebSocket, rows: list[Any], id_: str | int = 1) -> dict[str, Any]:
    """Push a frame with an id, and return its answer."""
    await ws.ws.send_str(json.dumps({"ticks": rows, "id": id_}))
    return await ws.next()


async def prices(server: Rest) -> dict[str, float]:
    _, listed = await server.call("GET", "/prices")
    return {each["symbol"]: each["price"] for each in listed["prices"]}


async def test_a_frame_is_a_tick_a_list_lines_or_ticks_with_an_id_that_gets_an_ack(
    server: Rest,
) -> None:
    async with web_socket(server.url, PATH) as ws:
        for text in (
            json.dumps(tick(symbol="A", price=1)),
            json.dumps(ticks("b", "C", price=2)),
            "\n".join(map(json.dumps, ticks("D", "E", price=83.4025))) + "\n",
        ):
            await ws.ws.send_str(text)
        assert await push(ws, ticks("F"), "x") == {
            "type": "ack",
            "result": {"accepted": 1, "rejected": [], "held": []},
            "id": "x",
        }
    assert await prices(server) == {"A": 1, "B": 2, "C": 2, "D": 83.4025, "E": 83.4025, "F": 100}


async def test_an_ack_says_of_each_row_what_a_post_says_of_it(timed: Rest) -> None:
    rows = [tick(symbol="A"), *BAD_ROWS, tick(symbol="Z")]
    status, posted = await timed.call("POST", "/ticks", rows)
    assert (status, posted["accepted"], len(posted["rejected"])) == (200, 2, len(BAD_ROWS))
    async with web_socket(timed.url, PATH) as ws:
        assert (await push(ws, rows))["result"] == posted | {"held": []}
        jump = await push(ws, ticks("A", price=500))
        assert jump["result"] == {"accepted": 1, "rejected": [], "held": ["A"]}
        none = await push(ws, BAD_ROWS, 7)
        assert (none["type"], none["result"]["accepted"], none["id"]) == ("ack", 0, 7)


async def test_one_unusual_row_of_a_large_list_is_rejected_and_the_next_frame_waits_for_it(
    server: Rest,
) -> None:
    rows = [tick(symbol=f"S{n}") for n in range(1000)]
    rows[7]["price"] = float("nan")
    async with web_socket(server.url, PATH) as ws:
        for id_, frame_ in (("large", rows), ("small", ticks("A"))):
            await ws.ws.send_str(json.dumps({"ticks": frame_, "id": id_}))
        large, small = await ws.next(), await ws.next()
        assert (large["id"], large["result"]["accepted"]) == ("large", 999)
        (row,) = large["result"]["rejected"]
        assert (row["index"], row["symbol"]) == (7, "S7")
        assert row["reason"] == "price: expected a finite number, got NaN"
        assert small["id"] == "small"


async def test_ticks_of_a_connection_are_taken_in_their_order(timed: Rest) -> None:
    """An older tick than the last would be rejected."""
    async with web_socket(timed.url, PATH) as ws:
        for first in range(0, 3000, 500):
            rows = [
                tick(price=round(100 + n / 1000, 3), ts=BEGIN_MS + n)
                for n in range(first, first + 500)
            ]
            await ws.ws.send_str(json.dumps({"ticks": rows, "id": first}))
        for first in range(0, 3000, 500):
            ack = await ws.next()
            assert (ack["id"], ack["result"]["accepted"]) == (first, 500)
    assert await prices(timed) == {"NIFTY": 102.999}


async def test_a_malformed_line_is_one_refused_tick_among_good_ones(server: Rest) -> None:
    async with web_socket(server.url, PATH) as ws:
        await ws.ws.send_str('{"symbol":"A","price":1}\n{oops\n{"symbol":"B","price":1}')
        error = await ws.next("error")
        assert error["message"].startswith("tick refused: not valid JSON")
        assert await prices(server) == {"A": 1, "B": 1}


@pytest.mark.parametrize(
    ("frame_", "words", "id_"),
    [
        ({"ticks": ticks("A"), "id": 1, "sessionId": 6}, "sessionId: unknown", 1),
        ({"ticks": ticks("A") * (MAX_FRAME_TICKS + 1), "id": "b"}, "at most 5000 ticks", "b"),
        (ticks("A") * (MAX_FRAME_TICKS + 1), "at most 5000 ticks", None),
        ({"ticks": tick(symbol="A"), "id": 2}, "ticks: expected an array", 2),
        ({"ticks": ticks("A"), "id": True}, "id: expected", None),
        (5, "expected a tick or a list", None),
        ("ping", "expected a tick or a list", None),
    ],
)
async def test_a_frame_that_is_refused_as_a_whole_takes_nothing_and_ends_nothing(
    server: Rest, frame_: Any, words: str, id_: int | str | None
) -> None:
    async with web_socket(server.url, PATH) as ws:
        await ws.ws.send_str(json.dumps(frame_))
        error = await ws.next()
        assert (error["type"], error.get("id"), error["code"]) == ("error", id_, "bad_request")
        assert words in error["message"]
        full = await push(ws, [tick(symbol=f"S{n}") for n in range(MAX_FRAME_TICKS)])
        assert full["result"]["accepted"] == MAX_FRAME_TICKS
    assert "A" not in await prices(server)


async def test_text_that_is_not_json_is_named_as_on_any_websocket(server: Rest) -> None:
    async with web_socket(server.url, PATH) as ws:
        await ws.ws.send_str("{oops")
        error = await ws.next()
        assert (error["message"], error["code"]) == ("Invalid message format", "bad_json")
        assert error["detail"].startswith("not valid JSON: ")


async def test_refusals_without_an_id_are_told_in_one_error_a_second(server: Rest) -> None:
    async with web_socket(server.url, PATH) as ws:
        begun_s = time.monotonic()
        for _ in range(5):
            await ws.ws.send_str(json.dumps([tick(symbol="A", price=0), tick(symbol="!")]))
        told, errors = 0, 0
        while told < 10:
            message = (await ws.next("error"))["message"]
            assert message.startswith("tick of ! refused: symbol '!' is not valid")
            more = re.search(r"\((\d+) more refused before it\)$", message)
            told += 1 + int(more[1] if more else 0)
            errors += 1
        assert 2 <= errors <= 2 + int(time.monotonic() - begun_s)
        assert (await push(ws, []))["type"] == "ack", "nothing else is told"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b'{"symbol":"A","price":1}', opcode=2), 1003),
        (frame(b'{"symbol":"\xff","price":1}'), 1007),
        (frame(b'{"symbol":"\xff","price":1}'.ljust(5000)), 1007),
        (frame(b" " * (MIB + 1)), 1009),
        (frame(b" " * MIB, final=False) + frame(b" ", opcode=0), 1009),
        (frame(b"[]", masked=False), 1002),
    ],
    ids=["binary", "no utf-8", "long, no utf-8", "too big", "too big in parts", "not masked"],
)
async def test_a_frame_against_the_rules_closes(server: Rest, data: bytes, code: int) -> None:
    async with raw_websocket(server.url, PATH) as ws:
        await ws.send(data)
        assert await ws.close_code() == code


async def test_a_frame_may_have_a_mebibyte_and_come_in_parts_with_pings_between(
    server: Rest,
) -> None:
    text = json.dumps({"ticks": ticks("A"), "id": 1}).encode()
    text += b" " * (MIB - len(text))
    async with raw_websocket(server.url, PATH) as ws:
        await ws.send(frame(text[:9], final=False))
        await ws.send(frame(b"x", opcode=9))
        assert await ws.next_frame() == (10, b"x")
        await ws.send(frame(text[9:], opcode=0))
        assert (await ws.next())["result"]["accepted"] == 1


async def test_frames_of_any_size_are_read_alike_wherever_they_are_cut(server: Rest) -> None:
    sizes = [40, 119, 120, 121, 122, 4085, 4090, 4096, 5000, 65_530, 65_540]
    rows = ticks("é")
    texts = [json.dumps({"ticks": rows, "id": n}, ensure_ascii=False).ljust(n - 1) for n in sizes]
    stream = b"".join(
        frame(text.encode()) + frame(b"", opcode=10) + frame(text[:20].encode(), final=False)
        + frame(b"x", opcode=9) + frame(text[20:].encode(), opcode=0)
        for text in texts
    )  # fmt: skip
    cuts = random.Random(1).sample(range(len(stream)), 200)
    async with raw_websocket(server.url, PATH) as ws:
        at = 0
        for cut in [*sorted(cuts), len(stream)]:
            await ws.send(stream[at:cut])
            at = cut
            await asyncio.sleep(0)
        acked = [(await ws.next("ack"))["id"] for _ in range(2 * len(sizes))]
    assert acked == [size for size in sizes for _ in range(2)]


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
            for sent in range(200):
                try:
                    await ws.send(refused)
                except ConnectionError:
                    return sent
            return 200

        sent = await asyncio.wait_for(send_on(), 20)
        assert sent < 100, "the sockets hold a few megabytes, and the server no more"
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


async def test_posts_and_frames_go_on_side_by_side(server: Rest) -> None:
    async with web_socket(server.url, PATH) as ws:
        await ws.ws.send_str(json.dumps([tick(symbol=f"S{n}") for n in range(MAX_FRAME_TICKS)]))
        status, _, answer = await raw(server, "POST", "/ticks", json.dumps(ticks("A")))
        assert (status, answer["accepted"]) == (200, 1)
        assert (await push(ws, ticks("B")))["result"]["accepted"] == 1
    assert {"A", "B", "S4999"} <= (await prices(server)).keys()
