"""A proxy that spoils streams: for each connection it loses, doubles and swaps trade events."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

EVENT = b'"type":"trade_'


class _Spoiler:
    """The third event is lost, the fourth doubled, the fifth late, the seventh altered."""

    def __init__(self) -> None:
        self._count = 0
        self._held = b""

    def spoil(self, message: bytes) -> bytes:
        if EVENT not in message:
            return message
        self._count += 1
        if self._count == 5:
            self._held = message
        spoiled = {
            3: b"",
            4: message * 2,
            5: b"",
            6: message + self._held,
            7: message.replace(b'"side":"BUY"', b'"side":"SEL"'),
        }
        return spoiled.get(self._count, message)


class SpoilingProxy:
    """Stands before a server; REST passes as it is."""

    def __init__(self, url: str) -> None:
        self._port = urlsplit(url).port
        self._pumping: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Listen, and return the address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Drop all connections, and take no more."""
        self._server.close()
        for task in self._pumping:
            task.cancel()
        await asyncio.gather(*self._pumping, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._port)
        for pump in (_pass_on(reader, upstream_writer), _spoil(upstream_reader, writer)):
            self._pumping.add(asyncio.create_task(pump))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _spoil(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From the server to the client."""
    spoiler = _Spoiler()
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while b"text/event-stream" in head:
            writer.write(spoiler.spoil(await reader.readuntil(b"\n\n")))
        while b" 101 " in head:
            writer.write(spoiler.spoil(await _frame(reader)))
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        await _pass_on(reader, writer)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    frame = await reader.readexactly(2)
    size = frame[1]
    if size == 126:
        frame += await reader.readexactly(2)
        size = int.from_bytes(frame[2:])
    return frame + await reader.readexactly(size)
