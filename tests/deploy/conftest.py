"""Each proxy of docs/deploy.md, started once for a file of tests, and how to get through it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.deploy.proxies import PROXIES, Proxy, Site, free_port, recipe
from tests.support import Rest
from tests.web.streams import Block, Stream, WebSocket, query

KEEP_ALIVE_S = 0.25


@pytest.fixture(scope="module")
def server_port() -> int:
    """Where all proxies of a file look for the server."""
    return free_port()


@pytest.fixture(scope="module")
def start_proxy(
    server_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Proxy]]:
    """Starts a proxy unless it runs already."""
    started: dict[str, Proxy] = {}

    def start(name: str) -> Proxy:
        if name not in started:
            site = Site(tmp_path_factory.mktemp(name), free_port(), server_port)
            started[name] = Proxy(name, site)
        return started[name]

    yield start
    for proxy in started.values():
        proxy.stop()


@pytest.fixture(scope="module")
def proxies(start_proxy: Callable[[str], Proxy]) -> list[Proxy]:
    """All of them."""
    return [start_proxy(name) for name in PROXIES]


@pytest.fixture(scope="module")
def settings_behind_a_proxy() -> Iterator[None]:
    """As docs/deploy.md sets them, with quick keep-alives."""
    with pytest.MonkeyPatch.context() as environ:
        for line in recipe("ini", {}, "env").splitlines():
            environ.setenv(*line.split("=", 1))
        environ.setenv("VYOMO_RT_SSE_KEEP_ALIVE_S", str(KEEP_ALIVE_S))
        environ.setenv("VYOMO_RT_PING_INTERVAL_S", str(KEEP_ALIVE_S))
        environ.setenv("VYOMO_RT_PONG_TIMEOUT_S", str(0.9 * KEEP_ALIVE_S))
        yield


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
        async with asyncio.timeout(5):
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
    connector = aiohttp.TCPConnector(ssl=proxy.site.tls(), resolver=_Here())
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Through(proxy.site.url, http)
