"""A desk over a real store, with a clock, prices and faults in the hands of the test."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from tests.kit.store import prepared_database
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.errors import OutcomeUnknown, Unavailable
from vyomo_rt.domain.event import Event, EventKind, Record, TradeEvent
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.moment import Clocks, trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import (
    AmendOrder,
    ChangeOrder,
    ClosingOrder,
    Operation,
    SessionOrder,
    TradeOrder,
)
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import Session, SessionStatus
from vyomo_rt.domain.square_off import SquareOffMs
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.domain.trade import Trade
from vyomo_rt.domain.trade_filter import EVERY_TRADE
from vyomo_rt.exchange.market_hours import next_midnight_ms, next_minute_ms
from vyomo_rt.store.client import connect
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.trading.days import Days
from vyomo_rt.trading.desk import Desk
from vyomo_rt.trading.replica import Replica

ROLL_OVER_MS = 1_795_372_200_000  # 2026-11-22T18:30:00Z
BEGIN_MS = ROLL_OVER_MS - 3_600_000
WRITTEN, NOT_WRITTEN = True, False


class FaultyStore(MongoStore):
    """A real store that loses answers when told to."""

    def __init__(self, client: Any, database: str) -> None:
        super().__init__(client, database)
        self.lost: deque[bool] = deque()
        """For each of the next writes whose answer is lost: whether it happens all the same."""
        self.away = False
        """Whether further writes get no answer and do not happen."""
        self.answers_after_s = 0.0
        """How long it takes, while it is away, until that is known."""
        self.refuses_copies = False
        self.journal: list[str] = []
        """What was stored, and what the desk announced, as it happened."""
        self.read_after: list[int] = []
        self.read_of: list[tuple[int, int]] = []
        """After and up to which numbers events of some kinds were read."""
        self.before_append: Callable[[Event], None] = lambda _: None

    async def append(self, events: Sequence[Event]) -> None:
        async def write() -> None:
            for event in events:
                self.before_append(event)
            await super(FaultyStore, self).append(events)
            self.journal += [f"stored {event.session_id}-{event.seq}" for event in events]

        await self._lossy(write)

    async def create_session(self, session: Session, operation_id: str, request_hash: str) -> None:
        await self._lossy(
            lambda: super(FaultyStore, self).create_session(session, operation_id, request_hash)
        )

    async def save_copy(self, record: Record, seq: int) -> None:
        if self.refuses_copies:
            raise Unavailable("no copies now")
        await super().save_copy(record, seq)

    async def events_among(self, places: Sequence[tuple[int, int]]) -> list[Event]:
        self.read_after += [seq - 1 for _, seq in places]
        return await super().events_among(places)

    async def events(self, session_id: int, after: int, upto: int | None = None) -> list[Event]:
        self.read_after.append(after)
        return await super().events(session_id, after, upto)

    async def events_of(
        self, session_id: int, after: int, upto: int, kinds: Collection[EventKind]
    ) -> list[Event]:
        self.read_of.append((after, upto))
        return await super().events_of(session_id, after, upto, kinds)

    async def _lossy(self, write: Callable[[], Awaitable[None]]) -> None:
        if self.lost:
            if self.lost.popleft():
                await write()
        elif not self.away:
            return await write()
        else:
            await asyncio.sleep(self.answers_after_s)
        raise OutcomeUnknown("the answer was lost")


class Bench:
    """Drives a desk, and holds what it stored against what it says."""

    def __init__(self, store: FaultyStore) -> None:
        self.store = store
        self.now_ms = BEGIN_MS
        self.quotes: dict[str, Quote] = {}
        self.announced: list[Event] = []
        self.states: list[SessionState] = []
        self.watched: set[int] = set()
        self.square_off_ms: SquareOffMs = next_minute_ms
        self._make_desk()

    def _make_desk(self) -> None:
        self.demand = Demand()
        self.replica = Replica(trading_day(self.now_ms))
        self.replica.followers.append(self)
        clocks = Clocks.live(lambda: self.now_ms)
        self.days = Days(self.replica, clocks.market)
        self.desk = Desk(
            self.store,
            self.replica,
            clocks=clocks,
            quote=self.quotes.get,
            knows=lambda symbol: symbol != "UNKNOWN",
            max_open_trades=1000,
            demand=self.demand,
            reserve=lambda symbol: symbol != "CROWDED OUT",
            tick_e4=lambda _: None,
            session_end_ms=next_midnight_ms,
            square_off_ms=self._first_square_off_ms,
            new_day_ms=lambda at_ms: next_midnight_ms("", at_ms),
            is_watched=self.watched.__contains__,
        )

    def _first_square_off_ms(self, symbol: str, minute: int, after_ms: int) -> int:
        return self.square_off_ms(symbol, minute, after_ms)

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        assert state.seq == events[-1].seq
        for event in events:
            self.store.journal.append(f"announced {event.session_id}-{event.seq}")
        self.announced += events

    def publish_state(self, state: SessionState) -> None:
        self.states.append(state)

    async def restart(self) -> None:
        """A new desk over the same store, as after a crash."""
        await self.desk.stop()
        self._make_desk()
        await self.desk.load()

    def tick(
        self,
        price_e4: int,
        symbol: str = "NIFTY",
        *,
        stale: bool = False,
        as_of_ms: int | None = None,
    ) -> None:
        """A price comes in."""
        at_ms = self.now_ms if as_of_ms is None else as_of_ms
        self.desk.on_moment(at_ms)
        self.quotes[symbol] = quote = Quote(symbol, price_e4, at_ms, "test", stale)
        self.desk.on_quote(quote)

    async def new_session(
        self, key: str | None = None, request_hash: str = "h", **terms: Any
    ) -> int:
        order = SessionOrder(starting_capital_paise=50_000_00, **terms)
        operation = Operation.asked(key, request_hash, by=None)
        state, _ = await self.desk.create_session(operation, lambda: order)
        return state.session.session_id

    async def open(
        self,
        session_id: int,
        entry_e4: int | None = 100_0000,
        *,
        key: str | None = None,
        request_hash: str = "h",
        stop_e4: int | None = None,
        target_e4: int | None = None,
        side: Side = Side.BUY,
        symbol: str = "NIFTY",
        **more: Any,
    ) -> Trade:
        """Open a trade, by default a BUY of 10 NIFTY at 100."""
        order = TradeOrder(
            symbol=symbol,
            side=side,
            quantity=10,
            entry_price_e4=entry_e4,
            stop_loss_e4=stop_e4,
            target_e4=target_e4,
            **more,
        )
        operation = Operation.asked(key, request_hash, by=None)
        trade, _ = await self.desk.open_trade(session_id, operation, lambda: order)
        return trade

    async def close(
        self,
        trade_id: int,
        price_e4: int | None = 101_0000,
        *,
        quantity: int | None = None,
        key: str | None = None,
    ) -> Trade:
        operation = Operation.asked(key, "h", by=None)
        order = ClosingOrder(quantity=quantity, price_e4=price_e4)
        trade, _ = await self.desk.close_trade(trade_id, operation, lambda: order)
        return trade

    async def amend(self, trade_id: int, **changes: Any) -> Trade:
        """Change members of an open trade."""
        operation = Operation.asked(by=None)
        return await self.desk.amend_trade(trade_id, operation, lambda: AmendOrder(changes))

    async def change_session(
        self,
        session_id: int,
        *,
        status: SessionStatus | None = None,
        rules: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> SessionState:
        operation = Operation.asked(by=None)
        order = ChangeOrder(status=status, changes=changes, rules=rules or {})
        return await self.desk.change_session(session_id, operation, lambda: order)

    async def sessions(self) -> list[SessionState]:
        """All sessions, whether they rest or not."""
        return list(await self.desk.records.sessions(0, None, 1000, Grant.EVERYTHING))

    def seq(self, session_id: int) -> int:
        return self.replica.state(session_id).seq

    async def reached(self, session_id: int, seq: int, within_s: float = 5.0) -> None:
        """Wait until the session's history has come to a number."""
        async with asyncio.timeout(within_s):
            while self.seq(session_id) < seq:  # noqa: ASYNC110 - only the state tells
                await asyncio.sleep(0.005)

    async def history(self, session_id: int) -> list[Event]:
        """All stored events of a session."""
        events: list[Event] = []
        while page := await MongoStore.events(self.store, session_id, len(events)):
            events += page
        return events

    async def assert_sound(self, session_id: int, *, all_announced: bool = True) -> None:
        """The stored events are numbered without gaps, told once, and say what the desk says."""
        events = await self.history(session_id)
        assert [event.seq for event in events] == [*range(1, len(events) + 1)]
        if all_announced:
            told = [event for event in self.announced if event.session_id == session_id]
            assert told == events
        state = self.replica.state(session_id)
        assert state == folded(state, events)
        trades = {e.trade.trade_id: e.trade for e in events if isinstance(e, TradeEvent)}
        listed = await self.desk.records.trades(session_id, EVERY_TRADE, None, len(trades) + 1)
        assert {trade.trade_id: trade for trade in listed} == trades


@asynccontextmanager
async def new_bench(uri: str) -> AsyncIterator[Bench]:
    """A desk on an empty database of the store that tests share."""
    database = prepared_database(uri)
    store = FaultyStore(connect(database), database.removeprefix(uri))
    bench = Bench(store)
    yield bench
    store.away = False
    await bench.desk.stop()
    await store.close()


def folded(state: SessionState, events: list[Event]) -> SessionState:
    """What a session's events make of it by themselves, as of the day of ``state``."""
    session = state.session
    born = replace(session, name=f"Session {session.session_id}", status=SessionStatus.ACTIVE)
    fresh = state_of(replace(born, status_reason=None), Figures(), state.today)
    for event in events:
        fresh = fresh.after(event)
    return fresh
