"""``kill -9`` of the server loses of its bars what was not saved in the last second."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit.rest import Rest
from tests.kit.server import MakeServer
from tests.kit.waiting import until
from vyomo_rt.domain.moment import MINUTE_MS, iso, minute_of
from vyomo_rt.store.bars import SavedBars
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import uri_of_running
from vyomo_rt.store.journal import MongoStore


async def minutes(rest: Rest) -> list[dict[str, Any]]:
    status, document = await rest.call("GET", "/bars?symbol=BANKNIFTY&interval=1m")
    assert status == 200, document
    bars: list[dict[str, Any]] = document["bars"]
    return bars


async def test_a_killed_server_goes_on_with_the_minute_that_it_had_saved_and_says_so(
    server_process: MakeServer, tmp_path: Path
) -> None:
    start_ms = minute_of(int(time.time() * 1000)) - 2 * MINUTE_MS
    server = server_process("--trade-on-delayed")
    await server.start()
    uri = uri_of_running(tmp_path / "data")
    assert uri is not None
    store = MongoStore(connect(uri), "vyomo")

    async def has_saved() -> bool:
        standings = (await SavedBars(store).load()).standings
        return [standing.bar.count for standing in standings] == [3]

    async with aiohttp.ClientSession() as http:
        rest = Rest(server.url, http)
        session_id = await rest.new_session()
        await rest.tick("BANKNIFTY", 100, ts=start_ms)
        await rest.open_trade(session_id, entryPrice=100)
        for second in (1, 60, 61, 62):
            await rest.tick("BANKNIFTY", 100 + second / 100, ts=start_ms + 1000 * second)
        await until(has_saved)
        await server.kill()
        await store.close()
        again = server_process("--trade-on-delayed")
        await again.start()
        rest = Rest(again.url, http)
        first, killed = await minutes(rest)
        assert (first["close"], first["count"]) == (100.01, 1)
        assert killed == {
            "start": iso(start_ms + MINUTE_MS), "open": 100.6, "high": 100.62, "low": 100.6,
            "close": 100.62, "count": 3, "partial": True,
        }  # fmt: skip
        for second in (100, 121):
            await rest.tick("BANKNIFTY", 99 + second / 100, ts=start_ms + 1000 * second)
        assert (await minutes(rest))[1:] == [
            killed | {"low": 100, "close": 100, "count": 4},
            {"start": iso(start_ms + 2 * MINUTE_MS), "open": 100.21, "high": 100.21, "low": 100.21,
             "close": 100.21, "count": 1},
        ]  # fmt: skip
