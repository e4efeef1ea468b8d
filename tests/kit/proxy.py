"""A TCP proxy that a test can make as bad as a network gets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Between a client and a server's Unix socket; each fault lasts until ``mend``."""

    def __init__(self, target: str) -> None:
        self.swallowed = 0
        """Connections that were cut in place of an answer."""
        self._target = target
        self._flows = asyncio.Event()
        self._delay_s = 0.0
        self._cuts_answers = False
        self._resets = False
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def delay(self, seconds: float) -> None:
        """Hold up all bytes, in both directions, for so long."""
        self._delay_s = seconds

    def black_hole(self) -> None:
        """Take bytes and connections, and let nothing through before ``mend``."""
        self._flows.clear()

    def cut_answers(self) -> None:
        """Let requests through, and cut the connection when the answer comes."""
        self._cuts_answers = True

    def reset(self) -> None:
        """Answer every connection, also those that there are, by RST."""
        self._resets = True
        for writer in list(self._writers):
            _reset(writer)

    def mend(self) -> None:
        self._delay_s, self._cuts_answers, self._resets = 0.0, False, False
        self._flows.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Listen; yields the port."""
        self._flows.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._writers.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            if self._resets:
                _reset(writer)
                return
            await self._join(reader, writer)
        self._writers.discard(writer)
        self._connections.discard(task)
        writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        pumps = [
            asyncio.create_task(self._pump(reader, far_writer, answers=False)),
            asyncio.create_task(self._pump(far_reader, writer, answers=True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            far_writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while data := await reader.read(65536):
            if answers and self._cuts_answers:
                self.swallowed += 1
                return
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._flows.wait()
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
