"""Clients that break the rules: junk, half frames, huge frames, floods, silence, vanishing.

Each is a function that misbehaves once and returns when the server has ended its connection.
Run as a program, this repeats some of them until it is ended, several at a time. It is a separate
process, so that their cost does not disturb the process that measures others:

    python scripts/pests.py http://localhost:4025 10 junk half
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_FLOOD = 5000
_MOST_REST_S = 0.2
_READ_BYTES = 1 << 16
_NO_MASK = bytes(4)
_GONE = (ConnectionError, asyncio.IncompleteReadError)


class NotEnded(Exception):
    """The server kept a connection that it had to end."""


async def junk(url: str, patience_s: float) -> None:
    """Meaningless bytes, in place of a request and in place of frames."""
    async with _connection(url) as (reader, writer):
        writer.write(random.randbytes(200) + b"\r\n\r\n")
        await _until_ended(reader, patience_s, "sent bytes that are no request")
    async with _websocket(url) as (reader, writer):
        writer.write(b"\xff" + random.randbytes(3000))
        await _until_ended(reader, patience_s, "sent bytes that are no frames")


async def half(url: str, patience_s: float) -> None:
    """The beginning of a frame, a byte now and then, and never its end."""
    async with _websocket(url) as (reader, writer):
        writer.write(_head(0x81, 60_000))
        ending = asyncio.create_task(_until_ended(reader, patience_s, "never ended a frame"))
        while not ending.done():
            writer.write(b"x")
            await asyncio.wait([ending], timeout=0.2)
        await ending


async def huge(url: str, patience_s: float) -> None:
    """A frame of so many bytes that nobody has them, and a message just too long."""
    for announced in (1 << 62, 1 << 17):
        async with _websocket(url) as (reader, writer):
            writer.write(_head(0x81, announced) + b"x" * (1 << 17))
            await _until_ended(reader, patience_s, "sent a message that is too long")


async def flood(url: str, patience_s: float) -> None:
    """Thousands of messages at once, and no answer is read before the last one is sent."""
    async with _websocket(url) as (reader, writer):
        ping = b'{"type":"ping"}'
        writer.write((_head(0x81, len(ping)) + ping) * _FLOOD)
        found = 0
        # Its answer to a ping would be behind all that, so it may be closed for want of one.
        with suppress(*_GONE):
            async with asyncio.timeout(patience_s):
                while found < _FLOOD:
                    head, size = await reader.readexactly(2)
                    payload = await reader.readexactly(size)
                    found += head == 0x81 and b'"pong"' in payload


async def mute(url: str, patience_s: float) -> None:
    """Reads, and never answers a ping: what a machine that was switched off looks like."""
    async with _websocket(url) as (reader, _):
        await _until_ended(reader, patience_s, "answered no ping")


async def vanish(url: str, patience_s: float) -> None:
    """Asks for something and vanishes, with a reset instead of a goodbye."""
    del patience_s
    for path in ("/ws/auto-trader", "/sse/auto-trader?symbols=NIFTY&priceInterval=100"):
        async with _connection(url) as (_, writer):
            writer.write(_request(url, path))
            await asyncio.sleep(random.random() / 10)
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


KINDS = {kind.__name__: kind for kind in (junk, half, huge, flood, mute, vanish)}


@asynccontextmanager
async def _connection(
    url: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def _websocket(
    url: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """After the handshake. Raises ConnectionError where the server does not take part in it."""
    async with _connection(url) as (reader, writer):
        writer.write(_request(url, "/ws/auto-trader"))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise ConnectionError(head.decode("latin-1"))
        yield reader, writer


def _request(url: str, path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def _head(first: int, size: int) -> bytes:
    """The head of a client's frame; it has to mask, but nobody says with what."""
    if size < 126:
        return struct.pack("!BB", first, 0x80 | size) + _NO_MASK
    return struct.pack("!BBQ", first, 0xFF, size) + _NO_MASK


async def _until_ended(reader: asyncio.StreamReader, patience_s: float, what: str) -> None:
    """Read until the server ends the connection. Raises NotEnded if it takes too long."""
    try:
        async with asyncio.timeout(patience_s):
            while await reader.read(_READ_BYTES):
                pass
    except TimeoutError:
        message = f"a client that {what} was still connected after {patience_s:g} s"
        raise NotEnded(message) from None
    except _GONE:
        pass


async def _for_ever(url: str, together: int, kinds: Sequence[str]) -> None:
    async def one() -> None:
        while True:
            await KINDS[random.choice(kinds)](url, patience_s=30)
            await asyncio.sleep(random.uniform(0, _MOST_REST_S))

    async with asyncio.TaskGroup() as pests:
        for _ in range(together):
            pests.create_task(one())


if __name__ == "__main__":
    asyncio.run(_for_ever(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
