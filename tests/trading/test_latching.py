"""What prices decide is latched at its tick, stored in order, told after."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.kit.waiting import until
from tests.trading.bench import BEGIN_MS, Bench
from vyomo_rt.domain.event import Event, EventKind, TradeEvent
from vyomo_rt.domain.trade import Exit, ExitDetail, ExitReason, Trade

NEXT_SECOND_MS = (BEGIN_MS // 1000 + 1) * 1000


async def trailing(bench: Bench, session_id: int) -> Trade:
    """A BUY at 100 that trails at 5, in steps of 1."""
    return await bench.open(session_id, trailing_stop_e4=5_0000, trailing_step_e4=1_0000)


def steps(bench: Bench) -> list[tuple[str, int | None, int]]:
    """What was told: the kind of each event, its stop, its moment."""
    return [
        (event.kind.value, event.trade.stop_loss_e4, event.at_ms)
        for event in bench.announced
        if isinstance(event, TradeEvent)
    ]


async def test_a_move_is_stored_at_its_tick_and_told_after(bench: Bench) -> None:
    session_id = await bench.new_session()
    await trailing(bench, session_id)
    bench.tick(103_0000)
    await bench.reached(session_id, 2)
    assert steps(bench)[1] == ("trade_changed", 98_0000, BEGIN_MS)
    stored = bench.store.journal.index(f"stored {session_id}-2")
    assert bench.store.journal.index(f"announced {session_id}-2") > stored
    await bench.assert_sound(session_id)


async def test_what_is_told_is_the_newest_stored_stop_and_a_waiting_move_comes_in_time(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    trade = await trailing(bench, session_id)
    bench.tick(101_0000)
    await bench.reached(session_id, 2)
    bench.now_ms += 100
    bench.tick(104_0000)
    ledger = await bench.desk.sessions.ledger(session_id)
    await until(lambda: ledger.pace.waiting)
    assert bench.replica.state(session_id).open_trades[trade.trade_id].stop_loss_e4 == 96_0000
    bench.desk.pass_time()
    bench.now_ms = NEXT_SECOND_MS
    bench.desk.pass_time()
    await bench.reached(session_id, 3)
    assert steps(bench)[2] == ("trade_changed", 99_0000, BEGIN_MS + 100)
    await bench.assert_sound(session_id)


async def test_a_moment_of_the_clock_that_has_come_acts_before_a_command(bench: Bench) -> None:
    session_id = await bench.new_session()
    await trailing(bench, session_id)
    for price in (101_0000, 104_0000):
        bench.tick(price)
    ledger = await bench.desk.sessions.ledger(session_id)
    await until(lambda: ledger.pace.waiting)
    bench.now_ms = NEXT_SECOND_MS  # and no timer has fired
    await bench.open(session_id)
    assert [(kind, at_ms) for kind, _, at_ms in steps(bench)[2:]] == [
        ("trade_changed", BEGIN_MS),
        ("trade_opened", NEXT_SECOND_MS),
    ]
    await bench.assert_sound(session_id)


async def test_a_move_is_stored_before_the_close_that_it_causes(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await trailing(bench, session_id)
    for price in (101_0000, 104_0000, 98_0000):
        bench.tick(price)
    await bench.reached(session_id, 4)
    assert [(kind, stop) for kind, stop, _ in steps(bench)[1:]] == [
        ("trade_changed", 96_0000),
        ("trade_changed", 99_0000),
        ("trade_closed", 99_0000),
    ]
    closed = await bench.desk.records.trade(trade.trade_id)
    assert closed.exit == Exit(98_0000, ExitReason.SL, BEGIN_MS, detail=ExitDetail.TRAILING)
    await bench.assert_sound(session_id)


async def test_while_the_store_is_away_what_is_latched_waits_in_order(bench: Bench) -> None:
    session_id = await bench.new_session()
    await trailing(bench, session_id)
    await bench.open(session_id, target_e4=103_0000)
    ledger = await bench.desk.sessions.ledger(session_id)
    bench.store.away = True
    for n, price in enumerate((102_0000, 103_0000, 105_0000, 99_0000)):
        bench.now_ms = BEGIN_MS + n * 1000
        bench.tick(price)
        await until(lambda: not ledger.is_settled)
    assert bench.seq(session_id) == 2
    bench.store.away = False
    await bench.reached(session_id, 7)
    assert steps(bench)[2:] == [
        ("trade_changed", 97_0000, BEGIN_MS),
        ("trade_closed", None, BEGIN_MS + 1000),
        ("trade_changed", 98_0000, BEGIN_MS + 1000),
        ("trade_changed", 100_0000, BEGIN_MS + 2000),
        ("trade_closed", 100_0000, BEGIN_MS + 3000),
    ]
    await bench.assert_sound(session_id)


async def test_what_was_not_stored_when_the_process_died_has_not_happened(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await trailing(bench, session_id)
    ledger = await bench.desk.sessions.ledger(session_id)
    bench.store.away = True
    bench.tick(110_0000)
    bench.tick(104_0000)
    await until(lambda: not ledger.is_settled)
    await bench.restart()
    bench.store.away = False
    assert bench.replica.state(session_id).open_trades[trade.trade_id].stop_loss_e4 == 95_0000
    bench.tick(102_0000)
    await bench.reached(session_id, 2)
    [*_, event] = await bench.history(session_id)
    assert isinstance(event, TradeEvent)
    assert (event.kind, event.trade.stop_loss_e4) == (EventKind.CHANGED, 97_0000)


async def test_a_tick_during_a_change_by_hand_acts_after_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command acts between two ticks: the stop that is being stored already counts."""
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=90_0000)
    append = bench.store.append

    async def meanwhile(events: Sequence[Event]) -> None:
        if events[0].kind is EventKind.CHANGED:
            bench.tick(94_0000)
            bench.tick(96_0000)
        await append(events)

    monkeypatch.setattr(bench.store, "append", meanwhile)
    await bench.amend(trade.trade_id, stop_loss_e4=95_0000)
    await bench.reached(session_id, 3)
    closed = await bench.desk.records.trade(trade.trade_id)
    assert closed.exit == Exit(94_0000, ExitReason.SL, BEGIN_MS)
    await bench.assert_sound(session_id)


