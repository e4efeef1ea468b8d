"""A TCP proxy that a test can make as bad as a network gets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CHUNK_BYTES = 65_536


def _endless() -> int:
    return 1 << 60


class Proxy:
    """Between clients and a server, whose URL or Unix socket it is given.

    What a method does to connections lasts until ``mend``, an attribute until it is set back.
    """

    def __init__(self, target: str) -> None:
        self.port = 0
        self.requests: list[str] = []
        """The first line of what each connection sent."""
        self.swallowed = 0
        """Connections that were cut in place of an answer."""
        self.most_bytes: Callable[[], int] = _endless
        """Asked for each connection: after how many bytes of the server it is cut."""
        self.refuses_websockets = False
        """Their handshakes are answered by 400."""
        self.swallows_frames = False
        """Handshakes of WebSockets pass, and nothing else of the server."""
        self.silent = False
        """What the server says is thrown away."""
        self._target = target
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self.mend()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        """What was requested over HTTP, without the queries."""
        return [request.split()[1].partition("?")[0] for request in self.requests]

    def mend(self) -> None:
        self._delay_s = 0.0
        self._marks: tuple[bytes, ...] = ()
        self._cuts_answers = self._resets = self._is_cut = False
        self._flows.set()

    def delay(self, seconds: float) -> None:
        """Hold up all bytes, in both directions, for so long."""
        self._delay_s = seconds

    def black_hole(self) -> None:
        """Take bytes and connections, and let nothing through."""
        self._flows.clear()

    def hold_from(self, *marks: bytes) -> None:
        """Let nothing through from the first request on that holds all of these bytes."""
        self._marks = marks

    @property
    def holds(self) -> bool:
        """Whether nothing is let through."""
        return not self._flows.is_set()

    def cut_answers(self) -> None:
        """Let requests through, and cut the connection when the answer comes."""
        self._cuts_answers = True

    def reset(self) -> None:
        """Answer every connection, also those that there are, by RST."""
        self._resets = True
        for writer in list(self._writers):
            _reset(writer)

    def drop(self) -> None:
        """Cut the connections that there are; the next ones are let through."""
        for writer in list(self._writers):
            writer.transport.abort()

    def cut(self) -> None:
        """Cut the connections that there are, and those that come."""
        self._is_cut = True
        self.drop()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._writers.add(writer)
        with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            if self._resets:
                _reset(writer)
            elif not self._is_cut:
                await self._carry(reader, writer)
        self._writers.discard(writer)
        self._connections.discard(task)
        writer.close()

    async def stop(self) -> None:
        self.drop()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(_CHUNK_BYTES)
        self.requests.append(first.decode(errors="replace").partition("\r\n")[0])
        is_websocket = b"upgrade: websocket" in first.lower()
        if is_websocket and self.refuses_websockets:
            writer.write(_REFUSAL)
            await writer.drain()
            return
        far_reader, far_writer = await self._open()
        try:
            await self._let_through()
            far_writer.write(first)
            if is_websocket and self.swallows_frames:
                writer.write(await far_reader.readuntil(b"\r\n\r\n"))
                answering = self._swallow(far_reader)
            else:
                answering = self._answer(far_reader, writer)
            await _first_of(self._ask(reader, far_writer), answering)
        finally:
            far_writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.startswith("/"):
            return await asyncio.open_unix_connection(self._target)
        parts = urlsplit(self._target)
        return await asyncio.open_connection(parts.hostname, parts.port)

    async def _ask(self, reader: asyncio.StreamReader, far_writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if self._marks and all(mark in data for mark in self._marks):
                self._flows.clear()
            await self._let_through()
            far_writer.write(data)
            await far_writer.drain()

    async def _answer(self, far_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        most = self.most_bytes()
        while most and (data := await far_reader.read(min(most, _CHUNK_BYTES))):
            most -= len(data)
            if self._cuts_answers:
                self.swallowed += 1
                return
            await self._let_through()
            if not self.silent:
                writer.write(data)
                await writer.drain()

    async def _swallow(self, far_reader: asyncio.StreamReader) -> None:
        await far_reader.read()

    async def _let_through(self) -> None:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        await self._flows.wait()


async def _first_of(*pumping: Coroutine[Any, Any, None]) -> None:
    """Run them until one ends, and end the others."""
    pumps = [asyncio.create_task(pump) for pump in pumping]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def proxy_before(target: str) -> AsyncIterator[Proxy]:
    """A proxy that listens on a free port."""
    proxy = Proxy(target)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        await proxy.stop()
        await listener.wait_closed()
