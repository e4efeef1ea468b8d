"""Somebody who gives sessions of a soaked server rules and charges, and has them squared off."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from lab.soak.costs import PLANS
from lab.soak.rulebook import IST, RULE_BEHIND
from lab.soak.site import Site
from lab.soak.truth import SessionTruth
from lab.soak.violated import Violated

_PAUSES_S = (0.5, 4.0)
_PAUSES_OF_SQUARE_OFF_S = (5.0, 40.0)
_LEAST_AHEAD = timedelta(seconds=3)
_MOST_TRIES = 600
_ENTRY_PRICE, _EXIT_PRICE = 3900, 3910
"""Near the feed's prices of TCS: somebody else may close the trade before."""


class Ruler:
    """Changes rules and charges at random, makes rules trip, lifts what they have halted."""

    def __init__(self, site: Site, sessions: list[SessionTruth], counts: Counter[str]) -> None:
        self._site = site
        self._sessions = sessions
        self._counts = counts
        self._tries = 0

    async def run(self) -> None:
        """Until the soak stops.

        A rule trips once in each session, with charges, whatever chance says, so that each soak
        has seen a trip and charges.
        """
        rng = self._site.rng
        for session in self._sessions:
            await self._change(session, {"charges": rng.choice(PLANS[1:])})
            await self._trip(session)
        while not await self._stops_within(rng.uniform(*_PAUSES_S)):
            session = rng.choice(self._sessions)
            match rng.randrange(5):
                case 0:
                    await self._trip(session)
                case 1:
                    await self._change(session, {"charges": rng.choice(PLANS)})
                case 2:
                    await self._change(session, {"status": "ACTIVE"})
                case _:
                    await self._change(session, {"rules": _some_rules(rng)})

    async def square_off_now_and_then(self) -> None:
        """Have a session squared off at the next minute, again and again until the soak stops."""
        rng = self._site.rng
        while True:
            session, now = rng.choice(self._sessions), datetime.now(IST)
            at = (now + _LEAST_AHEAD + timedelta(minutes=1)).replace(second=0, microsecond=0)
            await self._change(session, {"rules": {"squareOff": f"{at:%H:%M}"}})
            left_s = (at - datetime.now(IST)).total_seconds()
            if left_s < 0:
                continue  # it acts from tomorrow on
            if await self._stops_within(left_s):
                return
            await self._until(
                "SQUARE_OFF closes all that was opened before its moment",
                partial(self._nothing_is_open, session),
            )
            self._counts["square-offs"] += 1
            await self._change(session, {"rules": {"squareOff": None}})
            if await self._stops_within(rng.uniform(*_PAUSES_OF_SQUARE_OFF_S)):
                return

    async def _trip(self, session: SessionTruth) -> None:
        """Set rules that any result but 0 trips, until one has; then take them away.

        A kill may come before, and lift what this wants to see; so it is tried again.
        """
        path = f"/sessions/{session.session_id}"
        _, before = await self._ask(path)
        has_tripped = partial(self._has_tripped, session, before["seq"])
        await self._until("a rule that is reached halts", has_tripped)
        self._counts["trips"] += 1
        rules = {"maxDailyLoss": None, "dailyTarget": None}
        await self._change(session, {"rules": rules})
        await asyncio.sleep(self._site.rng.uniform(0, 0.5))
        await self._change(session, {"status": "ACTIVE"})

    async def _has_tripped(self, session: SessionTruth, since: int) -> bool:
        """Whether a rule has tripped since an event, after doing what makes one trip."""
        await self._earn(session)
        amount = self._site.rng.randint(1, 9) / 100
        rules = {"maxDailyLoss": amount, "dailyTarget": amount}
        await self._change(session, {"status": "ACTIVE", "rules": rules})
        _, page = await self._ask(f"/sessions/{session.session_id}/events?since={since}")
        changes = (each for each in page["events"] if each["type"] == "session_changed")
        return any(change["data"]["reason"] in RULE_BEHIND for change in changes)

    async def _earn(self, session: SessionTruth) -> None:
        """Open and close a trade, if it may be opened."""
        self._tries += 1
        key, path = f"ruler {self._tries}", f"/sessions/{session.session_id}/trades"
        order = {"symbol": "TCS", "quantity": 1, "entryPrice": _ENTRY_PRICE}
        status, trade = await self._site.until_answered(path, order, f"{key} opens", {201, 409})
        if status == 409:
            return
        session.acknowledge_opening(f"{key} opens", trade["tradeId"])
        path = f"/trades/{trade['tradeId']}/close"
        body, good = {"price": _EXIT_PRICE}, {200, 409}
        status, answer = await self._site.until_answered(path, body, f"{key} closes", good)
        session.closed[trade["tradeId"]] = answer if status == 200 else answer["trade"]

    async def _nothing_is_open(self, session: SessionTruth) -> bool:
        _, document = await self._ask(f"/sessions/{session.session_id}")
        return bool(document["openTrades"] == 0)

    async def _until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(_MOST_TRIES):
            if await holds():
                return
            await asyncio.sleep(0.1)
        raise Violated(f"{what}: it was asked for {_MOST_TRIES} times")

    async def _change(self, session: SessionTruth, change: dict[str, Any]) -> None:
        """Change a session; a halt whose closes are under way is left as it is."""
        path = f"/sessions/{session.session_id}"
        await self._site.until_answered(path, change, None, {200, 409}, method="PATCH")

    async def _ask(self, path: str) -> tuple[int, dict[str, Any]]:
        return await self._site.until_answered(path, None, None, {200}, method="GET")

    async def _stops_within(self, for_s: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._site.stopping.wait(), for_s)
        return self._site.stopping.is_set()


def _some_rules(rng: random.Random) -> dict[str, Any]:
    """Some rules to set or, as often, to take away; those that forbid openings are no dead end."""
    amount = rng.randint(10, 10**8) / 100
    values = {
        "maxDailyLoss": amount,
        "dailyTarget": amount,
        "profitLock": {"armAt": amount, "floor": round(amount / 2 - 0.01, 2)},
        "maxOrderValue": amount,
        "maxTradesPerDay": rng.randint(1, 500),
        "maxOpenTrades": rng.randint(1, 30),
        "losingStreak": rng.randint(2, 6),
        "cooldownSeconds": 1,
    }
    names = rng.sample(sorted(values), 4)
    return dict.fromkeys(names[:2]) | {name: values[name] for name in names[2:]}
