"""Midnight in Asia/Kolkata: the figures of the day begin anew."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from freezegun import freeze_time

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from tests.trading.bench import ROLL_OVER_MS, Bench
from vyomo_rt.domain.moment import trading_day


async def test_todays_pnl_begins_anew_at_1830_utc_while_the_server_runs(
    make_settings: MakeSettings,
) -> None:
    with freeze_time(
        "2026-11-22T18:29:59Z", real_asyncio=True, ignore=["pymongo", "motor"]
    ) as clock:
        async with serve_here(make_settings()) as rest:
            session_id = await rest.new_session()
            trades = [await rest.open_trade(session_id, entryPrice=100) for _ in range(2)]
            await rest.close_trade(trades[0]["tradeId"], 101)
            assert await figures(rest, session_id) == (50, 50)

            async def began_anew() -> bool:
                return await figures(rest, session_id) == (0, 50)

            assert not await began_anew()
            clock.move_to("2026-11-22T18:30:00Z")
            await until(began_anew)
            await rest.close_trade(trades[1]["tradeId"], 98)
            assert await figures(rest, session_id) == (-100, -50)
            _, session = await rest.call("GET", f"/sessions/{session_id}")
            assert session["timestamp"] == "2026-11-22T18:30:00.000Z"

        clock.move_to("2026-11-22T18:30:01Z")
        async with serve_here(make_settings()) as rest:
            assert await figures(rest, session_id) == (-100, -50)
        clock.move_to("2026-11-23T18:30:00Z")
        async with serve_here(make_settings()) as rest:
            assert await figures(rest, session_id) == (0, -50)


async def figures(rest: Rest, session_id: int) -> tuple[Any, Any]:
    _, session = await rest.call("GET", f"/sessions/{session_id}")
    return session["todayPnL"], session["totalPnL"]


async def test_the_day_rolls_over_while_running(bench: Bench) -> None:
    session_id = await bench.new_session()
    idle = await bench.new_session()
    bench.states.clear()
    bench.now_ms = ROLL_OVER_MS - 1
    first, second = await bench.open(session_id), await bench.open(session_id)
    await bench.close(first.trade_id, 101_0000)
    await bench.days.roll_over()
    assert bench.states == []
    assert bench.replica.state(session_id).today_paise == 10_00

    bench.now_ms = ROLL_OVER_MS
    await bench.days.roll_over()
    await bench.days.roll_over()
    assert [state.session.session_id for state in bench.states] == [session_id, idle]
    state = bench.replica.state(session_id)
    assert (state.today_paise, state.figures.realised_paise) == (0, 10_00)
    await bench.close(second.trade_id, 98_0000)
    state = bench.replica.state(session_id)
    assert (state.today_paise, state.figures.realised_paise) == (-20_00, -10_00)
    await bench.assert_sound(session_id)


async def test_a_close_after_the_roll_over_but_before_the_beat_counts_for_the_new_day(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    first, second = await bench.open(session_id), await bench.open(session_id)
    bench.now_ms = ROLL_OVER_MS - 1
    await bench.close(first.trade_id, 101_0000)
    bench.now_ms = ROLL_OVER_MS
    await bench.close(second.trade_id, 102_0000)
    await bench.days.roll_over()
    assert bench.replica.state(session_id).today_paise == 20_00


async def test_a_clock_that_goes_back_does_not_bring_yesterday_back(bench: Bench) -> None:
    session_id = await bench.new_session()
    trades = [await bench.open(session_id) for _ in range(2)]
    bench.now_ms = ROLL_OVER_MS
    await bench.days.roll_over()
    await bench.close(trades[0].trade_id, 101_0000)
    bench.now_ms = ROLL_OVER_MS - 1
    await bench.days.roll_over()
    await bench.close(trades[1].trade_id, 102_0000)
    state = bench.replica.state(session_id)
    assert (state.today_paise, state.figures.realised_paise) == (10_00, 30_00)


async def test_a_session_whose_roll_over_fails_is_tried_again_and_holds_up_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, other = await bench.new_session(), await bench.new_session()
    begin_day = bench.replica.begin_day
    broken = True

    def fail_once(session_id: int, day: date) -> None:
        if broken and session_id == failing:
            raise ZeroDivisionError
        begin_day(session_id, day)

    monkeypatch.setattr(bench.replica, "begin_day", fail_once)
    bench.now_ms = ROLL_OVER_MS
    today = trading_day(ROLL_OVER_MS)
    await bench.days.roll_over()
    assert bench.replica.state(other).today == today
    assert bench.replica.state(failing).today < today
    broken = False
    await bench.days.roll_over()
    assert bench.replica.state(failing).today == today


async def test_a_new_session_begins_on_the_present_day(bench: Bench) -> None:
    bench.now_ms = ROLL_OVER_MS
    await bench.days.roll_over()
    session_id = await bench.new_session()
    bench.states.clear()
    await bench.days.roll_over()
    assert bench.states == []
    trade = await bench.open(session_id)
    await bench.close(trade.trade_id)
    assert bench.replica.state(session_id).today_paise == 10_00
