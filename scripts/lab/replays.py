"""How fast a replay is, and what memory it takes: a record is made up, and a server plays it."""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp

from lab.site.machine import Usage, usage
from lab.site.server import ServerUnderTest

_BEGIN_MS = 1_795_578_300_000
_STEP_MS = 25
_SYMBOLS = 10
_LINES_A_PIECE = 100_000
_LOOK_S = 0.2


class Measured(NamedTuple):
    """What a replay cost, from its first tick to its last."""

    ticks: int
    seconds: float
    cpu_s: float
    early_bytes: int
    """What was resident after a tenth of the ticks."""
    memory_bytes: int


async def measured(ticks: int, open_trades: int) -> Measured:
    """Play so many ticks as fast as possible, while so many trades are open."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.ndjson.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            for piece in _pieces(ticks, open_trades):
                file.write(piece)
        server = ServerUnderTest(Path(folder), "--feed", f"replay:{path}", "--speed", "0.1")
        try:
            await server.start()
            return await _watch(server, ticks, open_trades)
        finally:
            await server.stop()


def _pieces(ticks: int, open_trades: int) -> Iterator[bytes]:
    """Prices that wander within a percent, and no trade has a stop or target there."""
    yield b'{"v":1,"tz":"UTC"}\n'
    for number in range(_SYMBOLS):
        yield f'{{"symbol":"S{number}","price":1000,"ts":{_BEGIN_MS}}}\n'.encode()
    calls: list[tuple[str, dict[str, object]]] = [("POST /sessions", {"startingCapital": 10**9})]
    for number in range(open_trades):
        order = {"symbol": f"S{number % _SYMBOLS}", "quantity": 1, "stopLoss": 900, "target": 1100}
        calls.append(("POST /sessions/1/trades", order))
    for call, body in calls:
        line = {"at": _BEGIN_MS, "call": call, "body": body}
        yield json.dumps(line).encode() + b"\n"
    for first in range(0, ticks, _LINES_A_PIECE):
        yield b"".join(
            b'{"symbol":"S%d","price":%d.%02d,"ts":%d}\n'
            % (n % _SYMBOLS, 995 + n // 997 % 10, n * 7 % 100, _BEGIN_MS + 100 + n * _STEP_MS)
            for n in range(first, min(first + _LINES_A_PIECE, ticks))
        )


async def _watch(server: ServerUnderTest, ticks: int, open_trades: int) -> Measured:
    loop = asyncio.get_running_loop()
    assert server.pid is not None
    async with aiohttp.ClientSession() as http:
        while await _metric(http, server.url, "open_trades") < open_trades:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        begun_s, begun = loop.time(), _usage(server.pid)
        replay = f"{server.url}/api/auto-trader/replay"
        async with http.patch(replay, json={"rate": "max"}) as answer:
            answer.raise_for_status()
        early = None
        while True:
            accepted = await _metric(http, server.url, 'ticks_total{outcome="accepted"}')
            now = _usage(server.pid)
            if early is None and accepted >= ticks / 10:
                early = now
            if accepted >= ticks + _SYMBOLS:
                break
            await asyncio.sleep(_LOOK_S)
    assert early is not None
    return Measured(
        ticks,
        loop.time() - begun_s,
        now.cpu_s - begun.cpu_s,
        early.memory_bytes,
        now.memory_bytes,
    )


def _usage(pid: int) -> Usage:
    found = usage(pid)
    assert found is not None
    return found


async def _metric(http: aiohttp.ClientSession, url: str, name: str) -> float:
    async with http.get(f"{url}/metrics") as answer:
        for line in (await answer.text()).splitlines():
            if line.startswith(f"vyomo_rt_{name} "):
                return float(line.rpartition(" ")[2])
    return 0
