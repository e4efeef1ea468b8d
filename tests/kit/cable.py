"""A line between client and server that a test can cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Cable:
    """Carries bytes both ways until it is cut; ``blocked`` names the requests that it refuses."""

    def __init__(self, server_url: str) -> None:
        self._server = urlsplit(server_url)
        self._ends: set[asyncio.StreamWriter] = set()
        self.url = ""
        self.is_cut = False
        self.blocked = b"nothing"

    async def lay(self) -> asyncio.Server:
        listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        return listener

    def cut(self) -> None:
        self.is_cut = True
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        self.is_cut = False

    async def _carry(self, browser: asyncio.StreamReader, to_browser: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            first = await browser.read(65_536)
            if self.is_cut or first.startswith(self.blocked):
                to_browser.transport.abort()
                return
            server, to_server = await asyncio.open_connection(
                self._server.hostname, self._server.port
            )
            ends = {to_browser, to_server}
            self._ends |= ends
            to_server.write(first)
            await asyncio.gather(_pump(browser, to_server), _pump(server, to_browser))
            self._ends -= ends


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def laid_cable(server_url: str) -> AsyncIterator[Cable]:
    cable = Cable(server_url)
    listener = await cable.lay()
    try:
        yield cable
    finally:
        cable.cut()
        listener.close()
        await listener.wait_closed()
