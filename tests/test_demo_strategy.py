"""What the demo shows within minutes: its real strategy and prices, in a time of its own."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from vyomo_rt import demo
from vyomo_rt.config import Settings
from vyomo_rt.demo import DemoTrader
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.event import SHAPE, Event, EventKind, Record, SessionEvent, TradeEvent
from vyomo_rt.domain.moment import Clocks, MarketMs, trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import Operation, TradeOrder
from vyomo_rt.domain.pending import OrderStatus, PendingEntry
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.rules import NO_RULES
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures, SessionState
from vyomo_rt.domain.trade import ExitDetail, Trade, TradeChangeReason
from vyomo_rt.domain.trade_filter import TradeFilter
from vyomo_rt.exchange.market_hours import next_midnight_ms, next_minute_ms
from vyomo_rt.market.board import Board
from vyomo_rt.market.book import Book
from vyomo_rt.market.feeds.sim.feed import SimFeed
from vyomo_rt.market.feeds.sim.symbols import load_symbols
from vyomo_rt.market.wanted import Wanted
from vyomo_rt.trading.desk import Desk
from vyomo_rt.trading.replica import Replica

NOW_MS = 1_795_341_600_000


class _Leaping(selectors.DefaultSelector):
    """Waits for nothing: time leaps to the next thing to do."""

    def __init__(self) -> None:
        super().__init__()
        self.leapt_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.leapt_s += timeout
        return ready


class _LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.leapt_s


def run_leaping(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=_LeapingLoop) as runner:
        runner.run(main())


# ruff: noqa: ARG002 - it need not look at all that it is given
@dataclass
class Memory:
    """A journal that forgets: what the demo's desk needs, in memory."""

    copies: dict[int, Trade] = field(default_factory=dict)
    entries: dict[int, PendingEntry] = field(default_factory=dict)
    given: int = 0
    shape: int = SHAPE

    def term_of(self, _: int) -> int:
        return 0

    def require_right(self) -> None:
        pass

    async def load_sessions(self) -> Sequence[tuple[Session, Figures | None]]:
        return ()

    async def create_session(self, session: Session, operation_id: str, request_hash: str) -> None:
        pass

    async def find_session(self, operation_id: str) -> tuple[Session, str] | None:
        return None

    async def save_checkpoint(self, session: Session, figures: Figures) -> None:
        pass

    async def sessions_among(
        self, session_ids: Sequence[int]
    ) -> Sequence[tuple[Session, Figures | None]]:
        return ()

    async def events_among(self, places: Sequence[tuple[int, int]]) -> Sequence[Event]:
        return ()

    async def append(self, events: Sequence[Event]) -> None:
        pass

    async def events(self, session_id: int, after: int, upto: int | None = None) -> Sequence[Event]:
        return ()

    async def events_of(
        self, session_id: int, after: int, upto: int, kinds: Collection[EventKind]
    ) -> Sequence[Event]:
        return ()

    async def find_event(self, session_id: int, operation_id: str) -> Event | None:
        return None

    async def save_copy(self, record: Record, seq: int) -> None:
        if isinstance(record, Trade):
            self.copies[record.trade_id] = record
        else:
            self.entries[record.order_id] = record

    async def trade(self, trade_id: int) -> Trade | None:
        return self.copies.get(trade_id)

    async def session_of_trade(self, trade_id: int) -> int | None:
        return None

    async def sessions_owned_by(self, owner: str) -> Sequence[int]:
        return ()

    async def orders(
        self, session_id: int, status: OrderStatus | None, before_id: int | None, limit: int
    ) -> Sequence[PendingEntry]:
        return ()

    async def trades(
        self, session_id: int, wanted: TradeFilter, before_id: int | None, limit: int
    ) -> Sequence[Trade]:
        return ()

    async def open_trades(self) -> AsyncIterator[Trade]:
        for trade in self.copies.values():
            yield trade

    async def reserve_ids(self, counter: str, count: int) -> int:
        self.given += count
        return self.given - count + 1

    async def counter(self, counter: str) -> int:
        return self.given

    async def raise_counter(self, counter: str, at_least: int) -> None:
        pass

    async def order(self, order_id: int) -> PendingEntry | None:
        return self.entries.get(order_id)

    async def pending_entries(self) -> AsyncIterator[PendingEntry]:
        for _ in ():
            yield _

    async def highest_id(self, kind: type[Record]) -> int:
        return 0

    async def projected_seqs(self, kind: type[Record], ids: Sequence[int]) -> dict[int, int]:
        return {}


class Told(NamedTuple):
    """An event, and when it came, in seconds after the start."""

    at_s: float
    event: Event


