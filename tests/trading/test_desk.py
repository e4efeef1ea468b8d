"""Opening and closing trades, by request and by prices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests.kit.events import trade_event
from tests.trading.bench import BEGIN_MS, ROLL_OVER_MS, Bench
from vyomo_rt.domain.errors import (
    BadRequest,
    Conflict,
    KeyReused,
    NotFound,
    NumberTaken,
    Unavailable,
)
from vyomo_rt.domain.event import Event, EventKind, TradeEvent
from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.trade import AlreadyClosed, Exit, ExitReason, Trade, TradeStatus
from vyomo_rt.trading.desk import Operation
from vyomo_rt.trading.ledger import Ledger

ONCE_MORE = Operation("key", "h")


def never() -> Any:
    """Stands for the body of a request that must not be looked at."""
    raise AssertionError("a repeated request was read again")


# --- opening


async def test_an_event_is_stored_before_it_is_announced(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    await bench.close(trade.trade_id)
    assert bench.store.journal == [
        f"{what} {session_id}-{seq}" for seq in (1, 2) for what in ("stored", "announced")
    ]
    await bench.assert_sound(session_id)


async def test_a_trade_opens_at_the_price_that_is_given_or_else_at_the_fresh_one(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    bench.tick(123_4500)
    given = await bench.open(session_id, 99_0025)
    assert given.entry_price_e4 == 99_0025
    assert (await bench.open(session_id, None)).entry_price_e4 == 123_4500
    assert given.opened_at_ms == BEGIN_MS


@pytest.mark.parametrize("stale", [True, None])
async def test_without_a_fresh_price_opening_needs_one(bench: Bench, stale: bool | None) -> None:
    session_id = await bench.new_session()
    if stale is not None:
        bench.tick(123_4500, stale=stale)
    with pytest.raises(Conflict, match="entryPrice"):
        await bench.open(session_id, None)
    assert bench.seq(session_id) == 0


async def test_the_fresh_price_must_lie_between_stop_and_target(bench: Bench) -> None:
    session_id = await bench.new_session()
    bench.tick(90_0000)
    with pytest.raises(BadRequest, match="stopLoss"):
        await bench.open(session_id, None, stop_e4=95_0000)
    assert bench.seq(session_id) == 0


async def test_a_symbol_that_the_feed_does_not_know_is_refused(bench: Bench) -> None:
    session_id = await bench.new_session()
    with pytest.raises(BadRequest, match="symbol"):
        await bench.open(session_id, symbol="UNKNOWN")


async def test_opening_needs_a_session(bench: Bench) -> None:
    with pytest.raises(NotFound, match="session 77"):
        await bench.open(77)


# --- closing


async def test_a_trade_is_closed_by_hand_at_the_price_that_is_given(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    bench.tick(105_0000)
    bench.now_ms += 1234
    closed = await bench.close(trade.trade_id, 0)
    assert closed.exit == Exit(0, ExitReason.MANUAL, BEGIN_MS + 1234)
    assert await bench.desk.trade(trade.trade_id) == closed
    await bench.assert_sound(session_id)


@pytest.mark.parametrize("stale", [False, True])
async def test_without_a_price_it_is_closed_at_the_last_known_one(
    bench: Bench, stale: bool
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    bench.tick(105_0000, stale=stale)
    assert (await bench.close(trade.trade_id, None)).realised_paise == 50_00


async def test_closing_without_any_price_is_a_conflict(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    with pytest.raises(Conflict, match="no price of NIFTY"):
        await bench.close(trade.trade_id, None)
    assert (await bench.desk.trade(trade.trade_id)).status is TradeStatus.OPEN


async def test_closing_needs_a_trade(bench: Bench) -> None:
    with pytest.raises(NotFound, match="trade 77"):
        await bench.close(77)


async def test_closing_again_is_a_conflict_that_shows_the_closed_trade(bench: Bench) -> None:
    session_id = await bench.new_session()
    closed = await bench.close((await bench.open(session_id)).trade_id, 102_0000)
    with pytest.raises(AlreadyClosed) as refused:
        await bench.close(closed.trade_id, 103_0000)
    assert refused.value.trade == closed
    await bench.assert_sound(session_id)


async def test_of_many_closes_at_once_exactly_one_wins(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    prices = [100_0000 + n * 1_0000 for n in range(1, 9)]
    outcomes = await asyncio.gather(
        *(bench.close(trade.trade_id, price_e4) for price_e4 in prices), return_exceptions=True
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, Trade)]
    assert len(won) == 1
    lost = [outcome for outcome in outcomes if isinstance(outcome, AlreadyClosed)]
    assert [refusal.trade for refusal in lost] == won * 7
    assert bench.seq(session_id) == 2
    await bench.assert_sound(session_id)


# --- exits


LEVELS = {Side.BUY: (95_0000, 110_0000), Side.SELL: (105_0000, 90_0000)}


@pytest.mark.parametrize(
    ("side", "price_e4", "reason"),
    [
        (Side.BUY, 95_0000, ExitReason.SL),
        (Side.BUY, 80_0025, ExitReason.SL),
        (Side.BUY, 110_0000, ExitReason.TARGET),
        (Side.BUY, 150_0000, ExitReason.TARGET),
        (Side.SELL, 105_0000, ExitReason.SL),
        (Side.SELL, 150_0000, ExitReason.SL),
        (Side.SELL, 90_0000, ExitReason.TARGET),
        (Side.SELL, 80_0025, ExitReason.TARGET),
    ],
)
async def test_a_price_closes_a_trade_where_it_is_observed_also_behind_a_gap(
    bench: Bench, side: Side, price_e4: int, reason: ExitReason
) -> None:
    session_id = await bench.new_session()
    stop_e4, target_e4 = LEVELS[side]
    trade = await bench.open(session_id, side=side, stop_e4=stop_e4, target_e4=target_e4)
    bench.tick(100_0000)
    bench.now_ms += 500
    bench.tick(price_e4)
    await bench.reached(session_id, 2)
    closed = await bench.desk.trade(trade.trade_id)
    assert closed == trade.closed(Exit(price_e4, reason, BEGIN_MS + 500))
    await bench.assert_sound(session_id)


async def test_a_level_is_refused_where_no_price_could_reach_it_and_a_trade_without_is_not(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    for stop_e4, target_e4 in ((90_0000, None), (None, 110_0000)):
        with pytest.raises(Conflict, match="no price of CROWDED OUT can be held"):
            await bench.open(session_id, symbol="CROWDED OUT", stop_e4=stop_e4, target_e4=target_e4)
    await bench.open(session_id, symbol="CROWDED OUT")


async def test_what_an_open_trade_needs_is_wanted_until_it_is_closed_also_over_a_restart(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    first = await bench.open(session_id)
    second = await bench.open(session_id)
    await bench.restart()
    assert list(bench.demand) == ["NIFTY"]
    await bench.close(first.trade_id)
    assert list(bench.demand) == ["NIFTY"]
    await bench.close(second.trade_id)
    assert list(bench.demand) == []


async def test_a_stale_price_triggers_nothing_until_it_is_confirmed(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000)
    bench.tick(90_0000, stale=True)
    await bench.open(session_id, symbol="OTHER")  # a command would carry out a due exit first
    assert bench.seq(session_id) == 2
    bench.tick(90_0000)
    await bench.reached(session_id, 3)
    assert (await bench.desk.trade(trade.trade_id)).status is TradeStatus.CLOSED


async def test_a_price_of_another_symbol_triggers_nothing(bench: Bench) -> None:
    session_id = await bench.new_session()
    await bench.open(session_id, stop_e4=95_0000)
    bench.tick(90_0000, "OTHER")
    await bench.open(session_id, symbol="OTHER")
    assert bench.seq(session_id) == 2


async def test_the_first_price_that_triggers_an_exit_decides_it(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000, target_e4=110_0000)
    for price_e4 in (94_0000, 93_0000, 120_0000, 100_0000):
        bench.tick(price_e4)
        bench.now_ms += 250
    await bench.reached(session_id, 2)
    closed = await bench.desk.trade(trade.trade_id)
    assert closed.exit == Exit(94_0000, ExitReason.SL, BEGIN_MS)
    assert bench.seq(session_id) == 2


async def test_a_due_exit_comes_before_a_close_by_hand(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000)
    bench.tick(94_0000)
    with pytest.raises(AlreadyClosed) as refused:
        await bench.close(trade.trade_id, 101_0000)
    assert refused.value.trade.exit == Exit(94_0000, ExitReason.SL, BEGIN_MS)
    await bench.assert_sound(session_id)


async def test_a_price_during_a_close_by_hand_changes_nothing(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000)

    def price_comes_in() -> int:
        bench.tick(94_0000)
        return 101_0000

    closed, _ = await bench.desk.close_trade(trade.trade_id, Operation(None, ""), price_comes_in)
    assert closed.exit == Exit(101_0000, ExitReason.MANUAL, BEGIN_MS)
    await bench.open(session_id)
    assert bench.seq(session_id) == 3
    await bench.assert_sound(session_id)


async def test_one_price_closes_all_trades_it_reaches_in_every_session(bench: Bench) -> None:
    sessions = [await bench.new_session() for _ in range(2)]
    for session_id in sessions:
        for stop_e4 in (95_0000, 96_0000, 80_0000):
            await bench.open(session_id, stop_e4=stop_e4)
    bench.tick(94_0000)
    for session_id in sessions:
        await bench.reached(session_id, 5)
        left = bench.desk.state(session_id).open_trades.values()
        assert [trade.stop_loss_e4 for trade in left] == [80_0000]
        await bench.assert_sound(session_id)


@pytest.mark.parametrize("status", [SessionStatus.PAUSED, SessionStatus.HALTED])
async def test_exits_go_on_in_a_session_that_opens_nothing(
    bench: Bench, status: SessionStatus
) -> None:
    session_id = await bench.new_session()
    await bench.open(session_id, stop_e4=95_0000)
    by_hand = await bench.open(session_id)
    await bench.desk.change_session(session_id, status=status)
    with pytest.raises(Conflict, match=f"is {status}"):
        await bench.open(session_id)
    bench.tick(94_0000)
    await bench.reached(session_id, 3)
    await bench.close(by_hand.trade_id)
    await bench.assert_sound(session_id)


# --- repeated requests


async def test_a_repeated_opening_finds_the_trade_as_it_is_now(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, key="key")
    assert await bench.desk.open_trade(session_id, ONCE_MORE, never) == (trade, True)
    closed = await bench.close(trade.trade_id)
    assert await bench.desk.open_trade(session_id, ONCE_MORE, never) == (closed, True)
    assert bench.seq(session_id) == 2


async def test_a_repeated_close_finds_the_closed_trade(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    closed = await bench.close(trade.trade_id, key="key")
    assert await bench.desk.close_trade(trade.trade_id, ONCE_MORE, never) == (closed, True)
    assert bench.seq(session_id) == 2


async def test_a_repeated_request_finds_its_session(bench: Bench) -> None:
    session_id = await bench.new_session(key="key")
    state, repeated = await bench.desk.create_session(ONCE_MORE, never)
    assert (state.session.session_id, repeated) == (session_id, True)
    assert len(bench.desk.states()) == 1


async def test_a_key_is_looked_up_before_anything_else_is_checked(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, key="key")
    closed = await bench.close(trade.trade_id)
    await bench.desk.change_session(session_id, status=SessionStatus.STOPPED)
    assert await bench.desk.open_trade(session_id, ONCE_MORE, never) == (closed, True)


async def test_a_key_with_another_request_is_refused(bench: Bench) -> None:
    session_id = await bench.new_session("key")
    trade = await bench.open(session_id, key="key")
    other = Operation("key", "another request")
    with pytest.raises(KeyReused):
        await bench.desk.create_session(other, never)
    with pytest.raises(KeyReused):
        await bench.desk.open_trade(session_id, other, never)
    with pytest.raises(KeyReused):
        await bench.desk.close_trade(trade.trade_id, other, never)
    assert bench.seq(session_id) == 1


async def test_of_one_request_sent_many_times_at_once_one_is_carried_out(bench: Bench) -> None:
    sessions = await asyncio.gather(*(bench.new_session("key") for _ in range(5)))
    assert len(set(sessions)) == 1
    opened = await asyncio.gather(*(bench.open(sessions[0], key="key") for _ in range(5)))
    assert len({trade.trade_id for trade in opened}) == 1
    trade_id = opened[0].trade_id
    closed = await asyncio.gather(*(bench.close(trade_id, key="close") for _ in range(5)))
    assert len({trade.exit for trade in closed}) == 1
    assert bench.seq(sessions[0]) == 2
    await bench.assert_sound(sessions[0])


async def test_keys_are_remembered_over_a_restart(bench: Bench) -> None:
    session_id = await bench.new_session(key="key")
    trade = await bench.open(session_id, key="key")
    closed = await bench.close(trade.trade_id, key="close")
    await bench.restart()
    state, repeated = await bench.desk.create_session(ONCE_MORE, never)
    assert (state.session.session_id, repeated) == (session_id, True)
    assert await bench.desk.open_trade(session_id, ONCE_MORE, never) == (closed, True)
    operation = Operation("close", "h")
    assert await bench.desk.close_trade(trade.trade_id, operation, never) == (closed, True)
    assert bench.seq(session_id) == 2


async def test_without_keys_two_equal_requests_are_two_trades(bench: Bench) -> None:
    session_id = await bench.new_session()
    first, second = await bench.open(session_id), await bench.open(session_id)
    assert first.trade_id != second.trade_id


@pytest.mark.parametrize(
    "pair", [("1", "1.0"), ("key", "KEY"), ("a", "a "), ("1", "01"), ("\u00e9", "e\u0301")]
)
async def test_keys_that_differ_in_any_way_are_different(
    bench: Bench, pair: tuple[str, str]
) -> None:
    session_id = await bench.new_session()
    first, second = [await bench.open(session_id, key=key) for key in pair]
    assert first.trade_id != second.trade_id
    assert (await bench.open(session_id, key=pair[0])).trade_id == first.trade_id


async def test_a_request_that_was_refused_may_be_sent_again(bench: Bench) -> None:
    session_id = await bench.new_session()
    with pytest.raises(Conflict):
        await bench.open(session_id, None, key="key")
    bench.tick(100_0000)
    assert (await bench.open(session_id, None, key="key")).entry_price_e4 == 100_0000


# --- statuses


async def test_a_status_is_announced_and_stays_over_a_restart(bench: Bench) -> None:
    session_id = await bench.new_session()
    for status in (SessionStatus.PAUSED, SessionStatus.ACTIVE, SessionStatus.HALTED):
        state = await bench.desk.change_session(session_id, status=status)
        assert bench.announced[-1].seq == state.seq
        assert state.session.status is status
    await bench.restart()
    assert bench.desk.state(session_id) == state


async def test_the_present_status_once_more_changes_nothing(bench: Bench) -> None:
    session_id = await bench.new_session()
    state = await bench.desk.change_session(session_id, status=SessionStatus.ACTIVE)
    assert (bench.announced, state.seq) == ([], 0)


async def test_a_session_is_stopped_for_good_and_only_without_open_trades(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    with pytest.raises(Conflict, match="1 open trades"):
        await bench.desk.change_session(session_id, status=SessionStatus.STOPPED)
    await bench.close(trade.trade_id)
    await bench.desk.change_session(session_id, status=SessionStatus.STOPPED)
    for status in (SessionStatus.ACTIVE, SessionStatus.PAUSED):
        with pytest.raises(Conflict, match="final"):
            await bench.desk.change_session(session_id, status=status)
    with pytest.raises(Conflict, match="STOPPED"):
        await bench.open(session_id)


async def test_a_due_exit_comes_before_the_stop(bench: Bench) -> None:
    session_id = await bench.new_session()
    await bench.open(session_id, stop_e4=95_0000)
    bench.tick(94_0000)
    state = await bench.desk.change_session(session_id, status=SessionStatus.STOPPED)
    assert (state.session.status, state.figures.closed) == (SessionStatus.STOPPED, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda bench: bench.desk.change_session(77, status=SessionStatus.PAUSED),
        lambda bench: bench.desk.trades(77, None, None, 10),
        lambda bench: bench.desk.trade(77),
    ],
    ids=["status", "trades", "trade"],
)
async def test_what_is_not_there_is_not_found(
    bench: Bench, call: Callable[[Bench], Awaitable[object]]
) -> None:
    with pytest.raises(NotFound):
        await call(bench)


# --- the day


async def test_the_day_rolls_over_while_running(bench: Bench) -> None:
    session_id = await bench.new_session()
    idle = await bench.new_session()
    bench.now_ms = ROLL_OVER_MS - 1
    first, second = await bench.open(session_id), await bench.open(session_id)
    await bench.close(first.trade_id, 101_0000)
    await bench.desk.roll_over()
    assert bench.states == []
    assert bench.desk.state(session_id).today_paise == 10_00

    bench.now_ms = ROLL_OVER_MS
    await bench.desk.roll_over()
    await bench.desk.roll_over()
    assert [state.session.session_id for state in bench.states] == [session_id, idle]
    state = bench.desk.state(session_id)
    assert (state.today_paise, state.figures.realised_paise) == (0, 10_00)
    await bench.close(second.trade_id, 98_0000)
    state = bench.desk.state(session_id)
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
    await bench.desk.roll_over()
    assert bench.desk.state(session_id).today_paise == 20_00


async def test_a_clock_that_goes_back_does_not_bring_yesterday_back(bench: Bench) -> None:
    session_id = await bench.new_session()
    trades = [await bench.open(session_id) for _ in range(2)]
    bench.now_ms = ROLL_OVER_MS
    await bench.desk.roll_over()
    await bench.close(trades[0].trade_id, 101_0000)
    bench.now_ms = ROLL_OVER_MS - 1
    await bench.desk.roll_over()
    await bench.close(trades[1].trade_id, 102_0000)
    state = bench.desk.state(session_id)
    assert (state.today_paise, state.figures.realised_paise) == (10_00, 30_00)


async def test_a_session_whose_roll_over_fails_is_tried_again_and_holds_up_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, other = await bench.new_session(), await bench.new_session()
    begin_day = Ledger.begin_day
    broken = True

    def fail_once(ledger: Ledger, day: date) -> None:
        if broken and ledger.state.session.session_id == failing:
            raise ZeroDivisionError
        begin_day(ledger, day)

    monkeypatch.setattr(Ledger, "begin_day", fail_once)
    bench.now_ms = ROLL_OVER_MS
    today = trading_day(ROLL_OVER_MS)
    await bench.desk.roll_over()
    assert bench.desk.state(other).today == today
    assert bench.desk.state(failing).today < today
    broken = False
    await bench.desk.roll_over()
    assert bench.desk.state(failing).today == today


async def test_a_new_session_begins_on_the_present_day(bench: Bench) -> None:
    bench.now_ms = ROLL_OVER_MS
    await bench.desk.roll_over()
    session_id = await bench.new_session()
    await bench.desk.roll_over()
    assert bench.states == []
    trade = await bench.open(session_id)
    await bench.close(trade.trade_id)
    assert bench.desk.state(session_id).today_paise == 10_00


async def test_a_price_that_reaches_the_stop_while_the_opening_is_stored_closes_the_trade(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices count from the moment of the opening, not from the answer of the store."""
    session_id = await bench.new_session()
    append = bench.store.append

    async def meanwhile(event: TradeEvent) -> None:
        if event.kind is EventKind.OPENED:
            bench.tick(94_0000)
        await append(event)

    monkeypatch.setattr(bench.store, "append", meanwhile)
    await bench.open(session_id, stop_e4=95_0000)
    bench.tick(99_0000)
    await bench.reached(session_id, 2)
    await bench.assert_sound(session_id)
    [trade] = await bench.desk.trades(session_id, None, None, 10)
    assert trade.exit is not None
    assert (trade.exit.price_e4, trade.exit.reason) == (94_0000, ExitReason.SL)


