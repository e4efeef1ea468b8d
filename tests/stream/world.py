"""The rooms around the streams, small enough to know all of the truth.

Every message is checked against the truth in the moment when it is written; what
is wrong with it goes to ``World.wrongs``, which a test asserts to be empty.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.kit.events import session_event, trade_event
from vyomo_rt.clockwork import Clockwork
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.grant import Grant, Need
from vyomo_rt.domain.moment import Clocks, trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import FeedState, FeedStatus, Quote
from vyomo_rt.domain.session import Session, SessionStatus
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.domain.trade import Exit, ExitReason, Trade
from vyomo_rt.stream.commands import Commands
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.rights import Authority, Rights
from vyomo_rt.stream.sessions import SessionTopic
from vyomo_rt.stream.sources import Sources
from vyomo_rt.stream.wheel import SLOT_MS
from vyomo_rt.wire.frame import Framing

START_MS = 1_790_000_000_000
EVENT_TYPES = frozenset(
    (
        "trade_opened",
        "trade_closed",
        "trade_reduced",
        "trade_changed",
        "order_placed",
        "order_ended",
        "session_changed",
    )
)
ALL_TYPES = frozenset(("session_update", "pnl_update")) | EVENT_TYPES


@dataclass
class Book:
    """A session's true history: every event, and the state after each."""

    states: list[SessionState]
    events: list[Event] = field(default_factory=list)
    figures: list[tuple[SessionState, int]] = field(default_factory=list)
    """Each state and what its open trades made, as ticks and events changed them."""

    @property
    def state(self) -> SessionState:
        return self.states[-1]

    @property
    def seq(self) -> int:
        return self.state.seq


