"""A desk with guarded trades and a store of its own, and what a price costs it."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import Clocks, trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import ChangeOrder, Operation, SessionOrder, TradeOrder
from vyomo_rt.domain.quote import Quote
from vyomo_rt.exchange.market_hours import next_midnight_ms, next_minute_ms
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.lanes import EMBEDDED
from vyomo_rt.trading.desk import Desk
from vyomo_rt.trading.replica import Replica

_SYMBOL = "NIFTY"
_ENTRY_E4, _STEP_E4, _DISTANCE_E4 = 100_0000, 1_0000, 5_0000
_QUIET_TICKS = 2000


class Cost(NamedTuple):
    """What was measured with so many sessions."""

    sessions: int
    quiet_us: float
    quiet_worst_us: float
    ruled_us: float
    """The same once all sessions have rules that act on their results."""
    ruled_worst_us: float
    moved_s: list[float]
    moved_cpu_s: list[float]
    """Of the desk and its store together."""
    closed_s: float


class Market:
    """A desk with guarded trades, and the one price that they all go by."""

    def __init__(self, store: MongoStore, store_pid: int | None) -> None:
        self.cpu_s = 0.0
        """CPU time used when the last events were stored."""
        self._store_pid = store_pid
        self._now_ms = time.time_ns() // 1_000_000
        self._replica = Replica(trading_day(self._now_ms))
        self._desk = Desk(
            store,
            self._replica,
            clocks=Clocks.live(lambda: self._now_ms),
            quote=lambda _: None,
            knows=lambda _: True,
            max_open_trades=100_000,
            demand=Demand(),
            reserve=lambda _: True,
            tick_e4=lambda _: None,
            session_end_ms=next_midnight_ms,
            square_off_ms=next_minute_ms,
            new_day_ms=lambda at_ms: next_midnight_ms("", at_ms),
            is_watched=lambda _: False,
        )
        self._price_e4 = _ENTRY_E4

    async def fill(self, sessions: int, trades: int) -> None:
        """Open so many trades, spread over the sessions, each with a stop that trails."""
        capital = SessionOrder(starting_capital_paise=10**10)
        order = TradeOrder(
            symbol=_SYMBOL,
            side=Side.BUY,
            quantity=10,
            entry_price_e4=_ENTRY_E4,
            trailing_stop_e4=_DISTANCE_E4,
            trailing_step_e4=_STEP_E4,
        )
        for number in range(sessions):
            state, _ = await self._desk.create_session(Operation.internal(), lambda: capital)
            for _ in range(trades // sessions + (number < trades % sessions)):
                session_id = state.session.session_id
                await self._desk.open_trade(session_id, Operation.internal(), lambda: order)

    async def rule(self) -> None:
        """Give each session rules that no price here brings to act."""
        rules = {"max_daily_loss_paise": 10**9, "daily_target_paise": 10**9, "losing_streak": 10**6}
        order = ChangeOrder(rules=rules)
        for state in self._replica.states():
            session_id = state.session.session_id
            await self._desk.change_session(session_id, Operation.internal(), lambda: order)

    def tick(self, price_e4: int) -> None:
        self._now_ms += 1000
        self._price_e4 = price_e4
        self._desk.on_quote(Quote(_SYMBOL, price_e4, self._now_ms, "bench", stale=False))

    def quiet(self) -> list[float]:
        """What prices cost that do nothing, in microseconds of CPU time.

        The clock would also count what other programs do meanwhile.
        """
        took: list[float] = []
        price_e4 = self._price_e4
        for number in range(_QUIET_TICKS):
            began_s = time.thread_time()
            self.tick(price_e4 - number % 7 * 100)
            took.append((time.thread_time() - began_s) * 1e6)
        assert not self._desk.waiting
        return took

    async def decided(self, price_e4: int, events: int) -> float:
        """How long until the events that a price causes are stored, in seconds."""
        before = self._events()
        began = time.perf_counter()
        self.tick(price_e4)
        while self._events() < before + events:  # noqa: ASYNC110 - only the states tell
            await asyncio.sleep(0.001)
        took = time.perf_counter() - began
        self.cpu_s = _cpu_s(self._store_pid)
        await self._copied()
        return took

    async def _copied(self) -> None:
        """Wait until the readable copies are written: they are no part of what is measured."""
        ledgers = [
            await self._desk.sessions.ledger(s.session.session_id) for s in self._replica.states()
        ]
        while not all(ledger.is_idle for ledger in ledgers):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    def _events(self) -> int:
        return sum(state.seq for state in self._replica.states())

    async def stop(self) -> None:
        await self._desk.stop()


async def measure(sessions: int, trades: int, rounds: int) -> Cost:
    """Measure with a store in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        store = MongoStore(connect(await server.start()), "bench", pace=EMBEDDED)
        try:
            await store.prepare()
            market = Market(store, server.pid)
            await market.fill(sessions, trades)
            market.tick(_ENTRY_E4)
            quiet_us = market.quiet()
            await market.rule()
            market.tick(_ENTRY_E4)
            ruled_us = market.quiet()
            moved_s, moved_cpu_s = [], []
            for number in range(1, rounds + 1):
                cpu_s = _cpu_s(server.pid)
                moved_s.append(await market.decided(_ENTRY_E4 + number * _STEP_E4, trades))
                moved_cpu_s.append(market.cpu_s - cpu_s)
            closed_s = await market.decided(_ENTRY_E4 - _DISTANCE_E4, trades)
            await market.stop()
        finally:
            await store.close()
            await server.stop()
    return Cost(
        sessions,
        *_middle_and_end(quiet_us),
        *_middle_and_end(ruled_us),
        moved_s,
        moved_cpu_s,
        closed_s,
    )


def _middle_and_end(took_us: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    return statistics.median(took_us), statistics.quantiles(took_us, n=100)[-1]


def _cpu_s(store_pid: int | None) -> float:
    """CPU time that this process and the store have used."""
    fields = Path(f"/proc/{store_pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")
