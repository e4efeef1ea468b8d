"""Real servers for tests, in this process or as one of their own, and how to talk to them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import pytest

from vyomo_rt.app import running
from vyomo_rt.config import Settings
from vyomo_rt.web.listening import bind_sockets

API = "/api/auto-trader"
_LISTENING = re.compile(r"listening on (http://\S+)")
_START_S = 15.0


@dataclass
class Rest:
    """The REST calls of a server, with the JSON of their answers."""

    url: str
    http: aiohttp.ClientSession

    async def call(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a call; in the names of headers ``_`` stands for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(
            method, f"{self.url}{API}{path}", json=body, headers=named
        ) as response:
            return response.status, json.loads(await response.read())

    async def new_session(self, capital: float = 50_000) -> int:
        status, session = await self.call("POST", "/sessions", {"startingCapital": capital})
        assert status == 201, session
        return int(session["sessionId"])

    async def tick(self, symbol: str, price: float, **more: Any) -> None:
        """Push one price, which must be accepted."""
        _, answer = await self.call("POST", "/ticks", {"symbol": symbol, "price": price, **more})
        assert answer["accepted"] == 1, answer

    async def open_trade(self, session_id: int, **order: Any) -> dict[str, Any]:
        """Open a trade, by default a BUY of 50 BANKNIFTY at 195.25."""
        order = {"symbol": "BANKNIFTY", "quantity": 50, "entryPrice": 195.25} | order
        status, trade = await self.call("POST", f"/sessions/{session_id}/trades", order)
        assert status == 201, trade
        return trade

    async def close_trade(self, trade_id: int, price: float | None = None) -> dict[str, Any]:
        body = {} if price is None else {"price": price}
        status, trade = await self.call("POST", f"/trades/{trade_id}/close", body)
        assert status == 200, trade
        return trade


@asynccontextmanager
async def serve_here(settings: Settings, **more: Any) -> AsyncIterator[Rest]:
    """A server in this process and loop."""
    sockets = bind_sockets(settings.host, settings.port)
    port = sockets[0].getsockname()[1]
    async with running(settings, sockets, **more), aiohttp.ClientSession() as http:
        yield Rest(f"http://127.0.0.1:{port}", http)


def children_of(pid: int) -> list[int]:
    """The processes that a server started: the one of its embedded store."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def missing(reason: str) -> NoReturn:
    """End a test that lacks something of the machine: skipped here, failed in CI."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def program(*names: str) -> str:
    """The path of the first program that is installed; without one the test ends."""
    found = next(filter(None, map(shutil.which, names)), None)
    return found or missing(f"{names[0]} is not installed")


class ServerProcess:
    """``vyomo-rt serve`` as a process of its own, to be killed and started again."""

    def __init__(self, data_dir: Path, *flags: str, port: int = 0) -> None:
        self._command = [
            sys.executable, "-m", "vyomo_rt", "serve",
            "--port", str(port), "--data-dir", str(data_dir), *flags,
        ]  # fmt: skip
        self.output: list[str] = []
        self.url = ""

    async def start(self) -> str:
        """Start and return the address that it prints."""
        self.process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(_START_S):
            async for line in self.process.stdout:
                self.output.append(line.decode())
                if match := _LISTENING.search(self.output[-1]):
                    self.url = match[1]
                    self._reader = asyncio.create_task(self._read_on())
                    return self.url
        raise AssertionError("".join(self.output))

    async def _read_on(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.output.append(line.decode())

    async def stop(self, signal_: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal_)
        code = await self.process.wait()
        if self.url:
            await self._reader
        return code

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)


async def until(condition: Callable[[], Any | Awaitable[Any]], within_s: float = 5.0) -> Any:
    """Wait until a condition holds, and return what it returned."""
    async with asyncio.timeout(within_s):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
            await asyncio.sleep(0.01)
