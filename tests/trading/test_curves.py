"""Each session's P&L of every minute: what is kept of it, and how it is found again."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tests.trading.bench import Bench
from vyomo_rt.domain.curve import CurveRow
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.moment import MINUTE_MS, MarketMs
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.store.curves import SavedCurves
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.trading import curves as module
from vyomo_rt.trading.curves import Curves

HOUR, DAY = 60, 24 * 60
MOST_STEP_S = 0.01


class Kept(SavedCurves):
    """A real store that is away when told to."""

    def __init__(self, store: MongoStore) -> None:
        super().__init__(store)
        self.away = False
        self.saved: list[tuple[int, int]] = []
        """Session and number of rows of each save."""
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """What happens during the next call."""

    async def save(self, session_id: int, hour: int, rows: Sequence[CurveRow]) -> None:
        if self.away:
            raise Unavailable("away")
        await super().save(session_id, hour, rows)
        await self._pass()
        self.saved.append((session_id, len(rows)))

    async def load(self, session_id: int, first_hour: int, last_hour: int) -> list[CurveRow]:
        rows = await super().load(session_id, first_hour, last_hour)
        await self._pass()
        return rows

    async def _pass(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()


class Chart:
    """Curves of a bench's sessions, by its clock."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.start()

    def start(self) -> None:
        """As at a start of the server."""
        self.bench.store.fence.term += 1
        self.kept = Kept(self.bench.store)
        self.curves = Curves(
            self.bench.replica,
            self.bench.quotes.get,
            self.kept,
            lambda: MarketMs(self.bench.now_ms),
        )

    @property
    def minute(self) -> int:
        return self.bench.now_ms // MINUTE_MS

    async def pass_minutes(self, count: int = 1) -> None:
        for _ in range(count):
            self.bench.now_ms += MINUTE_MS
            await self.curves.take()
            await self.curves.save()

    async def rows(self, session_id: int, first: int = 0, last: int = 10**9) -> list[CurveRow]:
        return [row async for rows in self.curves.days(session_id, first, last) for row in rows]


@pytest.fixture
def chart(bench: Bench) -> Chart:
    return Chart(bench)


async def test_a_session_has_a_row_a_minute_with_its_pnl_then(bench: Bench, chart: Chart) -> None:
    session_id = await bench.new_session()
    await chart.pass_minutes()
    trade = await bench.open(session_id)
    bench.tick(101_0000)
    await chart.pass_minutes()
    bench.tick(99_0000)
    await chart.pass_minutes(2)
    await bench.close(trade.trade_id, 102_0000)
    await chart.pass_minutes(2)
    now = chart.minute
    assert await chart.rows(session_id) == [
        CurveRow(now - 5),
        CurveRow(now - 4, 0, 10_00, 10_00),
        CurveRow(now - 3, 0, -10_00, -10_00),
        CurveRow(now - 2, 0, -10_00, -10_00),
        CurveRow(now - 1, 20_00, 0, 20_00),
        CurveRow(now, 20_00, 0, 20_00),
    ]
    assert [row.minute for row in await chart.rows(session_id, now - 3, now - 1)] == [
        *range(now - 3, now)
    ]


async def test_only_what_changed_is_saved(bench: Bench, chart: Chart) -> None:
    """And the minute itself, once for all sessions."""
    ids = [await bench.new_session() for _ in range(3)]
    await bench.open(ids[0])
    await chart.pass_minutes()
    chart.kept.saved.clear()
    bench.tick(101_0000)
    await chart.pass_minutes(2)
    assert chart.kept.saved == [(ids[0], 2), (0, 2), (0, 3)]


async def test_minutes_in_which_the_server_did_not_run_are_gaps(bench: Bench, chart: Chart) -> None:
    """What was kept before a restart stays, in the same hour, too."""
    session_id = await bench.new_session()
    await bench.open(session_id)
    bench.tick(101_0000)
    await chart.pass_minutes(2)
    before = await chart.rows(session_id)
    bench.now_ms += 3 * MINUTE_MS
    await bench.restart()
    chart.start()
    await chart.pass_minutes(2)
    found = await chart.rows(session_id)
    assert found[:2] == before
    assert [row.minute for row in found[2:]] == [chart.minute - 1, chart.minute]
    assert found[2:] == [CurveRow(row.minute, 0, 10_00, 10_00) for row in found[2:]]


async def test_a_new_date_does_not_need_the_one_before(bench: Bench, chart: Chart) -> None:
    session_id = await bench.new_session()
    await bench.close((await bench.open(session_id)).trade_id)
    await chart.pass_minutes(2 * HOUR)
    found = await chart.rows(session_id, chart.minute - 10, chart.minute)
    assert found == [CurveRow(chart.minute - n, 10_00, 0, 10_00) for n in range(10, -1, -1)]
    assert len(await chart.rows(session_id)) == 2 * HOUR


async def test_rows_wait_while_the_store_is_away(bench: Bench, chart: Chart) -> None:
    session_id = await bench.new_session()
    await chart.pass_minutes()
    chart.kept.away = True
    await bench.open(session_id)
    for price_e4 in (101_0000, 102_0000):
        bench.tick(price_e4)
        await chart.pass_minutes(3)
    chart.kept.away = False
    await chart.curves.save()
    found = await chart.rows(session_id)
    assert [row.unrealised_paise for row in found] == [0, *[10_00] * 3, *[20_00] * 3]
    assert [row.minute for row in found] == [*range(chart.minute - 6, chart.minute + 1)]


