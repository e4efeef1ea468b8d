"""Random histories of a desk over a real store, and their re-run over ticks and commands alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from tests.kit.surroundings import Around
from tests.kit.waiting import PATIENCE_S
from tests.trading.bench import Bench
from vyomo_rt.domain import decisions
from vyomo_rt.domain.charges import ChargePlan
from vyomo_rt.domain.decisions import Decided, Moment, close, decide
from vyomo_rt.domain.errors import Conflict, Unavailable
from vyomo_rt.domain.event import Event, EventKind, OrderEvent, SessionEvent, TradeEvent
from vyomo_rt.domain.guarding import DEFAULT_TICK_E4, opening_guards
from vyomo_rt.domain.halt import SessionChange
from vyomo_rt.domain.moment import day_start_ms, trading_day
from vyomo_rt.domain.pace import Pace
from vyomo_rt.domain.pending import Ending, EndReason, PendingEntry
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.rules import NO_RULES, ProfitLock
from vyomo_rt.domain.session import ChangeReason, SessionStatus
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.domain.trade import ExitReason, Trade

MINUTE_MS = 60_000


class History:
    """Drives a bench, and keeps for each stored command which ticks came before it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.session_id = 0
        self.steps: list[Moment | Event | None] = []
        """What the desk took in its order; None for a crash, which loses what waits."""

    async def run(self, steps: Sequence[tuple[str, int, int]]) -> None:
        bench = self.bench
        self.session_id = await bench.new_session()
        await bench.open(self.session_id, trailing_stop_e4=5_0000, breakeven_at_e4=104_0000)
        self._note_commands()
        for name, one, two in steps:
            await getattr(self, name)(one, two)
            await self._rest()
        bench.store.lost.clear()
        await self._rest()

    async def tick(self, price: int, after_ms: int) -> None:
        self.bench.now_ms += after_ms
        self.steps.append(Moment(self.bench.now_ms, "NIFTY", price * 10_000))
        self.bench.tick(price * 10_000)

    async def clock(self, after_ms: int, _: int) -> None:
        self.bench.now_ms += after_ms
        self.steps.append(Moment(self.bench.now_ms))
        self.bench.desk.pass_time()

    async def open(self, distance: int, even: int) -> None:
        opening = self.bench.open(
            self.session_id,
            trailing_stop_e4=distance * 10_000,
            breakeven_at_e4=(100 + even) * 10_000 if even else None,
        )
        await self._command(opening)

    async def close(self, choice: int, _: int) -> None:
        if trade := self._some(choice):
            await self._command(self.bench.close(trade.trade_id, 100_0000))

    async def reduce(self, choice: int, quantity: int) -> None:
        if trade := self._some(choice):
            await self._command(self.bench.close(trade.trade_id, 100_0000, quantity=quantity))

    async def stop(self, choice: int, level: int) -> None:
        if trade := self._some(choice):
            await self._command(self.bench.amend(trade.trade_id, stop_loss_e4=level * 10_0000))

    async def charge(self, choice: int, _: int) -> None:
        plan = [None, *ChargePlan][choice]
        await self._command(self.bench.change_session(self.session_id, charges=plan))

    async def square_off(self, minutes: int, is_set: int) -> None:
        """Set the square-off so many minutes from now, or take it away."""
        now_min = (self.bench.now_ms - day_start_ms(trading_day(self.bench.now_ms))) // MINUTE_MS
        rules = {"square_off_min": (now_min + minutes) % (24 * 60) if is_set else None}
        await self._command(self.bench.change_session(self.session_id, rules=rules))

    async def rule(self, choice: int, tens: int) -> None:
        """Set a rule at so many tens of rupees, or take it away."""
        paise = tens * 10_00
        lock = ProfitLock(arm_at_paise=paise, floor_paise=paise // 2)
        name, value = (
            ("max_daily_loss_paise", paise),
            ("daily_target_paise", paise),
            ("profit_lock", lock),
            ("losing_streak", tens),
        )[choice]
        rules = {name: value if tens else None}
        await self._command(self.bench.change_session(self.session_id, rules=rules))

    async def status(self, choice: int, _: int) -> None:
        status = (SessionStatus.ACTIVE, SessionStatus.PAUSED, SessionStatus.HALTED)[choice]
        await self._command(self.bench.change_session(self.session_id, status=status))

    async def lose(self, happened: bool, _: int) -> None:
        """The answer to the next write is lost."""
        self.bench.store.lost.append(happened)

    async def crash(self, *_: int) -> None:
        await self.bench.restart()
        self.bench.announced[:] = await self.bench.history(self.session_id)
        self._note_commands()
        self.bench.desk.resume()
        self.steps += [None, Moment(self.bench.now_ms)]

    def _some(self, choice: int) -> Trade | None:
        trades = list(self.bench.replica.state(self.session_id).open_trades.values())
        return trades[choice % len(trades)] if trades else None

    async def _command(self, command: object) -> None:
        with suppress(Unavailable, Conflict):
            await command  # type: ignore[misc]
        await self._rest()

    async def _rest(self) -> None:
        """Wait until nothing waits, so that the order of ticks and commands is known."""
        async with asyncio.timeout(PATIENCE_S):
            while self._is_busy:  # noqa: ASYNC110 - only the ledgers tell
                await asyncio.sleep(0.002)
        self._note_commands()

    @property
    def _is_busy(self) -> bool:
        return any(ledger.is_busy for ledger in self.bench.desk.ledgers)

    def _note_commands(self) -> None:
        noted = {step.seq for step in self.steps if isinstance(step, Event)}
        placed: dict[int, PendingEntry] = {}
        for event in self.bench.announced:
            if event.seq not in noted and _is_command(event, placed):
                self.steps.append(event)
            if event.kind is EventKind.ORDER_PLACED and isinstance(event, OrderEvent):
                placed[event.entry.order_id] = event.entry


def _is_command(event: Event, placed: Mapping[int, PendingEntry]) -> bool:
    """Whether somebody asked for it; ``placed`` are the orders as they were asked for before."""
    if isinstance(event, OrderEvent):
        end = event.entry.end
        by_request = Ending(EndReason.CANCELLED, event.at_ms)
        return end is None or end == by_request
    if isinstance(event, SessionEvent):
        return event.reason is ChangeReason.MANUAL
    assert isinstance(event, TradeEvent)
    trade = event.trade
    if event.kind is EventKind.CLOSED:
        return trade.exit is not None and trade.exit.reason is ExitReason.MANUAL
    if event.kind is EventKind.CHANGED:
        return trade.change is not None and trade.change.reason == "MANUAL"
    if event.entry is not None:
        return placed.get(event.entry.order_id) != replace(event.entry, end=None)
    return True


class ReRun:
    """Makes events anew of ticks and commands alone; only ids of trades are taken from ``log``."""

    def __init__(self, begin: SessionState, log: Sequence[Event]) -> None:
        self.events: list[Event] = []
        self._state = begin
        self._pace = Pace()
        self._around = Around(self._open_entry)
        self._last: dict[str, Quote] = {}
        self._trade_of = {
            event.entry.order_id: event.trade.trade_id
            for event in log
            if isinstance(event, TradeEvent) and event.entry is not None
        }

    def take(self, step: Moment | Event | None) -> None:
        """A tick, a command, or None for a crash."""
        state, pace = self._state, self._pace
        if step is None:
            self._pace = Pace()
        elif isinstance(step, Moment):
            self._take_moment(step)
        elif isinstance(step, SessionEvent):
            change = SessionChange(
                standing=step.standing, reason=step.reason, at_ms=step.at_ms, detail=step.detail
            )
            self._decided(decisions.change(state, pace, change, self._around))
        elif isinstance(step, TradeEvent):
            self._take_trade(step)
        else:
            self._append(step)

    def _take_moment(self, moment: Moment) -> None:
        """The clock acts before a tick; a square-off that had no price waits for the first one."""
        known = dict(self._last)
        if moment.symbol is not None:
            quote = Quote(moment.symbol, moment.price_e4, moment.at_ms, "test", stale=False)
            known.setdefault(moment.symbol, quote)
            self._last[moment.symbol] = quote
        before = Moment(moment.at_ms, last=known)
        self._decided(decide(self._state, self._pace, [before, moment], self._around))
        self._around.prices.update(self._last)

    def _take_trade(self, step: TradeEvent) -> None:
        now = self._state.open_trades.get(step.trade.trade_id)
        if step.kind is EventKind.CLOSED and now is not None and step.trade.exit is not None:
            self._decided(close(self._state, self._pace, now, step.trade.exit, self._around))
            return
        if step.kind is EventKind.REDUCED:
            self._decided(decisions.reduce(self._state, self._pace, step.trade, self._around))
            return
        if step.kind is EventKind.CHANGED:
            self._pace = self._pace.without(step.trade.trade_id)
        self._append(step)

    def _append(self, event: Event) -> None:
        self._state = self._state.after(event)
        self.events.append(event)

    def _decided(self, decided: Decided) -> None:
        self._state, self._pace = decided.state, decided.pace
        self.events += decided.events

    def _open_entry(self, entry: PendingEntry, moment: Moment) -> Trade:
        guards = opening_guards(entry.opening, entry.side, moment.price_e4, lambda: DEFAULT_TICK_E4)
        return Trade(
            trade_id=self._trade_of.get(entry.order_id, 0),
            session_id=entry.session_id,
            symbol=entry.symbol,
            side=entry.side,
            quantity=entry.quantity,
            entry_price_e4=moment.price_e4,
            opened_at_ms=moment.at_ms,
            order_id=entry.order_id,
            tags=entry.tags,
            note=entry.note,
            **guards,
        )


def content(events: Sequence[Event]) -> list[tuple[object, ...]]:
    return [(e.seq, e.kind.value, e.records, getattr(e, "standing", None)) for e in events]


async def check(
    bench: Bench, steps: Sequence[tuple[str, int, int]], kind: type[History] = History
) -> list[Event]:
    """Hold the log of random steps against its re-run; returns the log."""
    history = kind(bench)
    await history.run(steps)
    stored = await bench.history(history.session_id)
    session = bench.replica.state(history.session_id).session
    session = replace(
        session,
        status=SessionStatus.ACTIVE,
        status_reason=None,
        rules=NO_RULES,
        charges=None,
        square_off_set_ms=None,
        halt=None,
        closing=None,
        lock=None,
        waived=(),
        waived_on=None,
    )
    born = state_of(session, Figures(), bench.replica.today)
    again = ReRun(born, stored)
    for step in history.steps:
        again.take(step)
    assert content(again.events) == content(stored)
    state = born
    for event in stored:
        state = state.after(event)
    assert state == bench.replica.state(history.session_id)
    return stored
