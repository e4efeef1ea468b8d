"""A program that is told, as a real server on a free port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "correct horse battery staple 1234"


@dataclass
class Told:
    """A request as it came."""

    key: str
    signature: str | None
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def seq(self) -> int:
        return int(self.json["seq"])


@dataclass
class Hook:
    """What came, and how each is answered."""

    url: str = ""
    told: list[Told] = field(default_factory=list)
    status: Callable[[Told], int] = lambda _: 204
    refused: int = 0

    @property
    def taken(self) -> list[str]:
        """The keys of what was taken, in the order in which it came."""
        return [told.key for told in self.told]

    def of(self, session_id: int) -> list[Told]:
        return [told for told in self.told if told.key.startswith(f"{session_id}-")]

    async def take(self, request: web.Request) -> web.Response:
        told = Told(
            request.headers["Idempotency-Key"],
            request.headers.get("Vyomo-Signature"),
            await request.read(),
        )
        status = self.status(told)
        if status < 300:
            self.told.append(told)
        else:
            self.refused += 1
        return web.Response(status=status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    """A receiver; it goes away with the block."""
    made = Hook()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/hook?token=t0ken"
    try:
        yield made
    finally:
        await runner.cleanup()
