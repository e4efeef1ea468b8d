"""Whatever bytes and texts come over a WebSocket, the server answers or closes by its rules."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, get_args

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from tests.kit.frames import HANDSHAKE, RawWebSocket, frame, raw_socket
from tests.kit.rest import Rest
from tests.kit.searching import search, searched
from tests.kit.server import MakeSettings, serve_here
from vyomo_rt.domain.errors import ErrorCode
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.commands import ALL_TYPES

MOST_BYTES = 2048
ANY_PACE = {"messages_per_s": 1_000_000, "message_burst": 1_000_000}


class Here:
    """A server in a loop that turns only while something is asked of it."""

    def __init__(self, runner: asyncio.Runner, server: Rest) -> None:
        self.run = runner.run
        self.server = server


@pytest.fixture
def here(make_settings: MakeSettings) -> Iterator[Here]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        settings = make_settings(max_message_bytes=MOST_BYTES, **ANY_PACE)
        server = runner.run(stack.enter_async_context(serve_here(settings)))
        runner.run(server.new_session())
        yield Here(runner, server)
        runner.run(stack.aclose())


# --- frames

PAYLOADS = st.binary(max_size=140) | st.sampled_from(
    [
        b'{"type":"ping","id":1}',
        b"{",
        b"\xff",
        "₹".encode()[:2],
        b"\x03\xe8bye",
        b"\x03",
        b"x" * 3000,
    ]
)


def header(first: int, size: int) -> bytes:
    """The beginning of a frame that says this of itself, whether or not it is so."""
    return bytes([first]) + (b"\xff" + size.to_bytes(8) if size > 125 else bytes([0x80 | size]))


FRAMES = (
    st.builds(
        frame,
        PAYLOADS,
        opcode=st.integers(0, 15),
        final=st.booleans(),
        masked=st.sampled_from([True, True, True, False]),
    )
    | st.builds(header, st.integers(0, 255), st.integers(0, 2**64 - 1))
    | st.binary(max_size=20)
)
MEANT = {*CloseCode, *range(1000, 1012), *range(3000, 5000)} - {1004, 1005, 1006}


@searched
def test_any_frames_end_in_a_close_by_the_rules_and_never_in_a_fault(
    here: Here, caplog: pytest.LogCaptureFixture, for_s: float
) -> None:
    def check(frames: list[bytes], cut: int) -> None:
        data = b"".join(frames)
        here.run(exchange(here.server, data[: len(data) - cut]))
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    search(check, st.lists(FRAMES, max_size=8), st.integers(0, 9), for_s=for_s)


async def exchange(server: Rest, data: bytes) -> None:
    """Send it all, then read to the end; another client is served meanwhile."""
    async with raw_socket(server.url) as raw:
        await raw.send(HANDSHAKE.encode() + data)
        assert "101" in await raw.head()
        raw.sock.shutdown(socket.SHUT_WR)
        require_frames(await raw.rest())


def require_frames(data: bytes) -> None:
    """Whole frames of a server, the last of which may be a close with a code that it may send."""
    while data:
        first, size = data[:2]
        assert first & 0xF0 == 0x80
        assert size < 127
        start = 4 if size == 126 else 2
        if size == 126:
            size = int.from_bytes(data[2:4])
        payload, data = data[start : start + size], data[start + size :]
        assert len(payload) == size
        match first & 0x0F:
            case 1:
                assert json.loads(payload)["type"] in {"pong", "ack", "error"}
            case 8:
                assert not data
                assert not payload or int.from_bytes(payload[:2]) in MEANT
            case kind:
                assert kind in {9, 10}


# --- messages

NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2**63, 10**400])
TEXTS = st.text(max_size=8) | st.sampled_from(["NIFTY", "1", " nifty ", "^", "A" * 65, "*"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
KNOWN = {
    "sessionId": st.sampled_from([1, "1", 2]) | VALUES,
    "since": st.integers(0, 3) | VALUES,
    "epoch": VALUES,
    "updateInterval": st.sampled_from([100, 99999]) | VALUES,
    "types": st.lists(st.sampled_from(sorted(ALL_TYPES)), max_size=3) | VALUES,
    "symbols": st.lists(TEXTS, max_size=4) | VALUES,
    "priceInterval": VALUES,
    "onlyChanges": VALUES,
    "token": VALUES,
}
KINDS = (
    "subscribe_session", "unsubscribe_session", "subscribe_prices", "unsubscribe_prices", "ping",
    "watch_sessions", "unwatch_sessions", "auth",
)  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS) | VALUES}, optional=KNOWN | {"more": VALUES}
)


def spelled(message: Any) -> str:
    return json.dumps(message, ensure_ascii=False).encode(errors="replace").decode()


BROKEN = st.builds(
    lambda message, at, put: (text := spelled(message))[: at % (len(text) + 1)] + put,
    MESSAGES,
    st.integers(0, 200),
    st.text(max_size=3),
).map(lambda text: text.encode(errors="replace").decode())


@searched
def test_any_text_gets_one_answer_if_it_has_an_id_and_a_ping_after_it_its_pong(
    here: Here, caplog: pytest.LogCaptureFixture, for_s: float
) -> None:
    def check(messages: list[Any], broken: str) -> None:
        texts = [broken, *map(spelled, messages)]
        assume(all(len(text.encode()) < MOST_BYTES - 100 for text in texts))
        here.run(converse(here.server, messages, broken))
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    search(check, st.lists(MESSAGES, max_size=6), BROKEN, for_s=for_s)


async def converse(server: Rest, messages: list[Any], broken: str) -> None:
    async with raw_socket(server.url) as raw:
        await raw.send(HANDSHAKE.encode())
        await raw.head()
        for number, message in enumerate(messages):
            await raw.send_text(spelled(message | {"id": f"number {number}"}))
        await raw.send_text(broken)
        await raw.send_text('{"type":"ping","id":"the last"}')
        answers = await answers_of(raw)
        assert answers == {f"number {number}": 1 for number in range(len(messages))}


async def answers_of(raw: RawWebSocket) -> Counter[str]:
    """How many answers each id got before the last ping's."""
    found: Counter[str] = Counter()
    while True:
        message = await raw.next()
        if message["type"] == "error":
            assert message["code"] in get_args(ErrorCode)
            assert message["code"] != "internal"
        if message.get("id") == "the last":
            return found
        if message["type"] in {"ack", "error", "pong"} and "id" in message:
            found[message["id"]] += 1
