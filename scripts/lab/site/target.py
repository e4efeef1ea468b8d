"""The server under load, through its REST calls: symbols, a session of our own, its trades."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct

API = "/api/auto-trader"
_TIMEOUT_S = 10.0
_PINGS = 10
AWAY = (aiohttp.ClientError, OSError, TimeoutError)
"""What a call raises if nobody answers it."""


class TargetError(Exception):
    """The server cannot be tested; the text says why and what to do."""


class _Events(Struct):
    events: list[msgspec.Raw]
    seq: int


class Target:
    """A running server."""

    def __init__(self, url: str, address: str, http: aiohttp.ClientSession) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self.tls = parts.scheme == "https"
        self.host = parts.netloc
        self.port = parts.port or _default_port(parts.scheme)
        self.address = address
        self._http = http

    @property
    def is_local(self) -> bool:
        """Whether the server's address is one of this machine's."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with socket.socket(family) as probe:
            try:
                probe.bind((self.address, 0))
            except OSError:
                return False
        return True

    async def call(self, method: str, path: str, body: Any = None) -> bytes:
        """The body of an answer. Raises TargetError for an error or none."""
        try:
            async with self._http.request(method, f"{self.url}{API}{path}", json=body) as response:
                answer = await response.read()
                if response.ok:
                    return answer
                problem = f"{response.status} {_detail(answer)}"
        except AWAY as error:
            problem = str(error) or type(error).__name__
        raise TargetError(f"{method} {path.partition('?')[0]}: {problem}")

    async def prices(self) -> dict[str, float]:
        """The last price of each symbol that has one, in the server's order."""
        answer = msgspec.json.decode(await self.call("GET", "/prices"))
        return {price["symbol"]: price["price"] for price in answer["prices"]}

    async def accepted_ticks(self) -> float:
        """How many ticks it has accepted so far."""
        try:
            async with self._http.get(f"{self.url}/metrics") as response:
                lines = (await response.text()).splitlines()
        except AWAY as error:
            raise TargetError(f"GET /metrics: {error}") from error
        ours = [line for line in lines if line.startswith("vyomo_rt_ticks_total{")]
        return sum(float(line.split()[-1]) for line in ours if '"accepted"' in line)

    async def new_session(self, *, decided_there: bool = False) -> int:
        """A session that nobody else trades in; if asked for, one about which this node decides."""
        name = f"load test {time.strftime('%Y-%m-%d %H:%M:%S')}"
        body = {"name": name, "startingCapital": 1_000_000}
        while True:
            before = await self._hops() if decided_there else 0
            session = msgspec.json.decode(await self.call("POST", "/sessions", body))
            if not decided_there or await self._hops() == before:
                return int(session["sessionId"])

    async def _hops(self) -> int:
        """How many commands other nodes have carried out for it."""
        return int(msgspec.json.decode(await self.call("GET", "/cluster"))["hops"])

    async def stop_session(self, session_id: int) -> None:
        await self.call("PATCH", f"/sessions/{session_id}", {"status": "STOPPED"})

    async def events(self, session_id: int) -> list[str]:
        """The text of every stored event of a session: that of number n is at index n - 1."""
        texts: list[str] = []
        while True:
            path = f"/sessions/{session_id}/events?since={len(texts)}"
            answer = msgspec.json.decode(await self.call("GET", path), type=_Events)
            texts += (bytes(event).decode() for event in answer.events)
            if len(texts) >= answer.seq or not answer.events:
                return texts

    async def clock_offset(self) -> tuple[float, float]:
        """How many ms the server's clock is ahead of ours, and how wrong that may be.

        It takes the quickest of a few pings: its answer was stamped somewhere between sending
        and receipt, and the stamp is cut to a millisecond. Raises TargetError.
        """
        best_ms, offset_ms = float("inf"), 0.0
        try:
            async with self._http.ws_connect(f"{self.url}/ws/auto-trader") as ws:
                for _ in range(_PINGS):
                    sent_ms = time.time() * 1000
                    await ws.send_str('{"type":"ping"}')
                    pong = await ws.receive_json(timeout=_TIMEOUT_S)
                    took_ms = time.time() * 1000 - sent_ms
                    stamp_ms = datetime.fromisoformat(pong["timestamp"]).timestamp() * 1000
                    if took_ms < best_ms:
                        best_ms, offset_ms = took_ms, stamp_ms + 0.5 - (sent_ms + took_ms / 2)
        except (*AWAY, TypeError, ValueError) as error:
            raise TargetError(f"no ping over WebSocket: {error or type(error).__name__}") from error
        return offset_ms, best_ms / 2 + 0.5


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Target]:
    """A server at an address like ``http://localhost:4025``. Raises TargetError."""
    parts = urlsplit(url)
    port = parts.port or _default_port(parts.scheme)
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(parts.hostname, port), _TIMEOUT_S
        )
    except AWAY as error:
        reason = getattr(error, "strerror", None) or str(error) or "no answer"
        raise TargetError(f"cannot connect to {url}: {reason}; is the server running?") from error
    address = writer.get_extra_info("peername")[0]
    writer.close()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as http:
        yield Target(url, address, http)


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _detail(answer: bytes) -> str:
    try:
        problem = msgspec.json.decode(answer)
        return str(problem["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return answer[:200].decode(errors="replace").strip()
