"""Whatever happens to store and server: the log says what the ticks make of it.

Random ticks, moves, commands and crashes against a real store. After each crash the session goes
on from its newest stored event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trading.bench import BEGIN_MS, Bench
from vyomo_rt.domain.decisions import Moment, Pace, close, decide
from vyomo_rt.domain.errors import Conflict, Unavailable
from vyomo_rt.domain.event import Event, EventKind, TradeEvent
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.domain.trade import ExitReason, Trade

ticks = st.tuples(st.just("tick"), st.integers(90, 115), st.integers(0, 900))
others = st.one_of(
    st.tuples(st.just("open"), st.integers(2, 8), st.integers(0, 9)),
    st.tuples(st.just("close"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("reduce"), st.integers(0, 9), st.integers(1, 4)),
    st.tuples(st.just("stop"), st.integers(0, 9), st.integers(1, 9)),
    st.tuples(st.just("lose"), st.booleans(), st.just(0)),
    st.tuples(st.just("crash"), st.just(0), st.just(0)),
    st.tuples(st.just("clock"), st.integers(0, 1500), st.just(0)),
)
histories = st.lists(ticks | ticks | others, min_size=5, max_size=30)


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

    async def lose(self, happened: bool, _: int) -> None:
        """The answer to the next write is lost."""
        self.bench.store.lost.append(happened)

    async def crash(self, *_: int) -> None:
        await self.bench.restart()
        self.bench.announced[:] = await self.bench.history(self.session_id)
        self._note_commands()
        self.steps.append(None)

    def _some(self, choice: int) -> Trade | None:
        trades = list(self.bench.replica.state(self.session_id).open_trades.values())
        return trades[choice % len(trades)] if trades else None

    async def _command(self, command: object) -> None:
        with suppress(Unavailable, Conflict):
            await command  # type: ignore[misc]
        await self._rest()

    async def _rest(self) -> None:
        """Wait until nothing waits, so that the order of ticks and commands is known."""
        async with asyncio.timeout(10):
            while self._is_busy:  # noqa: ASYNC110 - only the ledgers tell
                await asyncio.sleep(0.002)
        self._note_commands()

    @property
    def _is_busy(self) -> bool:
        return any(ledger.is_busy for ledger in self.bench.desk._ledgers)

    def _note_commands(self) -> None:
        noted = {step.seq for step in self.steps if isinstance(step, Event)}
        self.steps += [
            event for event in self.bench.announced if event.seq not in noted and _is_command(event)
        ]


def _is_command(event: Event) -> bool:
    assert isinstance(event, TradeEvent)
    trade = event.trade
    if event.kind is EventKind.CLOSED:
        return trade.exit is not None and trade.exit.reason is ExitReason.MANUAL
    if event.kind is EventKind.CHANGED:
        return trade.change is not None and trade.change.reason == "MANUAL"
    return True


def re_run(begin: SessionState, steps: Sequence[Moment | Event | None]) -> list[Event]:
    """The events that follow from ticks and commands alone."""
    state, pace, events = begin, Pace(), []
    for step in steps:
        if step is None:
            pace = Pace()
        elif isinstance(step, Moment):
            decided = decide(state, pace, [step])
            state, pace = decided.state, decided.pace
            events += decided.events
        else:
            assert isinstance(step, TradeEvent)
            now = state.open_trades.get(step.trade.trade_id)
            if step.kind is EventKind.CLOSED and now is not None and step.trade.exit is not None:
                decided = close(state, pace, now, step.trade.exit)
                state, pace = decided.state, decided.pace
                events += decided.events
                continue
            if step.kind is EventKind.CHANGED:
                pace = pace.without(step.trade.trade_id)
            state = state.after(step)
            events.append(step)
    return events


def content(events: Sequence[Event]) -> list[tuple[int, str, object]]:
    return [(e.seq, e.kind.value, e.trade) for e in events if isinstance(e, TradeEvent)]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories)
async def test_the_log_says_what_a_re_run_over_the_ticks_since_the_newest_stored_event_says(
    bench: Bench, steps: list[tuple[str, int, int]]
) -> None:
    await check(bench, steps)


@pytest.mark.slow
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories)
async def test_many_more_logs_say_what_a_re_run_says(
    bench: Bench, steps: list[tuple[str, int, int]]
) -> None:
    await check(bench, steps)


async def check(bench: Bench, steps: list[tuple[str, int, int]]) -> None:
    bench.now_ms = BEGIN_MS
    bench.announced.clear()
    bench.quotes.clear()
    history = History(bench)
    await history.run(steps)
    stored = await bench.history(history.session_id)
    session = bench.replica.state(history.session_id).session
    born = state_of(replace(session, status_reason=None), Figures(), bench.replica.today)
    assert content(re_run(born, history.steps)) == content(stored)
    state = born
    for event in stored:
        state = state.after(event)
    assert state == bench.replica.state(history.session_id)
    await bench.desk.stop()
