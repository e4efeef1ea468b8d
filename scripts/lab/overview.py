"""What the fan-out costs a hub in memory: to those that watch all sessions, and to the others."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from lab.checkouts import Costs, costs_in
from vyomo_rt.clockwork import Clockwork
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.moment import Clocks, trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import FeedState, FeedStatus, Quote
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.domain.trade import Trade
from vyomo_rt.stream import wheel
from vyomo_rt.stream.commands import Commands
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.rights import Rights
from vyomo_rt.stream.sources import Sources
from vyomo_rt.wire.frame import Framing

_SESSIONS, _PEERS, _BEATS = 1000, 100, 40
_NOW_MS = 1_790_000_000_000


_slot = [1000]
"""The present slot of the wheels: time stands still between beats."""


class _Peer(Peer):
    def close(self, code: int, reason: str) -> None:
        raise AssertionError(code, reason)

    def buffered_bytes(self) -> int:
        return 0


class _World:
    """A thousand sessions with a trade each: of the first ten on A, of the others on B."""

    def __init__(self) -> None:
        self.quotes: dict[str, Quote] = {}
        self._clocks = Clocks.live(lambda: _NOW_MS + _slot[0] * 100)
        self.states = {number: _state(number) for number in range(1, _SESSIONS + 1)}
        known: dict[str, Any] = {
            "ask_for_session": lambda *_: None,
            "state": self.states.get,
            "visible": lambda _: list(self.states.values()),
            "fetch_session": lambda _id, _since: None,
            "history": None,
            "quote": self.quotes.get,
            "confirmed": self.quotes.get,
            "refusal": lambda _: None,
            "demand": Demand(),
            "market_now": self._clocks.market,
            "knows": lambda _: True,
            "feed_status": lambda: FeedStatus("bench", FeedState.LIVE, "", _NOW_MS),
        }
        # Another checkout may ask for less.
        sources = Sources(**{each.name: known[each.name] for each in fields(Sources)})
        self.hub = Hub(sources, now=self._clocks.wall, max_events_behind=10_000, max_symbols=500)
        rights = Rights(self.hub, Clockwork(self._clocks.market), None, max_streams=_PEERS)
        self._commands = Commands(self.hub, rights)

    def tick(self, symbol: str, price: int) -> None:
        self.quotes[symbol] = quote = Quote(symbol, price * 10_000, _NOW_MS, "bench", stale=False)
        self.hub.on_quote(quote)

    async def peers(self, count: int, command: dict[str, object]) -> None:
        """More peers, once they have got what comes at once."""
        write: Callable[[bytes], None] = lambda _: None  # noqa: E731
        for number in range(count):
            peer = _Peer(f"{number}", Framing.WS, Grant.EVERYTHING, self.hub.traffic, write)
            self.hub.enter(peer)
            self._commands.receive(peer, json.dumps(command))
        while not all(peer.ready for peer in self.hub.peers):  # noqa: ASYNC110 - a poll will do
            await asyncio.sleep(0.01)

    async def beat(self, beat: Callable[[], Any], before: Callable[[int], None]) -> float:
        """CPU time of a beat, in µs: the median of many."""
        took = []
        for number in range(_BEATS):
            before(number)
            _slot[0] += 1
            began_s = time.thread_time()
            await beat()
            took.append((time.thread_time() - began_s) * 1e6)
        return median(took)


def _state(session_id: int) -> SessionState:
    session = Session(
        session_id=session_id,
        name="Bench",
        starting_capital_paise=5_000_000,
        created_at_ms=_NOW_MS,
        epoch="bench",
    )
    trade = Trade(
        trade_id=session_id,
        session_id=session_id,
        symbol="A" if session_id <= 10 else "B",
        side=Side.BUY,
        quantity=1,
        entry_price_e4=1_000_000,
        stop_loss_e4=None,
        target_e4=None,
        opened_at_ms=_NOW_MS,
    )
    return state_of(session, Figures(), trading_day(_NOW_MS), [trade])


async def _overview() -> dict[str, float]:
    world = _World()
    for symbol in "AB":
        world.tick(symbol, 100)
    watch = {"type": "watch_sessions", "updateInterval": 100}
    hub, found = world.hub, {}
    for count in (1, _PEERS):
        await world.peers(count if count == 1 else count - 1, watch)
        who = f"{count} watching {_SESSIONS} sessions"

        def ten(number: int) -> None:
            world.tick("A", 101 + number % 2)

        def all_(number: int) -> None:
            ten(number)
            world.tick("B", 101 + number % 2)

        found[f"{who}, none changes"] = await world.beat(hub.overview.beat, lambda _: None)
        found[f"{who}, 10 change"] = await world.beat(hub.overview.beat, ten)
        found[f"{who}, all change"] = await world.beat(hub.overview.beat, all_)
    return found


async def _others() -> dict[str, float]:
    """A beat of prices and one of a session, for a thousand peers each."""
    world = _World()
    symbols = [f"S{number}" for number in range(10)]
    for symbol in (*symbols, "A"):
        world.tick(symbol, 100)
    await world.peers(1000, {"type": "subscribe_prices", "symbols": symbols, "priceInterval": 100})
    await world.peers(1000, {"type": "subscribe_session", "sessionId": 1, "updateInterval": 100})

    def move(number: int) -> None:
        for symbol in (*symbols, "A"):
            world.tick(symbol, 101 + number % 2)

    return {
        "prices of 10 symbols to 1000": await world.beat(world.hub.prices.beat, move),
        "a session to 1000": await world.beat(world.hub.topics.beat, move),
    }


def costs(*, others_only: bool) -> dict[str, float]:
    """CPU time of a beat, in µs, by what happens in it."""

    async def all_() -> dict[str, float]:
        return ({} if others_only else await _overview()) | await _others()

    with patch.object(wheel, "present_slot", lambda: _slot[0]):
        return asyncio.run(all_())


def compared(checkouts: list[Path], repeat: int) -> list[Costs]:
    """The costs in each checkout, measured in turns; the least of each."""
    found: list[Costs] = [{} for _ in checkouts]
    for _ in range(repeat):
        for checkout, least in zip(checkouts, found, strict=True):
            for case, cost_us in _measure(checkout, is_other=checkout is not checkouts[0]).items():
                least[case] = min(cost_us, least.get(case, cost_us))
    return found


def _measure(checkout: Path, *, is_other: bool) -> Costs:
    code = (
        "import json; from lab.overview import costs;"
        f"print(json.dumps(costs(others_only={is_other})))"
    )
    return costs_in(checkout, Path(__file__).parents[1], code)
