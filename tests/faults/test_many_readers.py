"""A hundred readers of a long history at one time, as after a restart, beside trades and stops.

Slow, so it is run by ``pytest -m slow`` only; with ``-s`` it prints its figures.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.kit.history import make_store
from tests.kit.machine import rss_mb
from tests.kit.rest import API, Rest
from tests.kit.server import MakeServer
from tests.kit.streams import Stream, watching

READERS, EVENTS = 100, 10_000
OPEN_AT_ONCE = 10
WARM_UP_S, QUIET_S = 1.0, 5.0
MOST_S, MOST_P99_S, MOST_MB = 120.0, 0.05, 50.0
LATE_S = 0.02
"""An event is told in the step in which the store's answer is read: so late is the loop."""

_LAG = re.compile(r'event_loop_lag_seconds_bucket\{le="(.*?)"\} (.*)')


def p99(times_s: list[float]) -> float:
    return sorted(times_s)[int(len(times_s) * 0.99)]


async def timed(work: Awaitable[object]) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began


async def trade_s(rest: Rest, session_id: int) -> float:
    """How long an opening takes; its trade is closed again, since a session takes only so many."""
    opening = asyncio.ensure_future(rest.open_trade(session_id))
    took_s = await timed(opening)
    await rest.close_trade((await opening)["tradeId"], 196)
    return took_s


async def on_time(rest: Rest) -> tuple[float, float]:
    """Ticks of the server's clock that were not too late, and all of them."""
    async with rest.http.get(f"{rest.url}/metrics") as response:
        counts = {float(le): float(n) for le, n in _LAG.findall(await response.text())}
    return counts[LATE_S], max(counts.values())


async def stop_s(rest: Rest, session_id: int, stream: Stream) -> float:
    """From a price that reaches a stop to the event."""
    await rest.tick("STOP", 100)
    await rest.open_trade(session_id, symbol="STOP", entryPrice=100, stopLoss=99)
    return await timed(asyncio.gather(rest.tick("STOP", 98.9), stopped(stream)))


async def stopped(stream: Stream) -> None:
    while (await stream.next("trade_closed"))["data"]["exitReason"] != "SL":
        pass


async def read_all(rest: Rest) -> int:
    size = 0
    async with rest.http.get(f"{rest.url}{API}/sessions/1/events?since=0") as response:
        assert response.status == 200
        async for part in response.content.iter_any():
            size += len(part)
    return size


async def beside(
    rest: Rest, session_id: int, stream: Stream, is_over: Callable[[], bool]
) -> tuple[list[float], list[float]]:
    """How long trades and stops take meanwhile."""
    trades, stops = [], []
    while not is_over():
        trades.append(await trade_s(rest, session_id))
        stops.append(await stop_s(rest, session_id, stream))
        await asyncio.sleep(0.01)
    return trades, stops


@pytest.mark.slow(18)
@pytest.mark.quiet
@pytest.mark.timeout(400)
async def test_reads_never_starve_trades(server_process: MakeServer, tmp_path: Path) -> None:
    await make_store(tmp_path / "data", (EVENTS + OPEN_AT_ONCE) // 2, open_at_once=OPEN_AT_ONCE)
    server = server_process("--feed", "ingest")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        rest = Rest(await server.start(), http)
        session_id = await rest.new_session()
        async with watching("ws", rest.url, sessionId=session_id) as stream:
            warm = time.monotonic() + WARM_UP_S
            await beside(rest, session_id, stream, lambda: time.monotonic() > warm)
            quiet = time.monotonic() + QUIET_S
            alone, _ = await beside(rest, session_id, stream, lambda: time.monotonic() > quiet)
            before_mb, (punctual, ticks) = rss_mb(server.process.pid), await on_time(rest)
            began = time.monotonic()
            reading = asyncio.gather(*(read_all(rest) for _ in range(READERS)))
            trades, stops = await beside(rest, session_id, stream, reading.done)
            took_s = time.monotonic() - began
            after_mb, (punctual_then, ticks_then) = rss_mb(server.process.pid), await on_time(rest)
            quiet = time.monotonic() + QUIET_S
            again, _ = await beside(rest, session_id, stream, lambda: time.monotonic() > quiet)
    assert len(set(await reading)) == 1
    share = (punctual_then - punctual) / (ticks_then - ticks)
    print(
        f"{READERS} readers of {EVENTS} events in {took_s:.1f} s; trades p99 "
        f"{p99(trades) * 1000:.0f} ms (alone {p99(alone) * 1000:.0f}), stops p99 "
        f"{p99(stops) * 1000:.0f} ms; {share:.0%} of ticks within 20 ms; "
        f"{after_mb - before_mb:+.0f} MB; load {os.getloadavg()[0]:.1f}"
    )
    assert took_s < MOST_S
    assert after_mb - before_mb < MOST_MB
    # A machine that is busy with others is slow without any reader, too: before or after them.
    without_s = max(p99(alone), p99(again))
    assert p99(trades) < max(MOST_P99_S, 4 * without_s), (alone, again, trades)
    assert share > 0.8
