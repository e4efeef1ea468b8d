"""How the soaked server or nodes are called, and when they are disturbed on purpose."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import msgspec

from lab.site.target import API, AWAY
from lab.soak.violated import Violated

_TIMEOUT = aiohttp.ClientTimeout(total=15)


class _Page(msgspec.Struct):
    events: list[msgspec.Raw]


class Site:
    """The addresses of the soaked server or nodes, and whether they are disturbed on purpose."""

    def __init__(self, http: aiohttp.ClientSession, rng: random.Random) -> None:
        self.http = http
        self.rng = rng
        self.urls: list[str] = []
        self.stopping = asyncio.Event()
        self.refusals = 0
        """How often a call was answered by 503."""
        self.slowest_refusal_s = 0.0
        self._disturbances = 0
        self._is_disturbed = False

    @property
    def url(self) -> str:
        """Any node, another one each time."""
        return self.rng.choice(self.urls)

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """While the block runs, connections may be lost and requests go unanswered."""
        self._disturbances += 1
        self._is_disturbed = True
        try:
            yield
        finally:
            self._is_disturbed = False

    @property
    def calm(self) -> int | None:
        """The same number as long as nothing disturbs the server; None while something does."""
        return None if self._is_disturbed else self._disturbances

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = None,
        *,
        url: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a call to a node, or to any. Raises one of AWAY if it is away."""
        headers = {"Idempotency-Key": key} if key else {}
        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        began_s = time.monotonic()
        async with self.http.request(
            method, f"{url or self.url}{API}{path}", data=data, headers=headers, timeout=_TIMEOUT
        ) as response:
            if response.status == 503:
                self._note_refusal(f"{method} {path}", response, time.monotonic() - began_s)
            return response.status, msgspec.json.decode(await response.read())

    def _note_refusal(self, what: str, response: aiohttp.ClientResponse, took_s: float) -> None:
        self.refusals += 1
        self.slowest_refusal_s = max(self.slowest_refusal_s, took_s)
        if "Retry-After" not in response.headers:
            raise Violated(f"a 503 says when to try again: {what}")

    async def events(self, url: str, session_id: int, since: int) -> tuple[int, list[bytes]]:
        """Status and texts of a session's stored events after a number, as a node has them."""
        path = f"/sessions/{session_id}/events?since={since}"
        async with self.http.get(f"{url}{API}{path}", timeout=_TIMEOUT) as response:
            if response.status != 200:
                return response.status, []
            page = msgspec.json.decode(await response.read(), type=_Page)
            return 200, [bytes(event) for event in page.events]

    async def until_answered(
        self, path: str, body: Any, key: str | None, good: set[int], *, method: str = "POST"
    ) -> tuple[int, dict[str, Any]]:
        """Repeat a request under its key until it is answered with more than *try again*."""
        while True:
            try:
                status, answer = await self.call(method, path, body, key)
            except AWAY:
                status, answer = 503, {}
            except msgspec.DecodeError as error:
                raise Violated(f"answers are JSON: {method} {path}: {error}") from error
            if status in good:
                return status, answer
            if status != 503:
                raise Violated(
                    f"a right request is not refused: {method} {path}: {status} {answer}"
                )
            await asyncio.sleep(self.rng.uniform(0.02, 0.2))