def demo_from(begin_ms: int, for_s: float, visitor: TradeOrder | None = None) -> list[Told]:
    """What the demo trades in the time after a moment, maybe beside what a visitor opens."""
    told: list[Told] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        class Watcher:
            def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
                told.extend(Told(loop.time(), event) for event in events)

            def publish_state(self, state: SessionState) -> None: ...

        def now() -> MarketMs:
            return MarketMs(begin_ms + int(loop.time() * 1000))

        def on_price(quote: Quote) -> None:
            desk.on_quote(quote)

        traded = {idea.symbol for idea in demo._IDEAS}
        symbols = [symbol for symbol in load_symbols() if symbol.symbol in traded]
        feed = SimFeed(now, Settings().seed, symbols)
        memory = Memory()
        demand = Demand()
        book = Book(feed.source, feed.fresh_for_ms, demand=demand, arrived=now)
        board = Board([book], now, on_price, demand=demand)
        replica = Replica(trading_day(now()))
        replica.followers.append(Watcher())
        desk = Desk(
            memory,
            replica,
            clocks=Clocks.live(now),
            quote=board.confirmed,
            knows=feed.knows,
            max_open_trades=1000,
            demand=demand,
            tick_e4=lambda _: None,
            reserve=board.reserve,
            session_end_ms=next_midnight_ms,
            square_off_ms=next_minute_ms,
            new_day_ms=lambda at_ms: next_midnight_ms("", at_ms),
            is_watched=lambda _: False,
        )
        trader = DemoTrader(desk, replica, quote=board.confirmed, history=memory.events, now=now)
        await trader.prepare()
        if visitor is not None:
            await desk.open_trade(demo.SESSION_ID, Operation("visitor", ""), lambda: visitor)

        async def tick() -> None:
            async for tick in feed.ticks(Wanted(Demand())):
                board.accept(tick)

        tasks = [asyncio.create_task(job) for job in (tick(), trader.run())]
        await asyncio.sleep(for_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await desk.stop()

    run_leaping(main)
    return told


@pytest.mark.parametrize("hour", range(0, 24, 4))
def test_whenever_it_is_started_stops_parts_and_exits_of_all_kinds_come_within_five_minutes(
    hour: int,
) -> None:
    told = demo_from(NOW_MS + hour * 3_600_000, for_s=300)
    assert told[0].at_s < 5
    trades = [event.trade for _, event in told if isinstance(event, TradeEvent)]
    assert {event.kind for _, event in told} >= {
        *(EventKind.OPENED, EventKind.CLOSED, EventKind.REDUCED, EventKind.CHANGED),
        EventKind.ORDER_PLACED,
    }
    assert {trade.side for trade in trades} == set(Side)
    assert {trade.exit.reason for trade in trades if trade.exit} == {"SL", "TARGET", "MANUAL"}
    assert TradeChangeReason.TRAILING in {trade.change.reason for trade in trades if trade.change}


@pytest.mark.parametrize("hour", [0, 12])
def test_whenever_it_is_started_everything_comes_within_half_an_hour(hour: int) -> None:
    told = demo_from(NOW_MS + hour * 3_600_000, for_s=1800)
    events = [event for _, event in told]
    assert {event.kind for event in events} == set(EventKind)
    trades = [event.trade for event in events if isinstance(event, TradeEvent)]
    assert any(trade.order_id for trade in trades), "an order was filled"
    exits = [trade.exit for trade in trades if trade.exit]
    assert {exit_.detail for exit_ in exits} >= {ExitDetail.KILL, ExitDetail.TRAILING}
    assert "SQUARE_OFF" in {exit_.reason for exit_ in exits}
    assert all(exit_.charges for exit_ in exits)
    changes = [event for event in events if isinstance(event, SessionEvent)]
    halts = [change for change in changes if change.standing.status == "HALTED"]
    assert [halt.reason for halt in halts] == ["LOSING_STREAK", "KILL"]
    standing = changes[-1].standing
    assert (standing.status, standing.waived, standing.rules) == ("ACTIVE", (), NO_RULES)


def test_nothing_that_would_close_a_visitors_trade_is_shown_while_it_is_open() -> None:
    visitor = TradeOrder(
        symbol="RELIANCE", side=Side.BUY, quantity=1, entry_price_e4=2_900 * 10_000
    )
    told = demo_from(NOW_MS, for_s=1600, visitor=visitor)
    halts = [
        event.reason
        for _, event in told
        if isinstance(event, SessionEvent) and event.standing.status == "HALTED"
    ]
    assert halts == ["LOSING_STREAK"]
    trades = [event.trade for _, event in told if isinstance(event, TradeEvent)]
    assert all(trade.is_open for trade in trades if trade.entry_price_e4 == 2_900 * 10_000)
    assert "SQUARE_OFF" not in {trade.exit.reason for trade in trades if trade.exit}
