"""What is particular to the WebSocket: frames, pings, closing, and clients that misbehave."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from statistics import median
from typing import Any, TypeVar

import pytest

from tests.kit.frames import (
    HANDSHAKE,
    RawWebSocket,
    frame,
    raw_socket,
    raw_websocket,
    read_out,
    stall,
)
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream, watching, web_socket
from tests.kit.waiting import until
from vyomo_rt.domain.event import Event
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.stream.audience import Audience
from vyomo_rt.stream.sessions import SessionTopic

T = TypeVar("T")

PING = b'{"type":"ping","id":1}'


async def test_a_frame_glued_to_the_handshake_is_carried_out(server: Rest) -> None:
    async with raw_socket(server.url) as raw:
        await raw.send(HANDSHAKE.encode() + frame(PING) + frame(PING.replace(b"1", b"2")))
        assert "101" in await raw.head()
        assert (await raw.next("pong"))["id"] == 1
        assert (await raw.next("pong"))["id"] == 2


async def test_more_frames_than_fit_into_a_buffer_may_be_glued_to_the_handshake(
    make_settings: MakeSettings,
) -> None:
    count = 5000
    settings = make_settings(message_burst=count + 1)
    async with serve_here(settings) as server, raw_socket(server.url) as raw:
        sending = asyncio.create_task(raw.send(HANDSHAKE.encode() + frame(PING) * count))
        assert "101" in await raw.head()
        for _ in range(count):
            await raw.next("pong")
        await sending
        await raw.send(frame(PING.replace(b"1", b"2")))
        assert (await raw.next("pong"))["id"] == 2


async def test_half_a_frame_glued_to_the_handshake_waits_for_its_rest(server: Rest) -> None:
    async with raw_socket(server.url) as raw:
        whole = frame(PING)
        await raw.send(HANDSHAKE.encode() + whole[:7])
        assert "101" in await raw.head()
        await raw.send(whole[7:])
        assert (await raw.next("pong"))["id"] == 1


async def test_bytes_may_come_one_by_one(server: Rest) -> None:
    async with raw_websocket(server.url) as raw:
        for byte in frame(PING) + frame(b"x", opcode=9) + frame(PING):
            await raw.send(bytes([byte]))
            await asyncio.sleep(0)
        frames = [await raw.next_frame() for _ in range(3)]
        assert [opcode for opcode, _ in frames] == [1, 10, 1]


async def test_a_text_in_fragments_is_one_message_with_pings_in_between(server: Rest) -> None:
    text = '{"type":"ping","id":"über – ₹"}'.encode()
    async with raw_websocket(server.url) as raw:
        # Cut within characters, and with an empty fragment.
        parts = [text[:1], text[1:22], b"", text[22:30], text[30:]]
        for number, part in enumerate(parts):
            await raw.send(
                frame(part, opcode=1 if number == 0 else 0, final=number == len(parts) - 1)
            )
            await raw.send(frame(b"alive", opcode=9))
        pongs = [await raw.next_frame() for _ in parts]
        answer = await raw.next_frame()
        replies = [payload for opcode, payload in [*pongs, answer] if opcode == 10]
        assert replies == [b"alive"] * len(parts)
        [message] = [json.loads(p) for opcode, p in [*pongs, answer] if opcode == 1]
        assert message["id"] == "über – ₹"


async def test_the_longest_message_allowed_is_taken(server: Rest) -> None:
    async with raw_websocket(server.url) as raw:
        await raw.send(frame(PING + b" " * (65_536 - len(PING))))
        assert (await raw.next("pong"))["id"] == 1


async def test_a_frame_that_only_announces_gigabytes_is_not_waited_for(server: Rest) -> None:
    async with raw_websocket(server.url) as raw:
        await raw.send(b"\x81\xff" + (2**40).to_bytes(8) + b"\0\0\0\0")
        await raw.send(b"x" * 70_000)
        assert await raw.close_code() == 1009


async def test_a_client_that_vanishes_without_a_word_is_forgotten_at_once(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(max_connections=1)
    async with serve_here(settings) as server:
        async with raw_websocket(server.url) as raw:
            await raw.send_text('{"type":"subscribe_prices","symbols":["A"],"id":1}')
            await raw.next("ack")

        assert await until(lambda: takes_a_ping(server.url))


async def takes_a_ping(url: str) -> bool:
    """Whether a new connection is served, or closed because there are too many."""
    async with raw_websocket(url) as raw:
        await raw.send(frame(PING))
        opcode, _ = await raw.next_frame()
        return opcode == 1


async def test_the_hundredth_error_within_a_minute_closes_the_connection(server: Rest) -> None:
    async with web_socket(server.url) as ws:
        for _ in range(99):
            await ws.ws.send_str("nonsense")
        for _ in range(99):
            assert (await ws.next())["code"] == "bad_json"
        assert (await ws.ask("ping"))["type"] == "pong", "99 are forgiven"
        await ws.ws.send_str("nonsense")
        assert await ws.closed() == 4509
        assert json.loads(ws.texts[-1])["code"] == "bad_json", "and the hundredth is answered too"


async def test_a_client_that_answers_no_ping_is_closed_and_one_that_does_stays(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(ping_interval_s=0.2, pong_timeout_s=0.2)
    async with serve_here(settings) as server, web_socket(server.url) as polite:
        reading = asyncio.ensure_future(polite.closed(within_s=60))
        async with raw_websocket(server.url) as rude:
            opcode, _ = await rude.next_frame()
            assert opcode == 9
            assert await rude.close_code() == 4012
        async with raw_websocket(server.url) as raw:
            for _ in range(4):
                opcode, payload = await raw.next_frame()
                assert opcode == 9
                await raw.send(frame(payload, opcode=10))
        assert not reading.done()
        reading.cancel()
        await asyncio.wait([reading])


async def test_too_many_connections_are_closed_with_4504(make_settings: MakeSettings) -> None:
    settings = make_settings(max_connections=2)
    async with serve_here(settings) as server:
        async with watching("ws", server.url, symbols=["A"]) as first:
            async with event_stream(server.url, "/sse/prices?symbols=A") as sse:
                await sse.next("ack")
                async with web_socket(server.url) as third:
                    assert await third.closed() == 4504
            await server.tick("A", 1)
            assert (await first.next("price_update"))["data"]["price"] == 1

        assert await until(lambda: takes_a_ping(server.url))


async def test_a_plain_get_is_told_that_this_is_a_websocket(server: Rest) -> None:
    async with server.http.get(f"{server.url}/ws/auto-trader") as response:
        assert response.status == 400
        assert (await response.json(content_type=None))["code"] == "bad_request"


async def test_compression_is_not_agreed_on(server: Rest) -> None:
    async with raw_socket(server.url) as raw:
        offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        await raw.send((HANDSHAKE.removesuffix("\r\n") + offer).encode())
        head = await raw.head()
        assert "101" in head
        assert "permessage-deflate" not in head


# -- clients that do not read ----------------------------------------------------------


async def test_a_client_that_stops_reading_is_closed_alone_and_resumes_without_a_gap(
    any_slow_server: tuple[Rest, Callable[[], str]],
) -> None:
    """Others get everything at once meanwhile."""
    server, log = any_slow_server
    session_id = await server.new_session()
    symbols = [f"S{number}" for number in range(300)]
    for symbol in symbols:
        await server.tick(symbol, 1)
    async with (
        watching("ws", server.url, sessionId=session_id) as ws,
        watching("sse", server.url, sessionId=session_id) as sse,
        raw_websocket(server.url, receive_buffer=4096) as stuck,
    ):
        await stall(stuck, session_id, symbols)
        took_s = []
        for seq in range(1, 21):
            began = time.monotonic()
            await server.open_trade(session_id)
            await ws.until_seq(seq)
            await sse.until_seq(seq)
            took_s.append(time.monotonic() - began)
            await asyncio.sleep(0.05)
        assert median(took_s) < 1, "nobody waits for who does not read"
        await until(lambda: ": 4008 too slow; " in log())
        seqs, code = await read_out(stuck)
        assert code in {4008, None}
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) < 20
        last = len(seqs)
    async with watching("sse", server.url, sessionId=session_id, since=last) as again:
        events = await again.until_seq(20)
        assert [json.loads(text)["seq"] for text in events] == list(range(last + 1, 21))


async def test_a_client_that_reads_again_in_time_gets_all_events_and_the_newest_price(
    server: Rest,
) -> None:
    session_id = await server.new_session()
    symbols = [f"S{number}" for number in range(300)]
    for symbol in symbols:
        await server.tick(symbol, 1)
    async with raw_websocket(server.url, receive_buffer=4096) as slow:
        await stall(slow, session_id, symbols)
        for _ in range(20):
            await server.open_trade(session_id)
            await asyncio.sleep(0.02)
        for number, symbol in enumerate(symbols):
            await server.tick(symbol, number + 2)
        seqs: list[int] = []
        prices: dict[str, float] = {}
        received = 0
        wanted = {symbol: number + 2 for number, symbol in enumerate(symbols)}
        while len(seqs) < 20 or prices != wanted:
            message = await slow.next("trade_opened", "price_update")
            received += 1
            if message["type"] == "trade_opened":
                seqs.append(message["seq"])
            else:
                prices[message["data"]["symbol"]] = message["data"]["price"]
        assert seqs == list(range(1, 21))


async def test_commands_behind_one_that_waits_for_the_store_stay_in_their_socket(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, answered = MongoStore.events, asyncio.Event()
    answered.set()

    async def events_late(self: MongoStore, *range_: int) -> Sequence[Event]:
        await answered.wait()
        return await events(self, *range_)

    monkeypatch.setattr(MongoStore, "events", events_late)
    settings = make_settings()
    async with serve_here(settings) as server, raw_websocket(server.url) as raw:
        session_id = await server.new_session()
        await server.open_trade(session_id)
        answered.clear()
        about = {"type": "subscribe_session", "sessionId": session_id, "since": 0, "id": 0}
        await raw.send_text(json.dumps(about))
        batches = await flood(raw)
        assert batches < 200, "the server went on to read 20 MB"
        answered.set()
        assert (await raw.next())["id"] == 0
        assert (await raw.next("trade_opened"))["seq"] == 1
        assert (await raw.next("pong"))["type"] == "pong"


async def flood(raw: RawWebSocket) -> int:
    """Send commands until the server takes no more; returns how many times 100 KB it took."""
    batch = frame(b'{"type":"ping","id":"' + b"x" * 60 + b'"}') * 1000
    sent = 0
    with suppress(TimeoutError):
        while sent < 200:
            async with asyncio.timeout(0.5):
                await raw.send(batch)
            sent += 1
    return sent


async def test_commands_of_a_client_that_does_not_read_stay_in_its_socket(server: Rest) -> None:
    """Its answers would have to wait in the server's memory."""
    async with raw_websocket(server.url, receive_buffer=4096) as raw:
        assert await flood(raw) < 200, "the server went on to read 20 MB"