async def test_rows_that_the_store_did_not_take_for_hours_are_a_gap_and_not_wrong(
    bench: Bench, chart: Chart
) -> None:
    session_id = await bench.new_session()
    await bench.open(session_id)
    await chart.pass_minutes(HOUR)
    chart.kept.away = True
    bench.tick(101_0000)
    await chart.pass_minutes(4 * HOUR)
    chart.kept.away = False
    await chart.pass_minutes(2)
    found = {row.minute: row.unrealised_paise for row in await chart.rows(session_id)}
    assert chart.minute - 3 * HOUR not in found
    assert {found[minute] for minute in found if minute > chart.minute - HOUR} == {10_00}
    assert sum(map(len, chart.curves._rows.values())) < 5, "little is kept in memory"


async def test_rows_that_are_given_up_while_others_are_saved_are_a_gap_and_not_wrong(
    bench: Bench, chart: Chart
) -> None:
    ids = [await bench.new_session() for _ in range(2)]
    await chart.pass_minutes()
    for session_id in ids:
        await bench.open(session_id)
    bench.tick(101_0000)
    bench.now_ms += MINUTE_MS
    await chart.curves.take()
    lost = chart.minute

    async def pass_hours() -> None:
        for _ in range(2 * HOUR):
            bench.now_ms += MINUTE_MS
            await chart.curves.take()

    chart.kept.meanwhile = pass_hours
    await chart.curves.save()
    await chart.pass_minutes()
    minutes = [row.minute for row in await chart.rows(ids[1])]
    assert lost not in minutes
    assert minutes[-1] == chart.minute


async def test_rows_that_are_saved_while_a_curve_is_read_are_not_missing(
    bench: Bench, chart: Chart
) -> None:
    session_id = await bench.new_session()
    await chart.pass_minutes()
    await bench.open(session_id)
    bench.tick(101_0000)
    chart.kept.meanwhile = chart.pass_minutes
    rows = await chart.rows(session_id, chart.minute, chart.minute + 1)
    assert [row.unrealised_paise for row in rows if row.minute == chart.minute] == [10_00]


async def test_a_minute_is_told_only_once_all_its_rows_are_saved(
    bench: Bench, chart: Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends in between leaves gaps, and no rows that are out of date."""
    one, two = await bench.new_session(), await bench.new_session()
    await bench.open(one)
    await bench.open(two)
    await chart.pass_minutes()
    bench.tick(101_0000)
    save = chart.kept.save

    async def save_one(session_id: int, hour: int, rows: Sequence[CurveRow]) -> None:
        if session_id != one:
            raise Unavailable("killed")
        await save(session_id, hour, rows)

    monkeypatch.setattr(chart.kept, "save", save_one)
    await chart.pass_minutes()
    chart.start()
    assert [row.unrealised_paise for row in await chart.rows(one)] == [0, 10_00]
    assert [row.minute for row in await chart.rows(two)] == [chart.minute - 1]


async def test_a_stopped_session_goes_on_until_the_server_or_the_date_ends(
    bench: Bench, chart: Chart
) -> None:
    session_id = await bench.new_session()
    await chart.pass_minutes()
    await bench.change_session(session_id, status=SessionStatus.STOPPED)
    await chart.pass_minutes()
    before = await chart.rows(session_id)
    assert [row.minute for row in before] == [chart.minute - 1, chart.minute]
    bench.now_ms += DAY * MINUTE_MS
    chart.start()
    await chart.pass_minutes()
    assert await chart.rows(session_id) == before


async def test_rows_are_kept_for_thirty_days_and_removed_a_few_at_a_time(
    bench: Bench, chart: Chart
) -> None:
    session_id = await bench.new_session()
    for hour in range(30):
        await chart.kept.save(session_id, hour, [CurveRow(hour * HOUR)])
    await chart.pass_minutes()
    documents = bench.store.database["curves"]
    left = await documents.count_documents({})
    assert 2 < left < 32
    await chart.curves.save()
    await chart.curves.save()
    assert await documents.count_documents({}) == 2, "of this minute"
    bench.now_ms += 29 * DAY * MINUTE_MS
    await chart.pass_minutes()
    assert len(await chart.rows(session_id)) == 2
    bench.now_ms += 2 * DAY * MINUTE_MS
    assert len(await chart.rows(session_id)) == 1


async def test_a_minute_of_a_thousand_sessions_holds_up_nothing(bench: Bench, chart: Chart) -> None:
    """By processor time, the best of several; the loop turns after each step."""
    for _ in range(module._SLICE):
        await bench.open(await bench.new_session())
    states = bench.replica.states()
    took_s = []
    for n in range(5):
        bench.tick(101_0000 + n)
        began = time.process_time()
        for state in states:
            chart.curves._take(state, chart.minute + n)
        took_s.append(time.process_time() - began)
    assert len(states) == module._SLICE
    assert min(took_s) < MOST_STEP_S


async def test_what_a_former_owner_has_not_saved_is_saved_by_the_next_and_little_more(
    bench: Bench, chart: Chart
) -> None:
    """Every node takes all rows, one saves them; the others hold a quarter of an hour."""
    session_id = await bench.new_session()
    await bench.open(session_id)
    owner, begun = chart.curves, chart.minute
    chart.start()
    follower = chart.curves
    for number in range(1, 41):
        bench.now_ms += MINUTE_MS
        bench.tick(100_0000 + number)
        for curves in (owner, follower):
            await curves.take()
        follower.follow()
        if number < 40:
            await owner.save()
    chart.kept.saved.clear()
    bench.store.fence.term += 1
    await follower.save()
    rows = await chart.rows(session_id)
    assert [row.minute for row in rows] == [*range(begun + 1, begun + 41)]
    assert len({row.unrealised_paise for row in rows}) > 3
    saved = [count for id_, count in chart.kept.saved if id_ == session_id]
    assert sum(saved) <= 16