async def test_commands_behind_one_that_found_the_store_away_do_not_each_wait_for_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await bench.new_session()
    waited = 0

    async def hang(_counter: str, _count: int) -> int:
        nonlocal waited
        waited += 1
        await asyncio.sleep(0.05)
        raise Unavailable("away")

    monkeypatch.setattr(bench.store, "reserve_ids", hang)
    results = await asyncio.gather(
        *(bench.open(session_id) for _ in range(10)), return_exceptions=True
    )
    assert all(isinstance(result, Unavailable) for result in results)
    assert waited == 1


async def test_an_event_that_landed_late_from_an_earlier_life_is_taken_over(bench: Bench) -> None:
    """It holds the next number; the journal is the truth, and the session goes on behind it."""
    session_id = await bench.new_session()
    opened = await bench.open(session_id)
    trade = replace(opened, trade_id=opened.trade_id + 1000)
    late = trade_event(trade, 2, operation_id="late")
    await bench.store.append(late)
    with pytest.raises(NumberTaken):
        await bench.open(session_id)
    assert (await bench.open(session_id)).session_id == session_id
    assert bench.seq(session_id) == 3
    await bench.assert_sound(session_id)


async def test_a_trade_whose_copy_is_open_and_that_memory_does_not_know_is_closed_all_the_same(
    bench: Bench,
) -> None:
    """A former owner of the database has opened it: the desk reads on rather than deny it."""
    session_id = await bench.new_session()
    known = await bench.open(session_id)
    trade = replace(known, trade_id=known.trade_id + 1000)
    await bench.store.append(trade_event(trade, 2, operation_id="late"))
    await bench.store.save_trade(trade, 2)
    assert (await bench.close(trade.trade_id, 101_0000)).realised_paise == 10_00
    await bench.assert_sound(session_id)