class World:
    """Sessions, prices and a store, with a hub that is told of them as the real ones tell it."""

    def __init__(
        self,
        *,
        max_events_behind: int = 10_000,
        max_symbols: int = 500,
        authority: Authority | None = None,
    ) -> None:
        self.authority = authority
        self.max_events_behind = max_events_behind
        self.wrongs: list[str] = []
        self.books: dict[int, Book] = {}
        self.quotes: dict[str, Quote] = {}
        self.doubts: dict[str, Quote] = {}
        """Prices that are shown in place of those that count."""
        self.refusals: dict[str, str] = {}
        self.demand = Demand()
        self.told: dict[str, list[tuple[int, Quote]]] = {}
        self.delivered: Counter[tuple[str, Framing]] = Counter()
        self.status = FeedStatus("test", FeedState.LIVE, "prices are coming in", START_MS)
        self.store_away = False
        self.store_delay_turns = 0
        self.page_size = 500
        self.pages_read: list[tuple[int, int]] = []
        self.beating = asyncio.Event()
        self._status_told = self.status
        self._trade_ids = 0
        clocks = Clocks.live(self.now)
        self.hub = Hub(
            Sources(
                ask_for_session=self._ask_for_session,
                state=lambda session_id: (
                    book.state if (book := self.books.get(session_id)) else None
                ),
                visible=self._visible,
                fetch_session=lambda _id, _since: None,
                history=self._history,
                quote=lambda symbol: self.doubts.get(symbol) or self.quotes.get(symbol),
                confirmed=self.quotes.get,
                refusal=self.refusals.get,
                demand=self.demand,
                market_now=clocks.market,
                knows=lambda symbol: not symbol.startswith("X"),
                feed_status=lambda: self._status_told,
            ),
            now=clocks.wall,
            max_events_behind=max_events_behind,
            max_symbols=max_symbols,
        )
        self.clock = Clockwork(clocks.market)
        self.rights = Rights(self.hub, self.clock, self.authority, max_streams=50)
        self.commands = Commands(self.hub, self.rights)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What comes round by itself; a turn that fails is wrong."""
        watcher = _Watcher(self.wrongs)
        logger = logging.getLogger("vyomo_rt.clockwork")
        logger.addHandler(watcher)
        self.clock.add("the feed's state", SLOT_MS, self._tell_feed_status)
        self.clock.add("the sessions' beat", SLOT_MS, self.hub.topics.beat)
        self.clock.add("the prices' beat", SLOT_MS, self.hub.prices.beat)
        self.clock.add("the end of tokens", SLOT_MS, self.rights.sweep)
        self.clock.add("the overview's beat", SLOT_MS, self.hub.overview.beat)
        beats = asyncio.create_task(self.clock.run())
        try:
            yield
        finally:
            beats.cancel()
            await asyncio.wait([beats])
            logger.removeHandler(watcher)

    def _visible(self, grant: Grant) -> list[SessionState]:
        states = [book.state for book in self.books.values()]
        return [
            state
            for state in states
            if grant.reaches(state.session.session_id, state.session.owner)
        ]

    def _ask_for_session(self, grant: Grant, need: Need, session_id: int) -> None:
        book = self.books.get(session_id)
        grant.ask(need, session_id, book.state.session.owner if book else None)

    def now(self) -> int:
        return START_MS + round(asyncio.get_running_loop().time() * 1000)

    async def wait(self, ms: float) -> None:
        await asyncio.sleep(ms / 1000)

    # -- what happens ------------------------------------------------------------

    def add_session(self, session_id: int, *, events: int = 0) -> Book:
        """A session, with events that happened before anybody watched."""
        session = Session(
            session_id=session_id,
            name="Test",
            starting_capital_paise=5_000_000,
            created_at_ms=START_MS,
            epoch=f"epoch{session_id}",
        )
        self.books[session_id] = Book([state_of(session, Figures(), trading_day(START_MS))])
        for number in range(events):
            if number % 2:
                self.close_trade(session_id)
            else:
                self.open_trade(session_id, "A")
        return self.books[session_id]

    def bear_session(self, session_id: int) -> None:
        """A session that is made while clients are there."""
        self.hub.publish_state(self.add_session(session_id).state)

    def open_trade(self, session_id: int, symbol: str = "A") -> Event:
        self._trade_ids += 1
        trade = Trade(
            trade_id=self._trade_ids,
            session_id=session_id,
            symbol=symbol,
            side=Side.BUY,
            quantity=10,
            entry_price_e4=1_000_000,
            stop_loss_e4=None,
            target_e4=None,
            opened_at_ms=self.now(),
        )
        return self._record(trade_event(trade, self.books[session_id].seq + 1))

    def close_trade(self, session_id: int) -> Event | None:
        """Close the oldest open trade, if there is one."""
        open_trades = self.books[session_id].state.open_trades
        return self._close(min(open_trades.values(), key=_trade_id)) if open_trades else None

    def close_last(self, session_id: int) -> Event:
        """Close the newest open trade."""
        return self._close(max(self.books[session_id].state.open_trades.values(), key=_trade_id))

    def _close(self, trade: Trade) -> Event:
        closed = trade.closed(Exit(1_010_000, ExitReason.MANUAL, self.now()))
        return self._record(trade_event(closed, self.books[trade.session_id].seq + 1))

    def change_status(self, session_id: int, status: SessionStatus) -> None:
        book = self.books[session_id]
        standing = replace(book.state.session.standing, status=status)
        self._record(session_event(session_id, book.seq + 1, standing, self.now()))

    def tick(self, symbol: str, price: int, *, stale: bool = False) -> None:
        """A price; every tick has an ``asOf`` of its own, later than those before."""
        told = self.told.setdefault(symbol, [])
        quote = Quote(symbol, price * 10_000, START_MS + len(told), "test", stale)
        told.append((self.now(), quote))
        self.quotes[symbol] = quote
        for book in self.books.values():
            self._note_figures(book)
        self.hub.on_quote(quote)

    def change_feed(self, state: FeedState) -> None:
        """The feed's state; it is noticed, and told, before the next beat."""
        self.status = replace(self.status, state=state, since_ms=self.status.since_ms + 1)

    def check_totals(self) -> None:
        """What the hub counted is what clients got, by type and transport."""
        counted = {
            (sample.labels["type"], Framing[sample.labels["transport"].upper()]): int(sample.value)
            for metric in self.hub.traffic.collect()
            for sample in metric.samples
            if sample.name == "vyomo_rt_messages_total" and sample.value
        }
        if counted != dict(self.delivered):
            self.wrongs.append(f"counted {counted}, delivered {dict(self.delivered)}")

    # -- the rooms' side ---------------------------------------------------------

    def _record(self, event: Event) -> Event:
        book = self.books[event.session_id]
        book.events.append(event)
        book.states.append(book.state.after(event))
        self._note_figures(book)
        self.hub.publish_events([event], book.state)
        return event

    def _note_figures(self, book: Book) -> None:
        book.figures.append((book.state, book.state.unrealised_paise(self.quotes.get)))

    async def _history(self, session_id: int, after: int, upto: int) -> Sequence[Event]:
        self.pages_read.append((after, upto))
        for _ in range(self.store_delay_turns):
            await asyncio.sleep(0)
        if self.store_away:
            raise Unavailable("the store is away")
        return self.books[session_id].events[after : min(upto, after + self.page_size)]

    async def _tell_feed_status(self) -> None:
        self.beating.set()
        self.beating.clear()
        if self.status != self._status_told:
            self._status_told = self.status
            await self.hub.publish_feed_status(self.status)


def _trade_id(trade: Trade) -> int:
    return trade.trade_id


class _Watcher(logging.Handler):
    def __init__(self, wrongs: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._wrongs = wrongs

    def emit(self, record: logging.LogRecord) -> None:
        self._wrongs.append(f"{record.getMessage()}: {record.exc_info}")


SESSION = 6


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    """The types of messages, events with their number."""
    numbered = EVENT_TYPES
    return [m["type"] + (f" {m['seq']}" if m["type"] in numbered else "") for m in messages]


@asynccontextmanager
async def session_world(*, events: int = 0, **more: Any) -> AsyncIterator[World]:
    """A world with a session that has a history, and nothing wrong in it at the end."""
    world = World(**more)
    world.add_session(SESSION, events=events)
    async with world.running():
        yield world
    assert world.wrongs == []


@asynccontextmanager
async def topic_of(world: World) -> AsyncIterator[SessionTopic]:
    with world.hub.topics.using(SESSION) as topic:
        yield topic
