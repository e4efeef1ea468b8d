"""Whatever happens to pending entries: each ends once, and the log says what the ticks make of it.

Orders are placed, changed and cancelled at random between ticks, changes of status, lost answers
and crashes, against a real store.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.kit.waiting import until
from tests.trading.bench import Bench, new_bench
from tests.trading.history import History, check
from vyomo_rt.domain.decisions import Moment
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.pending import EntryTerms, EntryType, PendingEntry, Validity
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.store import documents
from vyomo_rt.store.fold import Fold

STATUSES = (SessionStatus.ACTIVE, SessionStatus.PAUSED, SessionStatus.HALTED)
prices, choices = st.integers(90, 110), st.integers(0, 9)
ticks = st.tuples(st.just("tick"), prices, st.integers(0, 900))
placings = st.tuples(st.just("place"), prices, st.integers(0, 15))
others = st.one_of(
    st.tuples(st.just("change"), choices, prices),
    st.tuples(st.just("cancel"), choices, st.just(0)),
    st.tuples(st.just("close"), choices, st.just(0)),
    st.tuples(st.just("status"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("lose"), st.booleans(), st.just(0)),
    st.tuples(st.just("crash"), st.just(0), st.just(0)),
    st.tuples(st.just("die"), prices, st.integers(0, 1)),
    st.tuples(st.just("clock"), st.sampled_from([800, 3_600_000]), st.just(0)),
)
Steps = list[tuple[str, int, int]]
histories = st.lists(ticks | placings | others, min_size=5, max_size=25)


class OrderHistory(History):
    """Also places orders, and lets the process die while it writes."""

    async def place(self, price: int, variant: int) -> None:
        """By the bits of ``variant``: a SELL, a STOP, for the day, with guards."""
        side = Side.SELL if variant & 1 else Side.BUY
        terms = EntryTerms(
            symbol="NIFTY",
            side=side,
            quantity=10,
            type=EntryType.STOP if variant & 2 else EntryType.LIMIT,
            price_e4=price * 10_000,
            validity=Validity.DAY if variant & 4 else Validity.GTC,
            stop_loss_e4=(price - 2 * side.sign) * 10_000 if variant & 8 else None,
            trailing_stop_e4=5_0000 if variant & 8 else None,
        )
        operation = Operation.asked(by=None)
        await self._command(self.bench.desk.place_order(self.session_id, operation, lambda: terms))

    async def change(self, choice: int, price: int) -> None:
        if entry := self._some_entry(choice):
            members = {"price_e4": price * 10_000, "validity": Validity.DAY, "quantity": price}
            operation = Operation.asked(by=None)
            changing = self.bench.desk.change_order(entry.order_id, operation, lambda: members)
            await self._command(changing)

    async def cancel(self, choice: int, _: int) -> None:
        if entry := self._some_entry(choice):
            operation = Operation.asked(by=None)
            await self._command(
                self.bench.desk.cancel_order(entry.order_id, operation, lambda: None)
            )

    async def status(self, choice: int, _: int) -> None:
        await self._command(self.bench.change_session(self.session_id, status=STATUSES[choice]))

    async def die(self, price: int, happened: int) -> None:
        """The process ends with a write on its way: what was not stored has not happened."""
        bench = self.bench
        bench.store.lost.clear()
        bench.store.lost.append(bool(happened))
        bench.store.away = True
        bench.tick(price * 10_000)
        ledger = await bench.desk.sessions.ledger(self.session_id)
        await until(lambda: not (ledger.is_busy and ledger.is_settled))
        if happened and not ledger.is_settled:
            self.steps.append(Moment(bench.now_ms, "NIFTY", price * 10_000))
        if ledger.worker is not None:
            ledger.worker.cancel()
        bench.store.lost.clear()
        bench.store.away = False
        await self.crash()

    def _some_entry(self, choice: int) -> PendingEntry | None:
        entries = list(self.bench.replica.state(self.session_id).pending.values())
        return entries[choice % len(entries)] if entries else None


async def check_orders(bench: Bench, steps: Steps) -> None:
    log = await check(bench, steps, OrderHistory)
    ends = Counter(
        record.order_id
        for event in log
        for record in event.records
        if isinstance(record, PendingEntry) and record.end is not None
    )
    assert all(times == 1 for times in ends.values()), ends
    assert differences(bench, log) == []


def differences(bench: Bench, log: list[Event]) -> list[tuple[object, ...]]:
    """What ``vyomo-rt verify`` finds in a log."""
    found: list[tuple[object, ...]] = []
    session = bench.replica.state(log[0].session_id).session
    session = replace(session, status=SessionStatus.ACTIVE, status_reason=None)
    fold = Fold(session, None, lambda *difference: found.append(difference))
    for event in log:
        assert fold.read(documents.from_event(event)) == event
        fold.take(event, {})
    return found


@example([("tick", 90, 0), ("place", 91, 1), ("change", 0, 90)])  # all in one millisecond
@settings(max_examples=15, deadline=None)
@given(histories)
async def test_each_order_ends_once_and_the_log_says_what_a_re_run_says(
    embedded_uri: str, steps: Steps
) -> None:
    async with new_bench(embedded_uri) as bench:
        await check_orders(bench, steps)


@pytest.mark.slow(32)
@pytest.mark.timeout(900)
@settings(max_examples=300, deadline=None)
@given(histories)
async def test_many_more_histories_of_orders_say_what_a_re_run_says(
    embedded_uri: str, steps: Steps
) -> None:
    async with new_bench(embedded_uri) as bench:
        await check_orders(bench, steps)