async def test_a_tick_during_a_partial_close_closes_what_is_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=90_0000)
    append = bench.store.append

    async def meanwhile(events: Sequence[Event]) -> None:
        if events[0].kind is EventKind.REDUCED:
            bench.tick(89_0000)
        await append(events)

    monkeypatch.setattr(bench.store, "append", meanwhile)
    await bench.close(trade.trade_id, 101_0000, quantity=4)
    await bench.reached(session_id, 3)
    closed = await bench.desk.records.trade(trade.trade_id)
    assert (closed.parts, closed.open_quantity, closed.realised_paise) == (2, 6, 400 - 6600)
    await bench.assert_sound(session_id)


async def test_the_moment_of_a_tick_is_when_its_price_was_true(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000)
    true_at_ms = bench.now_ms
    bench.now_ms += 700
    bench.tick(94_0000, as_of_ms=true_at_ms)
    await bench.reached(session_id, 2)
    closed = await bench.desk.records.trade(trade.trade_id)
    assert closed.exit is not None
    assert closed.exit.at_ms == true_at_ms


async def test_a_reduction_leaves_a_move_that_waits(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await trailing(bench, session_id)
    bench.tick(101_0000)
    bench.tick(104_0000)
    await bench.close(trade.trade_id, 104_0000, quantity=1)
    kinds = [kind for kind, *_ in steps(bench)]
    assert kinds == ["trade_opened", "trade_changed", "trade_reduced"]
    bench.now_ms = NEXT_SECOND_MS
    bench.desk.pass_time()
    await bench.reached(session_id, 4)
    assert steps(bench)[-1][:2] == ("trade_changed", 99_0000)
    state = bench.replica.state(session_id)
    assert state.open_trades[trade.trade_id].open_quantity == 9
    await bench.assert_sound(session_id)


async def test_events_that_are_decided_together_are_stored_in_one_write(bench: Bench) -> None:
    session_id = await bench.new_session()
    for _ in range(5):
        await trailing(bench, session_id)
    writes: list[int] = []
    append = bench.store.append

    async def counted(events: Sequence[Event]) -> None:
        writes.append(len(events))
        await append(events)

    bench.store.append = counted  # type: ignore[method-assign]
    bench.tick(103_0000)
    await bench.reached(session_id, 10)
    assert writes == [5]
    assert len({event.operation_id for event in bench.announced}) == 10
    await bench.assert_sound(session_id)
