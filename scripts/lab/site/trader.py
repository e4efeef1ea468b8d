"""Somebody who trades at a server under load: plainly, or with everything that a desk can do."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import msgspec

from lab.site.target import Target, TargetError


class Trader:
    """Opens trades in a session at a pace, and closes each before it opens the next."""

    def __init__(
        self, target: Target, session_id: int, symbol: str, price: float, trades_per_s: float
    ) -> None:
        self.opened = 0
        self.closed = 0
        self.failed: Counter[str] = Counter()
        self.sent_ms: list[float] = []
        """When each command that succeeded was sent, in epoch milliseconds."""
        self._target = target
        self._symbol, self._price = symbol, price
        self._session = f"/sessions/{session_id}"
        self._half_period_s = 0.5 / trades_per_s if trades_per_s else None
        self._stopping = asyncio.Event()
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Close what is open, and stop trading."""
        self._stopping.set()
        await self._running

    async def _run(self) -> None:
        if self._half_period_s is None:
            return
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while not self._stopping.is_set():
            try:
                trade_path = f"/trades/{await self._open()}"
                self.opened += 1
                await self._pause(due_s + self._half_period_s - loop.time())
                await self._close(trade_path)
                self.closed += 1
            except TargetError as problem:
                self.failed[str(problem)] += 1
            # A server that cannot keep the pace is not asked to catch up.
            due_s = max(due_s + 2 * self._half_period_s, loop.time())
            await self._pause(due_s - loop.time())

    async def _open(self) -> int:
        return await self._open_trade(quantity=1)

    async def _close(self, trade_path: str) -> None:
        await self._send("POST", f"{trade_path}/close")

    async def _open_trade(self, **body: Any) -> int:
        body |= {"symbol": self._symbol, "entryPrice": self._price}
        trade = msgspec.json.decode(await self._send("POST", f"{self._session}/trades", body))
        return int(trade["tradeId"])

    async def _send(self, method: str, path: str, body: Any = None) -> bytes:
        sent_ms = time.time() * 1000
        answer = await self._target.call(method, path, body)
        self.sent_ms.append(sent_ms)
        return answer

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            try:
                await asyncio.wait_for(self._stopping.wait(), seconds)
            except TimeoutError:
                return


class BusyTrader(Trader):
    """Makes each of the seven kinds of event with every trade: eight events in all.

    Its guards and its pending entry lie so far from the price that nothing fires by itself.
    """

    EVENTS_PER_TRADE = 8

    async def _open(self) -> int:
        far_below, far_above = round(self._price / 2, 4), round(self._price * 2, 4)
        trade_id = await self._open_trade(quantity=2, stopLoss=far_below, tags=["load-test"])
        await self._send("PATCH", f"/trades/{trade_id}", {"target": far_above})
        order = {"symbol": self._symbol, "quantity": 1, "type": "LIMIT", "price": far_below}
        await self._send("POST", f"{self._session}/orders", order)
        return trade_id

    async def _close(self, trade_path: str) -> None:
        await self._send("PATCH", self._session, {"status": "PAUSED"})  # ends the order as well
        await self._send("PATCH", self._session, {"status": "ACTIVE"})
        await self._send("POST", f"{trade_path}/close", {"quantity": 1})
        await self._send("POST", f"{trade_path}/close")
