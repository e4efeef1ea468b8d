"""How a WebSocket ends: by the client, by a frame that breaks a rule, and what is then ignored."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from contextlib import suppress

import pytest

from tests.kit.frames import RawWebSocket, frame, raw_websocket
from tests.kit.rest import Rest
from tests.kit.waiting import until
from vyomo_rt.web import connection
from vyomo_rt.web.inbound import Inbound, Violation

PING = b'{"type":"ping","id":1}'

BREACHES = {
    "binary": (frame(b"{}", opcode=2), 1003),
    "bad UTF-8": (frame(b"\xff\xfe"), 1007),
    "half a character": (frame("ü".encode()[:1]), 1007),
    "too long": (frame(b"{" + b" " * 70_000), 1009),
    "too long in fragments": (
        frame(b" " * 40_000, final=False) + frame(b" " * 40_000, opcode=0),
        1009,
    ),
    "unmasked": (frame(PING, masked=False), 1002),
    "reserved opcode": (frame(PING, opcode=3), 1002),
    "continuation of nothing": (frame(b"", opcode=0), 1002),
    "text within a text": (frame(PING, final=False) + frame(PING), 1002),
    "fragmented ping": (frame(b"", opcode=9, final=False), 1002),
    "long ping": (frame(b"x" * 126, opcode=9), 1002),
}


async def test_a_frame_that_breaks_the_rules_closes_the_connection(server: Rest) -> None:
    async def breach(data: bytes) -> int:
        async with raw_websocket(server.url) as raw:
            await raw.send(data)
            return await raw.close_code()

    codes = await asyncio.gather(*(breach(data) for data, _ in BREACHES.values()))
    assert dict(zip(BREACHES, codes, strict=True)) == {n: code for n, (_, code) in BREACHES.items()}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is cut off for not answering a close frame, so what ends has ended by itself."""
    monkeypatch.setattr(connection, "_CLOSE_TIMEOUT_S", 60)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("name", BREACHES)
async def test_behind_the_close_frame_the_server_ends_tcp_first_and_at_once(
    server: Rest, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data, code = BREACHES[name]
    async with raw_websocket(server.url) as raw:
        await raw.send(data)
        assert int.from_bytes((await close_frame(raw))[:2]) == code
        assert await raw.rest() == b"", "the client has not answered yet"
        await raw.send(frame(code.to_bytes(2), opcode=8))
    await until(lambda: f" closed from {address(raw)}: {code} " in caplog.text)


def address(raw: RawWebSocket) -> str:
    host, port = raw.address
    return f"{host}:{port}"


async def close_frame(raw: RawWebSocket) -> bytes:
    opcode, payload = await raw.next_frame()
    assert opcode == 8
    return payload


@pytest.mark.usefixtures("patient")
async def test_a_client_that_sends_its_close_right_behind_the_breach_sees_tcp_end(
    server: Rest,
) -> None:
    async with raw_websocket(server.url) as raw:
        await raw.send(frame(b"{}", opcode=2) + frame((1000).to_bytes(2), opcode=8))
        assert await close_frame(raw) == (1003).to_bytes(2) + (
            b"binary frames are not supported: send text"
        )
        assert await raw.rest() == b""


@pytest.mark.usefixtures("patient")
async def test_a_client_that_goes_on_sending_behind_a_breach_still_gets_the_close_frame(
    server: Rest,
) -> None:
    async with raw_websocket(server.url) as raw:
        await raw.send(frame(b"{}", opcode=2))
        for _ in range(100):
            await raw.send(frame(b" " * 60_000))
        assert (await close_frame(raw))[:2] == (1003).to_bytes(2)


@pytest.mark.parametrize(
    "payload",
    [b"", (1000).to_bytes(2), (1001).to_bytes(2) + b"bye", (4999).to_bytes(2)],
    ids=["none", "1000", "1001", "4999"],
)
async def test_a_clients_close_is_answered_and_the_socket_ends(
    server: Rest, payload: bytes
) -> None:
    async with raw_websocket(server.url) as raw:
        await raw.send(frame(payload, opcode=8))
        opcode, answer = await raw.next_frame()
        assert (opcode, answer[:2]) == (8, payload[:2])
        with pytest.raises(EOFError):
            await raw.next_frame()


async def test_nothing_is_carried_out_after_a_close(server: Rest) -> None:
    async with raw_websocket(server.url) as raw:
        await raw.send(frame((1000).to_bytes(2), opcode=8) + frame(PING))
        opcode, _ = await raw.next_frame()
        assert opcode == 8
        with pytest.raises((EOFError, ConnectionError)):
            await raw.next_frame()


async def test_frames_behind_the_end_are_ignored(
    server: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_websocket(server.url) as raw:
        behind = frame(b"", opcode=9) + frame(PING) + frame(b"", opcode=2)
        await raw.send(frame(b"nonsense") * 100 + behind)
        for _ in range(100):
            assert (await raw.next())["code"] == "bad_json"
        assert await raw.next_frame() == (8, (4509).to_bytes(2) + b"100 errors in a minute")
        await raw.send(behind)
        await raw.send(frame((4509).to_bytes(2), opcode=8))
        assert await raw.rest() == b""
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_fragments_without_content_and_without_end_do_not_fill_the_memory() -> None:
    inbound = Inbound(65_536)
    list(inbound.receive(frame(b"{", final=False)))
    empty = frame(b"", opcode=0, final=False)
    tracemalloc.start()
    try:
        with suppress(Violation):
            for _ in range(5_000):
                list(inbound.receive(empty))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000, "5000 fragments: some bytes are kept of each"


@pytest.mark.parametrize("text", ["ab", "é", "₹"], ids=["ascii", "two bytes", "three bytes"])
def test_an_unfinished_message_in_tiny_fragments_costs_about_its_bytes(text: str) -> None:
    most_bytes = 16_384
    inbound = Inbound(most_bytes)
    piece = text.encode()
    first, further = frame(piece, final=False), frame(piece, opcode=0, final=False)
    tracemalloc.start()
    try:
        list(inbound.receive(first))
        for _ in range(most_bytes // len(piece) - 2):
            list(inbound.receive(further))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * most_bytes
    [whole] = inbound.receive(frame(piece, opcode=0))
    assert whole == text * (most_bytes // len(piece))