async def test_a_session_is_not_stopped_over_a_trade_that_a_former_owner_opened(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    known = await bench.open(session_id)
    trade = replace(known, trade_id=known.trade_id + 1000)
    await bench.close(known.trade_id)
    await bench.store.append(trade_event(trade, 3, operation_id="late"))
    with pytest.raises(Conflict, match="1 open trades"):
        await bench.desk.change_session(session_id, status=SessionStatus.STOPPED)


async def test_late_writes_of_a_former_owner_are_found_in_all_sessions_and_told(
    bench: Bench,
) -> None:
    sessions = [await bench.new_session() for _ in range(3)]
    trades = [await bench.open(session_id) for session_id in sessions[:2]]
    late_id = await bench.store.reserve_ids("sessions", 1)
    await bench.restart()
    bench.announced.clear()
    for trade in trades:
        late = replace(trade, trade_id=trade.trade_id + 1000, stop_loss_e4=95_0000)
        await bench.store.append(trade_event(late, 2, operation_id="late"))
    born = replace(bench.desk.state(sessions[0]).session, session_id=late_id, epoch="late")
    await bench.store.create_session(born, "late", "")
    await bench.desk.read_late_writes()
    assert [(event.session_id, event.seq) for event in bench.announced] == [
        (session_id, 2) for session_id in sessions[:2]
    ]
    assert bench.desk.state(late_id).session == born
    bench.tick(94_0000)
    for session_id in sessions[:2]:
        await bench.reached(session_id, 3)
    await bench.open(late_id)


async def test_an_event_is_ones_own_only_if_it_is_the_very_one_that_was_to_be_written(
    bench: Bench,
) -> None:
    """A client has repeated its request at another server, which made another trade of it."""
    session_id = await bench.new_session()
    opened = await bench.open(session_id)
    other = replace(opened, trade_id=opened.trade_id + 1000)
    await bench.store.append(trade_event(other, 2, operation_id="key", request_hash="h"))
    with pytest.raises(NumberTaken):
        await bench.open(session_id, key="key2")
    repeated = await bench.open(session_id, key="key")
    assert repeated.trade_id == other.trade_id
    await bench.close(repeated.trade_id)
    await bench.assert_sound(session_id)


# --- what is latched comes first


async def test_exits_that_are_latched_while_another_one_is_written_come_before_a_command(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ladder of stops in a falling market; the last one falls while the first is written."""
    session_id = await bench.new_session()
    first = await bench.open(session_id, stop_e4=98_0000)
    second = await bench.open(session_id, stop_e4=97_0000)
    append, falls = bench.store.append, iter([96_9000, 97_5000])

    async def append_slowly(event: Event) -> None:
        await append(event)
        if (price_e4 := next(falls, None)) is not None:
            bench.tick(price_e4)

    monkeypatch.setattr(bench.store, "append", append_slowly)
    bench.tick(97_9000)
    with pytest.raises(AlreadyClosed):
        await bench.close(second.trade_id, 97_5000)
    closed = await bench.desk.trade(second.trade_id)
    assert closed.exit == Exit(96_9000, ExitReason.SL, bench.now_ms)
    assert (await bench.desk.trade(first.trade_id)).exit is not None


async def test_an_opening_is_filled_at_the_price_of_the_step_in_which_it_enters_the_books(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is drawn before; what the price does meanwhile is neither used nor missed."""
    session_id = await bench.new_session()
    bench.tick(98_0000)
    reserve, append = bench.store.reserve_ids, bench.store.append

    async def reserve_slowly(counter: str, count: int) -> int:
        first = await reserve(counter, count)
        bench.tick(90_0000)
        return first

    async def append_slowly(event: Event) -> None:
        bench.tick(88_0000)
        await append(event)

    monkeypatch.setattr(bench.store, "reserve_ids", reserve_slowly)
    monkeypatch.setattr(bench.store, "append", append_slowly)
    trade = await bench.open(session_id, None, stop_e4=89_0000)
    assert trade.entry_price_e4 == 90_0000
    await bench.reached(session_id, 2)
    closed = await bench.desk.trade(trade.trade_id)
    assert closed.exit is not None
    assert (closed.exit.price_e4, closed.exit.reason) == (88_0000, ExitReason.SL)


async def test_an_opening_is_one_write_before_it_is_told_and_its_copy_after_it(
    bench: Bench,
) -> None:
    def writes() -> float:
        [family] = bench.store.write_time.collect()
        return next(s.value for s in family.samples if s.name.endswith("_count"))

    session_id = await bench.new_session()
    await bench.open(session_id)
    bench.store.journal.clear()
    before = writes()
    for _ in range(20):
        await bench.open(session_id)
    assert writes() - before == 2 * 20
    assert bench.store.journal == [
        f"{what} {session_id}-{seq}" for seq in range(2, 22) for what in ("stored", "announced")
    ]
