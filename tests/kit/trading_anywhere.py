"""Clients that trade and watch on any node, and a comparison of what all nodes say."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp

from tests.kit.nodes import Nodes
from tests.kit.rest import Rest
from tests.kit.waiting import until

Trades = dict[int, list[int]]
"""The trades that were opened, by session."""


async def trade_everywhere(nodes: Nodes, meanwhile: Awaitable[None]) -> None:
    """Trade and watch on all nodes while something happens, then compare what they say."""
    chance = random.Random(1)
    made = [
        await settle(nodes, chance, "/sessions", {"startingCapital": 1000}, f"session {n}")
        for n in range(6)
    ]
    sessions = [int(session["sessionId"]) for session in made]
    over = asyncio.Event()
    watchers = [Watcher(nodes, id_, seed) for seed, id_ in enumerate(sessions)]
    trading = asyncio.gather(
        *(trade(nodes, id_, seed, over.is_set) for seed, id_ in enumerate(sessions)),
        push(nodes, over.is_set),
    )
    try:
        await meanwhile
    finally:
        over.set()
    counts = await trading
    assert sum(counts) > 5
    for id_ in sessions:
        await agree(nodes, id_)
    for id_, watcher in zip(sessions, watchers, strict=True):
        _, session = await nodes[0].call("GET", f"/sessions/{id_}")
        assert session["openTrades"] == 0
        await watcher.saw(session["seq"])


async def trade(nodes: Nodes, session_id: int, seed: int, is_over: Callable[[], bool]) -> int:
    """Open and close trades anywhere, each request until it is settled; returns how many."""
    chance = random.Random(seed)
    count = 0
    while not is_over():
        key = f"{session_id}-{count}"
        order = {"symbol": "NIFTY", "quantity": 5, "entryPrice": 100 + count % 7}
        trade = await settle(nodes, chance, f"/sessions/{session_id}/trades", order, key)
        path = f"/trades/{trade['tradeId']}/close"
        closed = await settle(nodes, chance, path, {"price": 110}, f"close {key}")
        assert closed["status"] == "CLOSED"
        count += 1
    return count


async def settle(
    nodes: Nodes, chance: random.Random, path: str, body: dict[str, Any], key: str
) -> dict[str, Any]:
    """Ask any node, and again under the same key while the answer is 503."""
    async with asyncio.timeout(60):
        while True:
            with suppress(aiohttp.ClientError):
                node = chance.choice(nodes.all)
                status, answer = await node.call("POST", path, body, Idempotency_Key=key)
                if status in (200, 201):
                    return answer
                assert status == 503, (status, answer)
            await asyncio.sleep(0.05)


async def push(nodes: Nodes, is_over: Callable[[], bool]) -> int:
    """Push rising prices to any node; all end with the last one."""
    chance = random.Random(7)
    price = 100.0
    while not is_over():
        price += 0.05
        with suppress(aiohttp.ClientError):
            node = chance.choice(nodes.all)
            await node.call("POST", "/ticks", {"symbol": "NIFTY", "price": round(price, 2)})
        await asyncio.sleep(0.02)
    return 0


async def agree(nodes: Nodes, session_id: int) -> None:
    """All nodes come to say the same of a session."""

    async def is_said_by_all() -> bool:
        found = []
        with suppress(aiohttp.ClientError):
            for node in nodes.all:
                _, session = await node.call("GET", f"/sessions/{session_id}")
                _, events = await node.call("GET", f"/sessions/{session_id}/events?since=0")
                session.pop("timestamp", None)
                found.append((session, events.get("events")))
        return len(found) == len(nodes) and all(each == found[0] for each in found)

    await until(is_said_by_all)


class Watcher:
    """Watches a session, and moves to another node now and then with its position."""

    def __init__(self, nodes: Nodes, session_id: int, seed: int) -> None:
        self.seen = 0
        self._nodes = nodes
        self._session_id = session_id
        self._chance = random.Random(seed)
        self._task = asyncio.create_task(self._hop())

    async def saw(self, seq: int) -> None:
        """It has had every event up to this one, once and in order."""
        await until(lambda: self._task.done() or self.seen == seq)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _hop(self) -> None:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(self._chance.uniform(0.2, 1.5)):
                    await self._watch(self._chance.choice(self._nodes.all))
            await asyncio.sleep(0.01)

    async def _watch(self, node: Rest) -> None:
        url = node.url.replace("http", "ws") + "/ws/auto-trader"
        async with node.http.ws_connect(url) as stream:
            asked = {"type": "subscribe_session", "sessionId": self._session_id}
            await stream.send_json({**asked, "since": self.seen})
            async for message in stream:
                event = message.json()
                if event["type"].startswith("trade_"):
                    assert event["seq"] == self.seen + 1
                    self.seen = event["seq"]
                assert event.get("recovered", True)
