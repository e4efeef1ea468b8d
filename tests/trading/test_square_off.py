"""Square-off: at its time every trade closes, whatever the price, and nothing opens after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest

from tests.kit.waiting import PATIENCE_S
from tests.trading.bench import Bench
from tests.trading.entries import place
from vyomo_rt.domain.errors import Conflict, OutcomeUnknown
from vyomo_rt.domain.event import Event, EventKind, OrderEvent, TradeEvent
from vyomo_rt.domain.halt import HaltOrder
from vyomo_rt.domain.moment import to_ms
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.pending import Ending, EndReason
from vyomo_rt.domain.rules import Rules
from vyomo_rt.domain.session import ChangeReason, SessionStatus
from vyomo_rt.domain.trade import Exit, ExitDetail, ExitReason
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.market_hours import MarketHours
from vyomo_rt.store.journal import MongoStore

QUARTER_PAST = 15 * 60 + 15
SQUARE_OFF = ExitReason.SQUARE_OFF
OPTION = "NIFTY26DEC24000CE"


def ist(text: str) -> int:
    return to_ms(datetime.fromisoformat(f"2026-{text}+05:30"))


DUE_MS = ist("11-26 15:15")


@pytest.fixture
async def session_id(bench: Bench) -> int:
    """A session that squares off at 15:15, on a Thursday at 14:00."""
    bench.now_ms = ist("11-26 14:00")
    return await bench.new_session(rules=Rules(square_off_min=QUARTER_PAST))


def at(bench: Bench, moment_ms: int) -> None:
    """The clock comes to a moment, without a price."""
    bench.now_ms = moment_ms
    bench.desk.pass_time()


def exits(events: Sequence[Event]) -> dict[int, Exit]:
    trades = [event.trade for event in events if isinstance(event, TradeEvent)]
    return {trade.trade_id: trade.exit for trade in trades if trade.exit is not None}


async def test_at_its_time_every_trade_closes_at_the_last_price_by_id_and_not_before(
    bench: Bench, session_id: int
) -> None:
    other = await bench.new_session()
    await bench.open(other)
    first = await bench.open(session_id)
    await bench.change_session(session_id, status=SessionStatus.PAUSED)
    await bench.change_session(session_id, status=SessionStatus.ACTIVE)
    second = await bench.open(session_id, symbol="TCS")
    third = await bench.open(session_id)
    bench.tick(99_0000)
    bench.tick(50_0000, "TCS", stale=True)
    await bench.change_session(session_id, status=SessionStatus.PAUSED)
    at(bench, DUE_MS - 1)
    await bench.change_session(session_id, name="still open")
    assert len(bench.replica.state(session_id).open_trades) == 3
    at(bench, DUE_MS)
    await bench.reached(session_id, 11)
    closed = (await bench.history(session_id))[8:]
    assert exits(closed) == {
        first.trade_id: Exit(99_0000, SQUARE_OFF, DUE_MS),
        second.trade_id: Exit(50_0000, SQUARE_OFF, DUE_MS, stale=True),
        third.trade_id: Exit(99_0000, SQUARE_OFF, DUE_MS),
    }
    assert list(exits(closed)) == sorted(exits(closed))
    assert len(bench.replica.state(other).open_trades) == 1
    await bench.assert_sound(session_id)


@pytest.mark.parametrize("after_ms", [0, 1500])
async def test_it_acts_before_the_first_price_at_or_after_it(
    bench: Bench, session_id: int, after_ms: int
) -> None:
    trade = await bench.open(session_id, stop_e4=90_0000)
    bench.now_ms = DUE_MS - 1
    bench.tick(99_0000)
    bench.now_ms = DUE_MS + after_ms
    bench.tick(80_0000)
    await bench.reached(session_id, 3)
    [exit_] = exits(await bench.history(session_id)).values()
    assert exit_ == Exit(99_0000, SQUARE_OFF, DUE_MS + after_ms)
    assert trade.trade_id not in bench.replica.state(session_id).open_trades


async def test_a_trade_without_a_price_closes_at_the_first_one_even_if_it_is_stale(
    bench: Bench, session_id: int
) -> None:
    await bench.open(session_id)
    tcs = await bench.open(session_id, symbol="TCS")
    bench.tick(99_0000)
    at(bench, DUE_MS)
    await bench.reached(session_id, 4)
    bench.now_ms = ist("11-27 09:20")
    await bench.restart()
    bench.desk.resume()
    bench.now_ms += 500
    bench.tick(50_0000, "TCS", stale=True)
    await bench.reached(session_id, 5)
    late = exits(await bench.history(session_id))[tcs.trade_id]
    assert late == Exit(50_0000, SQUARE_OFF, ist("11-27 09:20") + 500, stale=True)


@pytest.mark.parametrize("back", ["11-26 15:15", "11-26 23:00", "11-29 12:00"])
async def test_one_that_fell_into_a_downtime_closes_at_the_start_before_any_price(
    bench: Bench, session_id: int, back: str
) -> None:
    trade = await bench.open(session_id, stop_e4=95_0000)
    bench.tick(99_0000)
    bench.now_ms = ist(back)
    await bench.restart()
    bench.desk.resume()
    bench.tick(80_0000)
    await bench.reached(session_id, 3)
    assert exits(await bench.history(session_id)) == {
        trade.trade_id: Exit(99_0000, SQUARE_OFF, ist(back))
    }
    await bench.assert_sound(session_id, all_announced=False)


async def test_what_a_crash_cuts_off_goes_on_at_the_next_start(
    bench: Bench, session_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = [await bench.open(session_id) for _ in range(3)]
    bench.tick(99_0000)

    async def die(events: Sequence[Event]) -> None:
        await MongoStore.append(bench.store, events[:1])
        raise OutcomeUnknown("the process died here")

    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "append", die)
        at(bench, DUE_MS)
        async with asyncio.timeout(PATIENCE_S):
            while len(await bench.history(session_id)) < 5:  # noqa: ASYNC110 - only the store tells
                await asyncio.sleep(0.005)
        await bench.restart()
    bench.now_ms += 60_000
    bench.desk.resume()
    await bench.reached(session_id, 7)
    found = exits(await bench.history(session_id))
    moments = {trade_id: exit_.at_ms - DUE_MS for trade_id, exit_ in found.items()}
    assert moments == dict(zip((t.trade_id for t in trades), (0, 60_000, 60_000), strict=True))


async def test_nothing_opens_after_it_on_that_date(bench: Bench, session_id: int) -> None:
    bench.tick(100_0000)
    await place(bench, session_id, price_e4=99_0000)
    at(bench, DUE_MS)
    with pytest.raises(Conflict, match=r"squareOff: .* until 2026-11-26T18:30:00.000Z"):
        await bench.open(session_id)
    bench.tick(99_0000)
    await bench.reached(session_id, 3)
    ended = (await bench.history(session_id))[-1]
    assert isinstance(ended, OrderEvent)
    assert isinstance(ended.entry.end, Ending)
    assert ended.entry.end.reason is EndReason.REFUSED
    assert "squareOff" in (ended.entry.end.detail or "")
    bench.now_ms = ist("11-27 00:00")
    await bench.open(session_id)


async def test_set_after_its_time_it_acts_from_the_next_trading_day_on(
    bench: Bench, session_id: int
) -> None:
    bench.square_off_ms = MarketHours(Calendar.shipped()).square_off_ms
    bench.now_ms = ist("11-27 15:00")
    trade = await bench.open(session_id, symbol=OPTION)
    bench.tick(99_0000, OPTION)
    await bench.change_session(session_id, rules={"square_off_min": None})
    at(bench, ist("11-27 15:15"))
    await bench.change_session(session_id, rules={"square_off_min": QUARTER_PAST})
    await bench.change_session(session_id, rules={"square_off_min": QUARTER_PAST})
    assert bench.seq(session_id) == 4, "the same time again is no change"
    for moment in ("11-27 15:16", "11-28 15:20", "11-29 15:20", "11-30 15:14"):
        at(bench, ist(moment))
    late = await bench.open(session_id, symbol=OPTION)
    await bench.restart()
    bench.desk.resume()
    at(bench, ist("11-30 15:15"))
    await bench.reached(session_id, 7)
    exit_ = Exit(99_0000, SQUARE_OFF, ist("11-30 15:15"))
    assert exits(await bench.history(session_id)) == dict.fromkeys(
        (trade.trade_id, late.trade_id), exit_
    )


async def test_a_later_time_is_a_new_one(bench: Bench, session_id: int) -> None:
    await bench.open(session_id)
    bench.tick(99_0000)
    at(bench, DUE_MS)
    await bench.reached(session_id, 3)
    await bench.change_session(session_id, rules={"square_off_min": QUARTER_PAST + 5})
    trade = await bench.open(session_id)
    at(bench, DUE_MS + 5 * 60_000)
    await bench.reached(session_id, 6)
    assert exits(await bench.history(session_id))[trade.trade_id].at_ms == DUE_MS + 5 * 60_000


@pytest.mark.parametrize(
    ("symbol", "minute", "opened", "due"),
    [
        ("NIFTY", "15:15", "02-01 14:00", "02-01 15:15"),  # the budget, on a Sunday
        (OPTION, "20:00", "11-08 18:10", "11-08 18:55"),  # Muhurat, on a Sunday
        (OPTION, "15:15", "11-06 15:20", "11-08 15:15"),  # Muhurat is a trading day
        ("RELIANCE", "15:15", "11-26 14:00", "11-26 15:10"),  # its auction begins at 15:15
        (OPTION, "15:36", "11-23 15:36", "11-25 15:35"),  # a holiday between
        ("USDINR", "15:15", "11-28 16:00", "11-29 15:15"),  # day and night
    ],
)
async def test_days_and_session_ends_are_those_of_the_calendar(
    bench: Bench, symbol: str, minute: str, opened: str, due: str
) -> None:
    bench.square_off_ms = MarketHours(Calendar.shipped()).square_off_ms
    bench.now_ms = ist(opened)
    session_id = await bench.new_session()
    trade = await bench.open(session_id, symbol=symbol)
    hour, minutes = map(int, minute.split(":"))
    await bench.change_session(session_id, rules={"square_off_min": hour * 60 + minutes})
    bench.tick(99_0000, symbol)
    at(bench, ist(due) - 1)
    await bench.change_session(session_id, name="still open")
    assert bench.replica.state(session_id).open_trades
    at(bench, ist(due))
    await bench.reached(session_id, 4)
    assert exits(await bench.history(session_id)) == {
        trade.trade_id: Exit(99_0000, SQUARE_OFF, ist(due))
    }


async def test_a_move_that_waits_and_the_end_of_an_order_come_before_it(
    bench: Bench, session_id: int
) -> None:
    bench.square_off_ms = lambda *_: DUE_MS
    trade = await bench.open(session_id, trailing_stop_e4=5_0000, trailing_step_e4=1_0000)
    bench.now_ms = DUE_MS - 900
    bench.tick(102_0000)
    bench.now_ms += 100
    bench.tick(104_0000)
    at(bench, DUE_MS)
    await bench.reached(session_id, 5)
    moved, closed = (await bench.history(session_id))[-2:]
    assert isinstance(moved, TradeEvent)
    assert (moved.kind, moved.at_ms, moved.trade.stop_loss_e4) == (
        EventKind.CHANGED,
        DUE_MS - 800,
        99_0000,
    )
    assert exits([closed]) == {trade.trade_id: Exit(104_0000, SQUARE_OFF, DUE_MS)}
    await bench.assert_sound(session_id)


async def test_in_a_session_that_is_being_closed_the_halt_closes_what_gets_a_price(
    bench: Bench, session_id: int
) -> None:
    trade = await bench.open(session_id)
    kill = HaltOrder(halt=True, close_all=True)
    await bench.desk.close_all(session_id, Operation.asked(by=None), lambda: kill)
    at(bench, DUE_MS)
    bench.now_ms += 1000
    bench.tick(99_0000)
    await bench.reached(session_id, 4)
    exit_ = exits(await bench.history(session_id))[trade.trade_id]
    assert (exit_.reason, exit_.detail) == (ExitReason.MANUAL, ExitDetail.KILL)
    assert bench.replica.state(session_id).session.status_reason is ChangeReason.KILL


async def test_while_the_store_is_away_it_waits_and_keeps_its_price_and_moment(
    bench: Bench, session_id: int
) -> None:
    trade = await bench.open(session_id, stop_e4=95_0000)
    bench.tick(99_0000)
    bench.store.away = True
    at(bench, DUE_MS)
    bench.now_ms += 5000
    bench.tick(80_0000)
    bench.store.away = False
    await bench.reached(session_id, 3)
    assert exits(await bench.history(session_id)) == {
        trade.trade_id: Exit(99_0000, SQUARE_OFF, DUE_MS)
    }
    await bench.assert_sound(session_id)
