"""How much reports keep, read at a time and hold up."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.kit.history import history
from tests.kit.waiting import PATIENCE_S
from tests.trading.bench import Bench
from vyomo_rt.domain.closings import Closings
from vyomo_rt.domain.report import Report, ReportBy, ReportOrder
from vyomo_rt.trading import reports
from vyomo_rt.trading.reports import Reports

MOST_STEP_S = 0.02


async def closed_trades(bench: Bench, count: int) -> int:
    """A session with so many trades that won ten rupees each."""
    session_id = await bench.new_session()
    for _ in range(count):
        await bench.close((await bench.open(session_id)).trade_id)
    return session_id


async def total(reports: Reports, session_id: int) -> tuple[int, int]:
    """The trades and the P&L of a session's report."""
    found = (await reports.report(session_id, ReportOrder())).total
    return found.trades, found.pnl_paise


async def test_a_report_reads_only_what_is_new_since_the_last_one(bench: Bench) -> None:
    session_id = await closed_trades(bench, 3)
    made = bench.desk.reports
    assert await total(made, session_id) == (3, 30_00)
    bench.store.read_of.clear()
    assert await total(made, session_id) == (3, 30_00)
    assert bench.store.read_of == []
    await bench.close((await bench.open(session_id)).trade_id)
    assert await total(made, session_id) == (4, 40_00)
    assert bench.store.read_of == [(6, 8)]


async def test_two_reports_at_once_read_once(bench: Bench) -> None:
    session_id = await closed_trades(bench, 2)
    found = await asyncio.gather(*(total(bench.desk.reports, session_id) for _ in range(4)))
    assert found == [(2, 20_00)] * 4
    assert bench.store.read_of == [(0, 4)]


async def test_a_report_that_is_given_up_leaves_what_it_has_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks next reads on from there."""
    monkeypatch.setattr(reports, "_EVENTS_A_READ", 2)
    session_id = await closed_trades(bench, 3)
    asked = asyncio.create_task(total(bench.desk.reports, session_id))
    async with asyncio.timeout(PATIENCE_S):
        while len(bench.store.read_of) < 2:  # noqa: ASYNC110 - only the store tells
            await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    assert await total(bench.desk.reports, session_id) == (3, 30_00)
    assert bench.store.read_of.count((0, 2)) == 1


async def test_only_so_many_closings_are_kept_of_all_sessions(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were not asked for longest are read again."""
    monkeypatch.setattr(reports, "KEPT_CLOSINGS", 5)
    first, second, large = [await closed_trades(bench, count) for count in (2, 2, 6)]
    made = bench.desk.reports
    for session_id in (first, second, first):
        await total(made, session_id)
    assert len(bench.store.read_of) == 2
    assert await total(made, large) == (6, 60_00), "more than are kept, and right all the same"
    bench.store.read_of.clear()
    await total(made, large)
    assert bench.store.read_of == []
    await total(made, first)
    assert bench.store.read_of == [(0, 4)]


def test_no_step_of_a_report_holds_up_the_loop() -> None:
    """Whatever the rows are; by processor time, the best of several."""
    closings = Closings()
    for event in history(6, reports._SLICE + 10):
        closings.add(event)
    for by in ReportBy:
        took_s = []
        for _ in range(3):
            made = Report(ReportOrder(by=by, net=True), closings)
            began = time.process_time()
            made.add(0, reports._SLICE)
            took_s.append(time.process_time() - began)
        assert made.total.trades == reports._SLICE
        assert min(took_s) < MOST_STEP_S, by
