"""Two nodes' prices in memory, and what one says to the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.domain.quote import Quote, Tick
from vyomo_rt.market.book import Book
from vyomo_rt.market.common_clock import CommonClock
from vyomo_rt.market.relay import Relay
from vyomo_rt.market.relayed_board import Moments, RelayedBoard


class Side:
    """A node's prices."""

    def __init__(self, world: World, ahead_ms: int) -> None:
        self.acted: list[Quote] = []
        self.said: list[bytes] = []
        demand = Demand()
        self.clock = CommonClock(lambda: int(world.now_s * 1000) + ahead_ms, lambda: world.now_s)
        self.clock.store_ahead_ms = -ahead_ms
        moments = Moments(self._now, self._now)
        book = Book("ingest", 15_000, demand=demand, arrived=moments.arrived)
        self.board = RelayedBoard(
            [book], moments, self.acted.append, demand=demand, on_moment=lambda _: None
        )
        self.relay = Relay(
            self.board,
            self.clock,
            say=self.said.append,
            ask=world.ask,
            time_s=lambda: world.now_s,
        )

    def _now(self) -> MarketMs:
        return MarketMs(self.clock())


class World:
    """Two nodes; the first owns the prices."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0
        self.answers = True
        self.here, self.there = Side(self, 0), Side(self, 1500)
        self.owner = self.here
        self.here.relay.begin(1)

    async def ask(self, message: bytes, _within_s: float) -> bytes:
        if not self.answers:
            raise ConnectionError
        return self.owner.relay.answer(message)

    def say(self, choose: Callable[[list[bytes]], list[bytes]] = lambda said: said) -> None:
        """Carry what the owner has said since."""
        self.owner.relay.beat()
        said, self.owner.said[:] = list(self.owner.said), []
        follower = self.there if self.owner is self.here else self.here
        for message in choose(said):
            follower.relay.hear(message)

    async def settle(self) -> None:
        """Let the follower ask for what it lacks."""
        await self.settle_side(self.there)

    async def settle_side(self, side: Side) -> None:
        running = asyncio.create_task(side.relay.run())
        for _ in range(20):
            await asyncio.sleep(0)
        running.cancel()


def tick(number: int) -> Tick:
    return Tick("NIFTY", 1_000_000 + number * 100, None, "ingest")
