"""A session on the server, traded over REST by somebody else than the browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.kit.rest import API, Rest


class Desk:
    """Makes, trades and reads one session."""

    def __init__(self, http: aiohttp.ClientSession, session_id: int) -> None:
        self._http = http
        self.session_id = session_id

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, session_id: int = 0, **fields: Any) -> AsyncIterator[Desk]:
        """A session that exists, or a new one with 50 000 or with `fields`."""
        async with aiohttp.ClientSession(url) as http:
            desk = cls(http, session_id)
            if not session_id:
                made = await desk.post("sessions", {"startingCapital": 50_000} | fields)
                desk.session_id = made["sessionId"]
            yield desk

    async def open(self, symbol: str = "RELIANCE", **order: Any) -> int:
        order = {"symbol": symbol, "quantity": 50} | order
        trade = await self.post(f"sessions/{self.session_id}/trades", order)
        return int(trade["tradeId"])

    async def close(self, trade_id: int, **at: Any) -> None:
        await self.post(f"trades/{trade_id}/close", at)

    async def change(self, **fields: Any) -> None:
        path = f"{API}/sessions/{self.session_id}"
        async with self._http.patch(path, json=fields) as response:
            assert response.ok, await response.text()

    async def change_trade(self, trade_id: int, **guards: Any) -> None:
        async with self._http.patch(f"{API}/trades/{trade_id}", json=guards) as response:
            assert response.ok, await response.text()

    async def trades(self) -> list[dict[str, Any]]:
        """Those that are open."""
        path = f"{API}/sessions/{self.session_id}/trades?status=OPEN"
        async with self._http.get(path) as response:
            trades: list[dict[str, Any]] = (await response.json())["trades"]
            return trades

    async def open_trades(self) -> list[int]:
        return [trade["tradeId"] for trade in await self.trades()]

    async def tick(self, *ticks: dict[str, Any]) -> None:
        answer = await self.post("ticks", list(ticks))
        assert answer["accepted"] == len(ticks), answer

    async def trade_ids(self) -> list[tuple[str, int]]:
        """What happened to which trade, newest first."""
        path = f"{API}/sessions/{self.session_id}/events?since=0"
        async with self._http.get(path) as response:
            events = (await response.json())["events"]
        return [
            (event["type"], event["data"]["tradeId"])
            for event in reversed(events)
            if event["type"].startswith("trade_")
        ]

    async def figures(self) -> dict[str, Any]:
        async with self._http.get(f"{API}/sessions/{self.session_id}") as response:
            document: dict[str, Any] = await response.json()
            return document

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        status, document = await Rest("", self._http).asked(f"/{path}", body)
        assert status < 300, document
        return document
