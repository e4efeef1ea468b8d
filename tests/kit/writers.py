"""Writers that repeat each request under its key until it is answered."""

from __future__ import annotations

import asyncio
import random
import time
from fractions import Fraction
from typing import Any

import aiohttp
import msgspec

from tests.kit.rest import API, Rest
from tests.kit.waiting import until


class Writer:
    """Opens and closes trades, repeating each request under its key until it is answered."""

    def __init__(
        self,
        number: int,
        rest: Rest,
        session_id: int,
        done: asyncio.Event,
        *,
        pause_s: float = 0.0,
    ) -> None:
        self.acknowledged_open: dict[str, int] = {}
        self.acknowledged_closed: dict[str, dict[str, Any]] = {}
        self.answers = 0
        self.refusals = 0
        self.longest_s = 0.0
        """How long the slowest answer took, also a refusal."""
        self._pause_s = pause_s
        self._name = f"writer {number}"
        self._chance = random.Random(number)
        self._rest = rest
        self.session_id = session_id
        self._done = done

    async def run(self) -> None:
        count = 0
        while not self._done.is_set():
            count += 1
            await asyncio.sleep(self._pause_s)
            opening, closing = f"{self._name} opens {count}", f"{self._name} closes {count}"
            entry = self._chance.randrange(900, 1100) / 10
            order = {"symbol": "NIFTY", "quantity": 7, "entryPrice": entry}
            made = await self._until_answered(
                f"/sessions/{self.session_id}/trades", order, opening, {201}
            )
            self.acknowledged_open[opening] = made["tradeId"]
            if self._chance.random() < 0.8:
                price = {"price": self._chance.randrange(900, 1100) / 10}
                self.acknowledged_closed[closing] = await self._until_answered(
                    f"/trades/{made['tradeId']}/close", price, closing, {200}
                )

    async def _until_answered(
        self, path: str, body: dict[str, Any], key: str, good: set[int]
    ) -> dict[str, Any]:
        while True:
            began_s = time.monotonic()
            try:
                status, answer = await self._rest.call("POST", path, body, Idempotency_Key=key)
            except (aiohttp.ClientError, OSError):
                status, answer = 503, {}
            self.longest_s = max(self.longest_s, time.monotonic() - began_s)
            if status in good:
                self.answers += 1
                return answer
            assert status == 503, (status, answer)
            self.refusals += 1
            await asyncio.sleep(0.02)


async def everybody_writes(writers: list[Writer]) -> None:
    """Wait until each writer got some more answers; then all are in the middle of the next."""
    goals = [writer.answers + 4 for writer in writers]
    await until(
        lambda: all(w.answers >= goal for w, goal in zip(writers, goals, strict=True)), within_s=15
    )


async def raw_history(rest: Rest, session_id: int) -> list[bytes]:
    """The bytes of all events of a session."""
    async with rest.http.get(f"{rest.url}{API}/sessions/{session_id}/events?since=0") as response:
        assert response.status == 200
        raw = msgspec.json.decode(await response.read(), type=dict[str, msgspec.Raw])
    return [bytes(event) for event in msgspec.json.decode(raw["events"], type=list[msgspec.Raw])]


def figures_of(events: list[dict[str, Any]], capital: int) -> dict[str, Any]:
    """A session's figures by the arithmetic of the protocol."""
    pnls = [Fraction(str(e["data"]["pnl"])) for e in events if e["type"] == "trade_closed"]
    wins = sum(pnl > 0 for pnl in pnls)
    opened = len(events) - len(pnls)
    return {
        "totalTrades": opened,
        "openTrades": opened - len(pnls),
        "winningTrades": wins,
        "losingTrades": sum(pnl < 0 for pnl in pnls),
        "totalPnL": float(sum(pnls)),
        "todayPnL": float(sum(pnls)),
        "currentCapital": float(capital + sum(pnls)),
        "winRate": (Fraction(wins * 10_000, len(pnls)) + Fraction(1, 2)).__floor__() / 100,
        "seq": len(events),
    }


async def assert_told_once(
    rest: Rest, session_id: int, history: list[bytes], writers: list[Writer]
) -> None:
    """The events of a session are those that its writers were told of, each once."""
    events: list[dict[str, Any]] = [msgspec.json.decode(event) for event in history]
    assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    _, session = await rest.call("GET", f"/sessions/{session_id}")
    figures = figures_of(events, capital=50_000)
    assert {name: session[name] for name in figures} == figures

    own = [writer for writer in writers if writer.session_id == session_id]
    opened = [trade_id for writer in own for trade_id in writer.acknowledged_open.values()]
    closed = {
        answer["tradeId"]: answer
        for writer in own
        for answer in writer.acknowledged_closed.values()
    }
    assert len(set(opened)) == len(opened), "each key opened a trade of its own"
    by_kind: dict[str, list[dict[str, Any]]] = {"trade_opened": [], "trade_closed": []}
    for event in events:
        by_kind[event["type"]].append(event["data"])
    assert sorted(data["tradeId"] for data in by_kind["trade_opened"]) == sorted(opened)
    assert sorted(data["tradeId"] for data in by_kind["trade_closed"]) == sorted(closed)
    for data in by_kind["trade_closed"]:
        answered = closed[data["tradeId"]]
        assert {name: answered[name] for name in data} == data
        assert await rest.call("GET", f"/trades/{data['tradeId']}") == (200, answered)