async def test_commands_of_a_client_that_left_are_not_carried_out(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A resumption may be loading when the client leaves; what it sent behind it is void."""
    caplog.set_level(logging.INFO, "vyomo_rt")
    loading, left = asyncio.Event(), asyncio.Event()
    events = MongoStore.events

    async def slowly(store: MongoStore, *which: Any) -> Any:
        loading.set()
        await left.wait()
        return await events(store, *which)

    monkeypatch.setattr(MongoStore, "events", slowly)
    async with serve_here(make_settings()) as server:
        first, second = await server.new_session(), await server.new_session()
        await server.open_trade(first)
        async with server.http.ws_connect(f"{server.url}/ws/auto-trader") as ws:
            await ws.send_json({"type": "subscribe_session", "sessionId": first, "since": 0})
            await ws.send_json({"type": "subscribe_session", "sessionId": second})
            await ws.send_json({"type": "subscribe_prices", "symbols": ["NIFTY"]})
            await loading.wait()
            assert ws._response.connection is not None
            transport = ws._response.connection.transport
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
        left.set()
        await until(lambda: "closed from" in caplog.text)
        await until(lambda: not living(SessionTopic))
        assert not [audience for audience in living(Audience) if audience]


def living(kind: type[T]) -> list[T]:
    gc.collect()
    return [thing for thing in gc.get_objects() if type(thing) is kind]
