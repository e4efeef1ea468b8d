"""Ticks over ``/ws/ingest``, with a real server and real sockets."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from typing import Any

import pytest

from tests.kit.frames import frame, raw_websocket
from tests.kit.rest import Rest
from tests.kit.streams import web_socket
from tests.web.calls import BEGIN_MS, raw, tick
from tests.web.pushing import MIB, PATH, push, ticks
from vyomo_rt.wire.tick import MAX_FRAME_TICKS

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
async def test_a_frame_against_the_rules_closes(
    shared_server: Rest, data: bytes, code: int
) -> None:
    async with raw_websocket(shared_server.url, PATH) as ws:
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


async def test_posts_and_frames_go_on_side_by_side(server: Rest) -> None:
    async with web_socket(server.url, PATH) as ws:
        await ws.ws.send_str(json.dumps([tick(symbol=f"S{n}") for n in range(MAX_FRAME_TICKS)]))
        status, _, answer = await raw(server, "POST", "/ticks", json.dumps(ticks("A")))
        assert (status, answer["accepted"]) == (200, 1)
        assert (await push(ws, ticks("B")))["result"]["accepted"] == 1
    assert {"A", "B", "S4999"} <= (await prices(server)).keys()
