"""The REST calls of a server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.kit.waiting import PATIENCE_S, until

API = "/api/auto-trader"


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

    async def asked(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        """A POST that is asked again, as clients do, where a busy machine was too late."""
        key: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                status, document = await self.call("POST", path, body, **key)
                if status != 503:
                    return status, document
                if "idempotencyKey" in document:  # it may have been made
                    key = {"Idempotency_Key": document["idempotencyKey"]}
                await asyncio.sleep(0.02)

    async def made(self, path: str, body: Any) -> dict[str, Any]:
        status, document = await self.asked(path, body)
        assert status in {200, 201}, document
        return document

    async def new_session(self, capital: float = 50_000) -> int:
        session = await self.made("/sessions", {"startingCapital": capital})
        return int(session["sessionId"])

    async def tick(self, symbol: str, price: float, **more: Any) -> None:
        """Push one price, which must be accepted."""
        _, answer = await self.call("POST", "/ticks", {"symbol": symbol, "price": price, **more})
        assert answer["accepted"] == 1, answer

    async def open_trade(self, session_id: int, **order: Any) -> dict[str, Any]:
        """Open a trade, by default a BUY of 50 BANKNIFTY at 195.25."""
        order = {"symbol": "BANKNIFTY", "quantity": 50, "entryPrice": 195.25} | order
        return await self.made(f"/sessions/{session_id}/trades", order)

    async def ready(self) -> Rest:
        """Wait until it may write: the loop that a shared server lives in stands still between the
        tests that ask it, and that may take longer than its lease."""

        async def is_ready() -> bool:
            async with self.http.get(f"{self.url}/readyz") as response:
                return response.status == 200

        await until(is_ready)
        return self

    async def closed(self, trade_id: int) -> dict[str, Any]:
        """The document of a trade once it is closed."""

        async def look() -> dict[str, Any] | None:
            _, trade = await self.call("GET", f"/trades/{trade_id}")
            return trade if trade["status"] == "CLOSED" else None

        document: dict[str, Any] = await until(look)
        return document

    async def close_trade(self, trade_id: int, price: float | None = None) -> dict[str, Any]:
        body = {} if price is None else {"price": price}
        status, trade = await self.call("POST", f"/trades/{trade_id}/close", body)
        assert status == 200, trade
        return trade
