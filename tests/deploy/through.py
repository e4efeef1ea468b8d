"""How to get through a proxy to the server: as REST, WebSocket and event stream."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.deploy.proxies import Proxy
from tests.kit.rest import Rest
from tests.kit.streams import Block, Stream, WebSocket, query
from tests.kit.waiting import PATIENCE_S, until


class ProxiedEventStream(Stream):
    """An SSE stream as aiohttp's client hands it on, with or without chunks."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        super().__init__()
        self.response = response
        self.last_event_id: str | None = None

    async def read(self) -> str | None:
        block = Block()
        while line := (await self.response.content.readline()).decode():
            name, _, value = line.removesuffix("\n").partition(": ")
            match name:
                case "data":
                    block.data.append(value)
                case "id":
                    block.id = value
                case "" if block.data:
                    self.last_event_id = block.id or self.last_event_id
                    return "\n".join(block.data)
        assert not block.data, "the stream ends in the middle of a block"
        return None

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while (text := await self.read()) is not None:
                self.texts.append(text)


class _Here(AbstractResolver):
    """All names are this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


class Through(Rest):
    """The server, as a client reaches it through a proxy."""

    @asynccontextmanager
    async def websocket(self, **headers: str) -> AsyncIterator[WebSocket]:
        async with self.http.ws_connect(f"{self.url}/ws/auto-trader", headers=headers) as ws:
            yield WebSocket(ws)

    @asynccontextmanager
    async def events(
        self, path: str, last_event_id: str | None = None, **fields: Any
    ) -> AsyncIterator[ProxiedEventStream]:
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        url = f"{self.url}{path}?{query(**fields)}"
        async with self.http.get(url, headers=headers) as response:
            yield ProxiedEventStream(response)


@asynccontextmanager
async def through(proxy: Proxy) -> AsyncIterator[Through]:
    """A client of a proxy, whose connections are closed at the end, on the proxy's side too."""
    opened: list[socket.socket] = []

    def factory(address: aiohttp.AddrInfoType) -> socket.socket:
        opened.append(socket.socket(*address[:3]))
        return opened[-1]

    tls, here = proxy.site.tls(), _Here()
    connector = aiohttp.TCPConnector(ssl=tls, resolver=here, socket_factory=factory)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Through(proxy.site.url, http)
    # The end of TLS is negotiated, which takes a while: a loop that ends before leaves sockets.
    await until(lambda: all(each.fileno() == -1 for each in opened))
