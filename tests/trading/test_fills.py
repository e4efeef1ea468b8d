"""Pending entries become trades: at which price, once, and through a lost answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trading.bench import BEGIN_MS, NOT_WRITTEN, Bench
from tests.trading.entries import (
    ANSWERS,
    BUY,
    FILLED,
    LIMIT,
    PENDING,
    REFUSED,
    SELL,
    STOP,
    cancel,
    change,
    kinds,
    order,
    place,
)
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.event import EventKind, TradeEvent
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.pending import (
    Ending,
    EntryType,
    Fill,
)
from vyomo_rt.domain.trade_filter import EVERY_TRADE


@pytest.mark.parametrize(
    ("type_", "side", "fills", "waits"),
    [
        (LIMIT, BUY, 100, 100.0001),
        (LIMIT, SELL, 100, 99.9999),
        (STOP, BUY, 100, 99.9999),
        (STOP, SELL, 100, 100.0001),
    ],
)
async def test_limit_and_stop_fill_at_their_price_and_beyond_on_their_side(
    bench: Bench, type_: EntryType, side: Side, fills: float, waits: float
) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id, type=type_, side=side)
    bench.tick(round(waits * 10_000))
    bench.tick(round(fills * 10_000), stale=True)
    assert (await order(bench, entered)).status is PENDING
    bench.tick(round(fills * 10_000))
    await bench.reached(session_id, 2)
    assert (await order(bench, entered)).status is FILLED
    await bench.assert_sound(session_id)


async def test_an_order_fills_once_at_the_observed_price_a_gap_at_the_gap(bench: Bench) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id, stop_loss_e4=90_0000, tags=("gap",), note="n")
    assert bench.demand.is_held("NIFTY"), "its symbol is wanted like that of an open trade"
    bench.now_ms += 700
    for price_e4 in (97_0000, 96_0000, 95_0000):
        bench.tick(price_e4)
    await bench.reached(session_id, 2)
    [trade] = bench.replica.state(session_id).open_trades.values()
    assert (trade.entry_price_e4, trade.stop_loss_e4, trade.opened_at_ms) == (
        97_0000,
        90_0000,
        BEGIN_MS + 700,
    )
    assert (trade.order_id, trade.tags, trade.note) == (entered.entry.order_id, ("gap",), "n")
    filled = await order(bench, entered)
    assert (filled.status, filled.end) == (FILLED, Fill(trade.trade_id, BEGIN_MS + 700))
    assert await kinds(bench, session_id) == [EventKind.ORDER_PLACED, EventKind.OPENED]
    await bench.close(trade.trade_id)
    assert not bench.demand.is_held("NIFTY")
    await bench.assert_sound(session_id)


async def test_an_order_that_the_last_fresh_price_fills_is_one_event_and_listed_as_filled(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    bench.tick(99_0000)
    entered = await place(bench, session_id)
    assert entered.trade is not None
    assert entered.trade.entry_price_e4 == 99_0000
    assert await kinds(bench, session_id) == [EventKind.OPENED]
    [event] = await bench.history(session_id)
    assert isinstance(event, TradeEvent)
    assert event.entry == entered.entry
    assert await bench.desk.records.orders(session_id, FILLED, None, 9) == [entered.entry]
    await bench.restart()
    assert await order(bench, entered) == entered.entry


async def test_a_stale_price_fills_no_order_at_once(bench: Bench) -> None:
    session_id = await bench.new_session()
    bench.tick(99_0000, stale=True)
    assert (await place(bench, session_id)).entry.status is PENDING


async def test_a_change_that_makes_an_order_fill_is_one_event(bench: Bench) -> None:
    session_id = await bench.new_session()
    bench.tick(102_0000)
    entered = await place(bench, session_id)
    changed = await change(bench, entered.entry.order_id, price_e4=103_0000, quantity=7)
    assert changed.trade is not None
    assert (changed.trade.entry_price_e4, changed.trade.quantity) == (102_0000, 7)
    assert await kinds(bench, session_id) == [EventKind.ORDER_PLACED, EventKind.OPENED]
    await bench.assert_sound(session_id)


@pytest.mark.parametrize(
    ("guards", "field"),
    [
        ({"stop_loss_e4": 97_0000}, "stopLoss"),
        ({"target_e4": 97_0000}, "target"),
        ({"breakeven_at_e4": 96_0000}, "breakevenAt"),
        ({"trailing_stop_e4": 98_0000}, "trailingStop"),
    ],
    ids=str,
)
async def test_guards_are_checked_against_the_fill_which_may_end_the_order_refused(
    bench: Bench, guards: dict[str, Any], field: str
) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id, **guards)
    bench.tick(97_0000)
    await bench.reached(session_id, 2)
    entry = await order(bench, entered)
    assert isinstance(entry.end, Ending)
    assert (entry.status, entry.end.at_ms) == (REFUSED, BEGIN_MS)
    assert field in str(entry.end.detail)
    assert not bench.demand.is_held("NIFTY")
    await bench.assert_sound(session_id)


async def test_orders_fill_by_id_each_asked_after_the_one_before(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await bench.new_session()
    orders = [await place(bench, session_id, quantity=n) for n in (1, 2, 3)]
    monkeypatch.setattr(bench.desk._openings, "_most", 2)
    bench.tick(90_0000)
    await bench.reached(session_id, 6)
    ended = [await order(bench, each) for each in orders]
    assert [entry.status for entry in ended] == [FILLED, FILLED, REFUSED]
    assert "close one first" in str(ended[2].end)
    trades = bench.replica.state(session_id).open_trades.values()
    assert [trade.quantity for trade in trades] == [1, 2]
    await bench.assert_sound(session_id)


async def test_the_guards_of_a_fill_act_from_the_next_tick_on_while_its_write_waits(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    await place(bench, session_id, stop_loss_e4=95_0000, target_e4=105_0000)
    bench.store.away = True
    bench.tick(94_9999)  # would be refused: it is below the stop
    bench.tick(100_0000)
    bench.now_ms += 10
    bench.tick(94_0000)
    bench.tick(100_0000)
    bench.store.away = False
    await bench.reached(session_id, 2)
    entry = (await bench.desk.records.orders(session_id, None, None, 1))[0]
    assert entry.status is REFUSED

    await place(bench, session_id, stop_loss_e4=95_0000, price_e4=99_0000)
    bench.store.away = True
    bench.tick(98_0000)
    bench.now_ms += 10
    bench.tick(94_0000)
    bench.tick(98_0000)
    bench.store.away = False
    await bench.reached(session_id, 5)
    [trade] = await bench.desk.records.trades(session_id, EVERY_TRADE, None, 5)
    assert trade.exit is not None
    assert (trade.entry_price_e4, trade.exit.price_e4) == (98_0000, 94_0000)
    assert trade.exit.at_ms == trade.opened_at_ms + 10
    await bench.assert_sound(session_id)


async def test_while_a_fill_waits_for_the_store_change_and_cancel_are_unavailable(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id)
    bench.store.away = True
    bench.tick(99_0000)
    for attempt in (
        cancel(bench, entered.entry.order_id),
        change(bench, entered.entry.order_id, quantity=1),
    ):
        with pytest.raises(Unavailable):
            await attempt
    bench.store.away = False
    await bench.reached(session_id, 2)
    assert (await order(bench, entered)).status is FILLED
    await bench.assert_sound(session_id)


@ANSWERS
async def test_an_order_fills_once_also_when_the_answer_of_its_trade_was_lost(
    bench: Bench, happened: bool
) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id)
    bench.store.lost.extend([happened, NOT_WRITTEN])
    bench.tick(99_0000)
    bench.tick(98_0000)
    await bench.reached(session_id, 2)
    bench.tick(97_0000)
    await bench.change_session(session_id, name="done")
    assert await kinds(bench, session_id) == [
        EventKind.ORDER_PLACED,
        EventKind.OPENED,
        EventKind.SESSION_CHANGED,
    ]
    filled = await order(bench, entered)
    assert filled.trade_id is not None
    trade = await bench.desk.records.trade(filled.trade_id)
    assert trade.entry_price_e4 == 99_0000
    await bench.assert_sound(session_id)


@ANSWERS
async def test_a_fill_that_was_stored_but_not_told_is_there_once_after_a_crash(
    bench: Bench, happened: bool
) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id)
    bench.store.lost.extend([happened, *[NOT_WRITTEN] * 50])
    bench.tick(99_0000)
    with pytest.raises(Unavailable):
        await cancel(bench, entered.entry.order_id)
    await bench.restart()
    bench.store.lost.clear()
    bench.tick(98_0000)
    await bench.reached(session_id, 2)
    [trade] = await bench.desk.records.trades(session_id, EVERY_TRADE, None, 5)
    assert trade.entry_price_e4 == (99_0000 if happened else 98_0000)
    await bench.assert_sound(session_id, all_announced=False)


async def test_prices_count_for_an_order_while_it_is_being_stored(bench: Bench) -> None:
    session_id = await bench.new_session()
    bench.tick(110_0000)
    bench.store.before_append = lambda _: bench.tick(99_0000)
    await place(bench, session_id)
    bench.store.before_append = lambda _: None
    bench.tick(110_0000)
    await bench.reached(session_id, 2)
    [trade] = bench.replica.state(session_id).open_trades.values()
    assert trade.entry_price_e4 == 99_0000
