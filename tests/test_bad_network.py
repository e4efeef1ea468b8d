"""A network between server and MongoDB that cuts, delays, resets and swallows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import aiohttp
import pytest

from tests.kit.proxy import Proxy
from tests.kit.rest import API, Rest
from tests.kit.server import MakeServer
from tests.kit.waiting import until
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.mongo import MongoStore, connect
from vyomo_rt.store.verification import verify

MOST_ANSWER_S = 2.5
"""Two seconds are promised; a busy machine may need some more."""
MOST_GAP_S = 1.0
MOST_RECOVERY_S = 5.0


class Writer:
    """Opens trades and closes them, each under a key that is repeated until it is answered."""

    def __init__(self, number: int, rest: Rest, session_id: int) -> None:
        self.opened: dict[str, int] = {}
        self.closed: dict[str, int] = {}
        self.refusals = 0
        self.longest_s = 0.0
        self.done = False
        self._number = number
        self._rest = rest
        self._session_id = session_id

    async def run(self) -> None:
        while not self.done:
            count = f"{self._number}-{len(self.opened)}"
            order = {"symbol": "NIFTY", "quantity": 5, "entryPrice": 100}
            trade = await self._until_answered(
                f"/sessions/{self._session_id}/trades", order, f"opens {count}"
            )
            self.opened[f"opens {count}"] = trade["tradeId"]
            closing = f"/trades/{trade['tradeId']}/close"
            await self._until_answered(closing, {"price": 101}, f"closes {count}")
            self.closed[f"closes {count}"] = trade["tradeId"]

    async def _until_answered(self, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        while True:
            began = time.monotonic()
            status, answer = await self._rest.call("POST", path, body, Idempotency_Key=key)
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            if status in {200, 201}:
                return answer
            assert status == 503, (status, answer)
            self.refusals += 1
            await asyncio.sleep(0.02)


class Watcher:
    """Follows prices and a session; notes the longest pause between two prices."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.events: list[Any] = []
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
                self.events.append(told)


FAULTS: dict[str, Callable[[Proxy], None]] = {
    "answers are cut off": Proxy.cut_answers,
    "3 s late": lambda proxy: proxy.delay(3.0),
    "reset": Proxy.reset,
    "a black hole": Proxy.black_hole,
}


@pytest.mark.parametrize("break_", FAULTS.values(), ids=FAULTS)
async def test_commands_are_refused_in_time_prices_go_on_and_each_trade_is_there_once(
    break_: Callable[[Proxy], None],
    server_process: MakeServer,
    tmp_path: Path,
) -> None:
    mongodb = EmbeddedServer(tmp_path / "mongodb")
    mongodb_uri = await mongodb.start()
    proxy = Proxy(unquote_plus(mongodb_uri.removeprefix("mongodb://").rstrip("/")))
    try:
        async with proxy.running() as proxy_port:
            uri = f"mongodb://127.0.0.1:{proxy_port}/"
            server = server_process("--mongo-uri", uri, "--feed", "sim")
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
        writers = [Writer(number, rest, sessions[number % 2]) for number in range(4)]
        writing = [asyncio.create_task(writer.run()) for writer in writers]

        async def ready() -> int:
            async with http.get(f"{url}/readyz") as response:
                return response.status

        async def is_ready() -> bool:
            return await ready() == 200

        async def is_not_ready() -> bool:
            return not await is_ready()

        def has_written(times: int) -> bool:
            return all(len(writer.closed) >= times for writer in writers)

        await until(lambda: has_written(2) and watcher.prices > 2, within_s=15)
        broke_at, seen = time.monotonic(), watcher.prices
        break_(proxy)
        await until(is_not_ready, within_s=5)
        await until(lambda: all(writer.refusals for writer in writers), within_s=10)
        await until(lambda: time.monotonic() - broke_at > 5, within_s=10)
        assert await is_not_ready(), "as long as it lasts"
        assert watcher.prices > seen + 10
        reached = max(len(writer.closed) for writer in writers)

        proxy.mend()
        async with asyncio.timeout(MOST_RECOVERY_S):
            await until(is_ready, within_s=MOST_RECOVERY_S)
            await until(lambda: has_written(reached + 1), within_s=MOST_RECOVERY_S)
        for writer in writers:
            writer.done = True
        async with asyncio.timeout(15):
            await asyncio.gather(*writing)
        assert max(writer.longest_s for writer in writers) < MOST_ANSWER_S
        assert watcher.longest_gap_s < MOST_GAP_S

        for number, session_id in enumerate(sessions):
            own = writers[number::2]
            async with http.get(f"{url}{API}/sessions/{session_id}/events?since=0") as response:
                events = (await response.json())["events"]
            require_once(events, own)
            if number == 0:
                await until(lambda: len(watcher.events) >= len(events))  # noqa: B023
                assert watcher.events == events
        watching.cancel()


def require_once(events: list[Any], writers: list[Writer]) -> None:
    """The history holds what its writers were told of, each once, and nothing else."""
    assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    for kind in ("opened", "closed"):
        told = [id_ for writer in writers for id_ in getattr(writer, kind).values()]
        stored = [e["data"]["tradeId"] for e in events if e["type"] == f"trade_{kind}"]
        assert sorted(stored) == sorted(told)
