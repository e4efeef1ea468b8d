"""For tests of the Python client: strange servers, waiting for a message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.kit.waiting import PATIENCE_S
from vyomo_rt_client import Message, Stream


async def take(stream: Stream, *types: str, within_s: float = PATIENCE_S) -> Message:
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
    async with _serving(app) as url:
        yield url


@asynccontextmanager
async def calls_to(handler: Handler) -> AsyncIterator[str]:
    """A server that answers every call by one handler."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with _serving(app) as url:
        yield url


@asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[str]:
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
