"""For tests of the Python client: bad connections, strange servers, waiting for a message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from vyomo_rt_client import Message, Stream

REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def _endless() -> int:
    return 1 << 60


class Proxy:
    """A TCP proxy. It forwards each connection to a server, as long as it is let.

    ``most_bytes`` says, for each connection, after how many bytes of the server it is cut;
    ``silent`` lets nothing through; ``refuses_websockets`` answers 400 to their handshakes, and
    ``swallows_frames`` lets the handshakes through and nothing else.
    """

    def __init__(self, url: str) -> None:
        self.most_bytes: Callable[[], int] = _endless
        self.refuses_websockets = False
        self.swallows_frames = False
        self.silent = False
        self.requests: list[str] = []
        self.url = ""
        self._upstream = urlsplit(url)
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def targets(self) -> list[str]:
        """What was requested: the paths, without their queries."""
        return [request.split()[1].partition("?")[0] for request in self.requests]

    def cut(self) -> None:
        """Drop all connections now."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.decode().partition("\r\n")[0])
                is_websocket = b"upgrade: websocket" in head.lower()
                if is_websocket and self.refuses_websockets:
                    writer.write(REFUSAL)
                    await writer.drain()
                else:
                    swallow = is_websocket and self.swallows_frames
                    await self._forward(head, reader, writer, swallow=swallow)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _forward(
        self,
        head: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        swallow: bool,
    ) -> None:
        host, port = self._upstream.hostname, self._upstream.port
        up_reader, up_writer = await asyncio.open_connection(host, port)
        up_writer.write(head)
        if swallow:
            writer.write(await up_reader.readuntil(b"\r\n\r\n"))
        pumps = [
            asyncio.create_task(self._pump(reader, up_writer, _endless())),
            asyncio.create_task(
                up_reader.read() if swallow else self._pump(up_reader, writer, self.most_bytes())
            ),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            up_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int
    ) -> None:
        while most and (data := await reader.read(min(most, 65_536))):
            most -= len(data)
            if not self.silent:
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def proxy_before(url: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(url)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()
        proxy.cut()
        await asyncio.sleep(0)
        await listening.wait_closed()


async def take(stream: Stream, *types: str, within_s: float = 5.0) -> Message:
    """The next message of one of these types."""
    async with asyncio.timeout(within_s):
        while (message := await anext(stream)).type not in types:
            pass
    return message


PRICES_ONLY = {"sessionId": None, "seq": None, "epoch": None, "symbols": ["A"], "unknown": []}
ACK = {"type": "ack", "result": PRICES_ONLY}
RESUMED = {
    "type": "ack",
    "result": PRICES_ONLY | {"sessionId": 6, "seq": 10, "epoch": "e", "recovered": True},
}
PRICE = {"type": "price_update", "data": {"symbol": "A", "price": 100}}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(ws: Handler, sse: Handler | None = None) -> AsyncIterator[str]:
    """A server that does on both endpoints what the real one does too rarely."""
    app = web.Application()
    app.router.add_get("/ws/auto-trader", ws)
    app.router.add_get("/sse/auto-trader", sse or ws)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def closing_with(code: int, *messages: dict[str, Any]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        for message in messages:
            await ws.send_json(message)
        await ws.close(code=code, message=b"because of a reason")
        return ws

    return handler


def event_stream(*messages: dict[str, Any], retry_ms: int = 0) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        lines = "".join(f"data: {json.dumps(message)}\n\n" for message in messages)
        return web.Response(text=f"retry: {retry_ms}\n{lines}", content_type="text/event-stream")

    return handler


def status(status: int, **options: Any) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, **options)

    return handler
