"""Servers that stand in for sources: they serve recorded shapes, or fail in a given way."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feed import Feed
from vyomo_rt.market.feeds.fetching import Pace
from vyomo_rt.market.feeds.sockets import Patience

FIXTURES = Path(__file__).parent / "fixtures"
HEARTBEAT_S = 0.02
PATIENCE = Patience(connect_s=30.0, silent_s=60.0, look_s=0.02, pauses_s=(0.05, 0.1))

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


def recorded(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


class Mock(ABC):
    """A source that knows ``NIFTY`` and ``TCS``; ``fault`` answers while it is set.

    ``at_ms`` is the moment of its prices.
    """

    name: str
    down: str
    """What is said of an answer that is no JSON."""
    silent: str
    """What is said once it has sent nothing new for long."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        self.fault: Fault | None = None
        self.url = ""

    @abstractmethod
    def feed(self, calendar: Calendar, now: MarketClock) -> Feed:
        """A feed that asks this server, and is quick."""

    @abstractmethod
    async def set_price(self, symbol: str, rupees: float | None) -> None:
        """From now on it has this price, or none; a source that sends sends it."""

    @abstractmethod
    def forget(self, symbol: str) -> None:
        """From now on it does not know the symbol."""

    @abstractmethod
    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request."""

    @abstractmethod
    def truncates(self) -> None:
        """From now on its answers end too early."""

    def fails_with(
        self, status: int, body: bytes = b"", content_type: str = "text/html", **headers: str
    ) -> None:
        async def fault(_: web.Request) -> web.Response:
            return web.Response(
                status=status, body=body, content_type=content_type, headers=headers
            )

        self.fault = fault

    def hangs(self) -> None:
        async def fault(_: web.Request) -> web.Response:
            await asyncio.Event().wait()
            raise AssertionError

        self.fault = fault

    def heals(self) -> None:
        self.fault = None


class MockSite(Mock):
    """A source that is asked."""

    silent = "no tick since"

    def __init__(self, at_ms: int, pace: Pace) -> None:
        super().__init__(at_ms)
        self.pace = pace
        self.paths: list[str] = []
        self.agents: list[str] = []
        self.at_once = self.most_at_once = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.raw_path)
        self.agents.append(request.headers["User-Agent"])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.fault is not None:
                return await self.fault(request)
            return self.respond(request)
        finally:
            self.at_once -= 1

    @abstractmethod
    def respond(self, request: web.Request) -> web.Response:
        """What it answers while all is well."""


class MockStream(Mock):
    """A source that sends by itself; between the prices it sends heartbeats."""

    silent = "has sent no new price for"
    heartbeat: str | bytes

    def __init__(self, at_ms: int, patience: Patience) -> None:
        super().__init__(at_ms)
        self.patience = patience
        self.sockets: set[web.WebSocketResponse] = set()
        self.messages: list[dict[str, Any]] = []
        self.connections = 0
        self.is_mute = False
        self.cuts = False
        self.prices: dict[str, float | None] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        if self.fault is not None:
            return await self.fault(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.add(socket)
        beating = asyncio.create_task(self._beat(socket))
        try:
            await self.on_connect(socket)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self.messages.append(json.loads(message.data))
                    await self.on_message(socket, self.messages[-1])
        finally:
            beating.cancel()
            self.sockets.discard(socket)
        return socket

    async def _beat(self, socket: web.WebSocketResponse) -> None:
        with suppress(ConnectionError):
            while True:
                await self.send(socket, self.heartbeat)
                await asyncio.sleep(HEARTBEAT_S)

    async def send(self, socket: web.WebSocketResponse, message: str | bytes) -> None:
        with suppress(ConnectionError):
            if isinstance(message, str):
                await socket.send_str(message)
            else:
                await socket.send_bytes(message)

    async def send_all(self, message: str | bytes) -> None:
        for socket in list(self.sockets):
            await self.send(socket, message)

    async def drop(self) -> None:
        for socket in list(self.sockets):
            await socket.close()

    async def set_price(self, symbol: str, rupees: float | None) -> None:
        self.prices[symbol] = rupees
        if not self.is_mute:
            await self.send_all(self.tick(symbol))

    async def snapshot(self, socket: web.WebSocketResponse, symbol: str) -> None:
        """The last price of a symbol, as sources send it to a new subscriber."""
        if symbol in self.prices and not self.is_mute:
            message = self.tick(symbol)
            await self.send(socket, message[: len(message) // 2] if self.cuts else message)

    def forget(self, symbol: str) -> None:
        self.prices.pop(symbol, None)

    def truncates(self) -> None:
        self.cuts = True

    def heals(self) -> None:
        super().heals()
        self.cuts = self.is_mute = False

    @abstractmethod
    def tick(self, symbol: str) -> str | bytes:
        """A message with the last price of a symbol."""

    @abstractmethod
    async def on_connect(self, socket: web.WebSocketResponse) -> None:
        """Somebody has connected."""

    @abstractmethod
    async def on_message(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        """Somebody asks for something."""


@asynccontextmanager
async def serving(mock: Mock) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/{path:.*}", mock.handle)
    async with TestServer(app) as server:
        mock.url = str(server.make_url("")).rstrip("/")
        yield
