"""A network between server and MongoDB that cuts, delays, resets and swallows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_plus

import aiohttp
import pytest

from tests.kit.machine import Strain
from tests.kit.proxy import Proxy, proxy_before
from tests.kit.rest import Rest
from tests.kit.server import server_processes
from tests.kit.waiting import PATIENCE_S, until
from tests.kit.writers import Writer, assert_told_once, raw_history
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.verification import verify

pytestmark = pytest.mark.quiet(11)

MOST_ANSWER_S = 2.5
"""Two seconds are promised. A busy machine may take the more for this and what follows."""
MOST_GAP_S = 1.0
MOST_RECOVERY_S = 5.0


class Watcher:
    """Follows prices and a session; notes the longest pause between two prices."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.events: list[bytes] = []
        self.longest_gap_s = 0.0
        self.prices = 0
        self._ws = ws

    async def run(self) -> None:
        last = None
        async for message in self._ws:
            told = message.json()
            if told["type"] == "price_update":
                now = time.monotonic()
                self.longest_gap_s = max(self.longest_gap_s, now - (last or now))
                self.prices, last = self.prices + 1, now
            elif told["type"] in {"trade_opened", "trade_closed"}:
                self.events.append(message.data.encode())


FAULTS: dict[str, Callable[[Proxy], None]] = {
    "answers are cut off": Proxy.cut_answers,
    "3 s late": lambda proxy: proxy.delay(3.0),
    "reset": Proxy.reset,
    "a black hole": Proxy.black_hole,
}


async def test_commands_are_refused_in_time_prices_go_on_and_each_trade_is_there_once(
    tmp_path: Path,
) -> None:
    """The faults at one time, each between a server and a database of its own: most is waiting."""
    async with asyncio.TaskGroup() as group:
        for name, break_ in FAULTS.items():
            group.create_task(survive(break_, tmp_path / name.replace(" ", "-")), name=name)


async def survive(break_: Callable[[Proxy], None], folder: Path) -> None:
    mongodb = EmbeddedServer(folder)
    mongodb_uri = await mongodb.start()
    socket = unquote_plus(mongodb_uri.removeprefix("mongodb://").rstrip("/"))
    try:
        async with proxy_before(socket) as proxy, server_processes(folder / "none") as make:
            server = make("--mongo-uri", f"mongodb://127.0.0.1:{proxy.port}/", "--feed", "sim")
            await through_a_fault(await server.start(), proxy, break_)
            assert await server.stop() == 0
        assert "Traceback" not in "".join(server.output)

        store = MongoStore(connect(mongodb_uri), "vyomo_sim")
        said: list[str] = []
        verdict = await verify(store, said.append)
        assert (verdict.differences, verdict.late_copies) == (0, 0), said
        await store.close()
    finally:
        await mongodb.stop()


async def through_a_fault(url: str, proxy: Proxy, break_: Callable[[Proxy], None]) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/ws/auto-trader") as ws:
        rest = Rest(url, http)
        sessions = [await rest.new_session() for _ in range(2)]
        await ws.send_json({"type": "subscribe_session", "sessionId": sessions[0]})
        await ws.send_json({"type": "subscribe_prices", "symbols": ["NIFTY"], "priceInterval": 100})
        watcher = Watcher(ws)
        watching = asyncio.create_task(watcher.run())
        done = asyncio.Event()
        writers = [Writer(n, rest, sessions[n % 2], done, pause_s=0.05) for n in range(4)]
        writing = [asyncio.create_task(writer.run()) for writer in writers]

        async def is_ready() -> bool:
            async with http.get(f"{url}/readyz") as response:
                return response.status == 200

        async def is_not_ready() -> bool:
            return not await is_ready()

        def has_written(times: int) -> bool:
            return all(len(writer.acknowledged_closed) >= times for writer in writers)

        await until(lambda: has_written(2) and watcher.prices > 2)
        strain = Strain()
        broke_at, seen = time.monotonic(), watcher.prices
        break_(proxy)
        await until(is_not_ready)
        await until(lambda: all(writer.refusals for writer in writers))
        await until(lambda: time.monotonic() - broke_at > 5)
        assert await is_not_ready(), "as long as it lasts"
        assert watcher.prices > seen + 10 / strain.factor()
        reached = max(len(writer.acknowledged_closed) for writer in writers)

        proxy.mend()
        mended_at = time.monotonic()
        await until(is_ready)
        await until(lambda: has_written(reached + 1))
        assert time.monotonic() - mended_at < MOST_RECOVERY_S * strain.factor()
        done.set()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*writing)
        assert max(writer.longest_s for writer in writers) < MOST_ANSWER_S * strain.factor()
        assert watcher.longest_gap_s < MOST_GAP_S * strain.factor()

        for session_id in sessions:
            history = await raw_history(rest, session_id)
            await assert_told_once(rest, session_id, history, writers)
            if session_id == sessions[0]:
                await until(lambda: len(watcher.events) >= len(history))  # noqa: B023
                assert watcher.events == history
        watching.cancel()
