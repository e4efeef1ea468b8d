"""Prices that last for one tick, with trades on all shards: the owner of each must act on them."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

from lab.site.target import AWAY
from lab.soak.site import Site
from lab.soak.truth import CAPITAL, SessionTruth
from lab.soak.violated import Violated
from vyomo_rt.domain.shard import SHARDS, shard_of

_BEFORE, _SPIKE, _STOP_LOSS = 100, 94, 95
_LOOKS, _LOOK_S = 150, 0.1
_TRIES = 5
_CLOSED = {"exitReason": "SL", "exitPrice": _SPIKE, "pnl": _SPIKE - _BEFORE}


class Spikes:
    """Sessions in all shards; in each round every one has a trade that a single tick must close."""

    def __init__(self, site: Site, counts: Counter[str]) -> None:
        self.sessions: list[SessionTruth] = []
        self._site = site
        self._counts = counts
        self._rounds = 0

    async def make_sessions(self) -> None:
        """A session in each shard."""
        found: dict[int, SessionTruth] = {}
        while len(found) < SHARDS:
            body = {"startingCapital": CAPITAL}
            _, session = await self._site.until_answered("/sessions", body, None, {201})
            number = session["sessionId"]
            found.setdefault(shard_of(number), SessionTruth(number))
        self.sessions = list(found.values())

    async def round(self) -> None:
        """Spike a new symbol. What somebody has halted meanwhile is not judged. Raises Violated."""
        self._rounds += 1
        symbol = f"SPIKE{self._rounds}"
        await self._push(symbol, _BEFORE)
        for url in self._site.urls:
            await self._until_priced(url, symbol)
        opened = await asyncio.gather(*(self._open(each, symbol) for each in self.sessions))
        trades = [trade_id for trade_id in opened if trade_id is not None]
        await self._push(symbol, _SPIKE)
        await self._push(symbol, _BEFORE)
        closed = await asyncio.gather(*(self._closed(trade_id) for trade_id in trades))
        unasked = [trade for trade in closed if trade["exitReason"] != "MANUAL"]
        if wrong := [each for each in unasked if {n: each[n] for n in _CLOSED} != _CLOSED]:
            raise Violated(
                f"a price of one tick closes what it hits, on all shards: {len(wrong)} of "
                f"{len(trades)} trades were not, the first is {wrong[0]}"
            )
        self._counts["trades closed by a spike"] += len(unasked)

    async def _open(self, session: SessionTruth, symbol: str) -> int | None:
        """A trade; None if the session is halted again and again."""
        path = f"/sessions/{session.session_id}"
        order = {"symbol": symbol, "quantity": 1, "stopLoss": _STOP_LOSS, "entryPrice": _BEFORE}
        key = f"{symbol} {session.session_id}"
        ask = self._site.until_answered
        for _ in range(_TRIES):
            status, answer = await ask(f"{path}/trades", order, key, {201, 409})
            if status == 201:
                session.acknowledge_opening(key, answer["tradeId"])
                return int(answer["tradeId"])
            await ask(path, {"status": "ACTIVE"}, None, {200, 409}, method="PATCH")
        return None

    async def _push(self, symbol: str, price: int) -> None:
        """Until it is taken; the same price again changes nothing."""
        await self._site.until_answered("/ticks", {"symbol": symbol, "price": price}, None, {200})

    async def _until_priced(self, url: str, symbol: str) -> None:
        """Until a node knows the price, so that the spike comes after it there. Raises Violated."""
        path = f"/prices?symbols={symbol}"
        for _ in range(_LOOKS):
            with suppress(*AWAY):
                status, found = await self._site.call("GET", path, url=url)
                if status == 200 and found["prices"] and not found["prices"][0]["stale"]:
                    return
            await asyncio.sleep(_LOOK_S)
        raise Violated(f"a price that was taken is soon fresh on every node: not {symbol} at {url}")

    async def _closed(self, trade_id: int) -> dict[str, Any]:
        """The trade once it is closed, or as it is after a while."""
        path = f"/trades/{trade_id}"
        for _ in range(_LOOKS):
            _, trade = await self._site.until_answered(path, None, None, {200}, method="GET")
            if trade["status"] == "CLOSED":
                break
            await asyncio.sleep(_LOOK_S)
        return trade
