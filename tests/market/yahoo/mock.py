"""A server that answers as Yahoo does, out of recorded shapes, or fails in a given way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

_FIXTURES = Path(__file__).parent / "fixtures"
_OPEN_S = 1_790_307_900
"""The first minute of the recorded answers."""

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


def recorded(name: str) -> bytes:
    return (_FIXTURES / name).read_bytes()


class MockYahoo:
    """``rows`` is what it knows, by Yahoo's names; ``fault`` answers in its place while it is set.

    ``last_minute_s`` is the moment of the last minute in its answers.
    """

    def __init__(self, last_minute_s: int) -> None:
        self.rows: dict[str, dict[str, Any]] = json.loads(recorded("spark_v8.json"))
        self.last_minute_s = last_minute_s
        self.fault: Fault | None = None
        self.agents_refused: set[str] = set()
        self.asked: list[list[str]] = []
        self.agents: list[str] = []
        self.queries: list[str] = []
        self.at_once = self.most_at_once = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        names = request.query["symbols"].split(",")
        self.asked.append(names)
        self.agents.append(request.headers["User-Agent"])
        self.queries.append(request.raw_path)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.fault is not None:
                return await self.fault(request)
            if self.agents[-1] in self.agents_refused:
                return web.Response(status=429, body=recorded("too_many_requests.html"))
            return web.json_response({name: self.row(name) for name in names if name in self.rows})
        finally:
            self.at_once -= 1

    def row(self, name: str) -> dict[str, Any]:
        """The recorded row, its moments moved."""
        row = self.rows[name]
        if not row.get("timestamp"):
            return row
        moved_s = self.last_minute_s - _OPEN_S - 60 * 3
        return {**row, "timestamp": [second + moved_s for second in row["timestamp"]]}

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


@asynccontextmanager
async def mock_yahoo(last_minute_s: int) -> AsyncIterator[MockYahoo]:
    mock = MockYahoo(last_minute_s)
    app = web.Application()
    app.router.add_get("/v8/finance/spark", mock.answer)
    async with TestServer(app) as server:
        mock.url = str(server.make_url("/"))
        yield mock
