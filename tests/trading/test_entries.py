"""Pending entries: orders that wait for a price, and how each of them ends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trading.bench import BEGIN_MS, NOT_WRITTEN, WRITTEN, Bench
from vyomo_rt.domain.errors import BadRequest, Conflict, OutcomeUnknown, SessionFull, Unavailable
from vyomo_rt.domain.event import EventKind, OrderEvent, TradeEvent
from vyomo_rt.domain.moment import DAY_MS
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.pending import (
    AlreadyEnded,
    Ending,
    EndReason,
    Entered,
    EntryTerms,
    EntryType,
    Fill,
    OrderStatus,
    PendingEntry,
    Validity,
)
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.trade_filter import EVERY_TRADE
from vyomo_rt.exchange.market_hours import next_midnight_ms

LIMIT, STOP = EntryType.LIMIT, EntryType.STOP
BUY, SELL = Side.BUY, Side.SELL
PENDING, FILLED, REFUSED = OrderStatus.PENDING, OrderStatus.FILLED, OrderStatus.REFUSED
ANSWERS = pytest.mark.parametrize("happened", [WRITTEN, NOT_WRITTEN], ids=["written", "lost"])


async def place(bench: Bench, session_id: int, *, key: str | None = None, **terms: Any) -> Entered:
    """Place an order, by default a LIMIT to BUY 10 NIFTY at 100, good till cancelled."""
    asked: dict[str, Any] = {
        "symbol": "NIFTY",
        "side": BUY,
        "quantity": 10,
        "type": LIMIT,
        "price_e4": 100_0000,
        "validity": Validity.GTC,
    } | terms
    operation = Operation.asked(key, "h", by=None)
    return await bench.desk.place_order(session_id, operation, lambda: EntryTerms(**asked))


async def change(bench: Bench, order_id: int, **members: Any) -> Entered:
    return await bench.desk.change_order(order_id, Operation.asked(by=None), lambda: members)


async def cancel(bench: Bench, order_id: int) -> Entered:
    return await bench.desk.cancel_order(order_id, Operation.asked(by=None), lambda: None)


async def order(bench: Bench, entered: Entered) -> PendingEntry:
    return await bench.desk.records.order(entered.entry.order_id)


async def kinds(bench: Bench, session_id: int) -> list[EventKind]:
    return [event.kind for event in await bench.history(session_id)]


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


async def test_a_changed_order_waits_for_its_new_price_and_one_that_changes_nothing_is_no_event(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    bench.tick(102_0000)
    entered = await place(bench, session_id, stop_loss_e4=80_0000, tags=("a",))
    order_id = entered.entry.order_id
    await change(bench, order_id, price_e4=100_0000)
    assert bench.seq(session_id) == 1
    await change(bench, order_id, price_e4=90_0000, stop_loss_e4=None, tags=())
    bench.tick(95_0000)
    entry = await order(bench, entered)
    assert (entry.status, entry.stop_loss_e4, entry.tags) == (PENDING, None, ())
    bench.tick(90_0000)
    await bench.reached(session_id, 3)
    assert (await order(bench, entered)).status is FILLED
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


async def test_what_is_refused_at_placing_or_changing_is_a_conflict_and_no_event(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    bench.tick(97_0000)
    with pytest.raises(Conflict, match="stopLoss") as refused:
        await place(bench, session_id, stop_loss_e4=98_0000)
    assert refused.value.field == "stopLoss"
    entered = await place(bench, session_id, price_e4=90_0000, stop_loss_e4=98_0000)
    with pytest.raises(Conflict, match="stopLoss"):
        await change(bench, entered.entry.order_id, price_e4=100_0000)
    assert await order(bench, entered) == entered.entry
    assert bench.seq(session_id) == 1


async def test_a_wrong_order_is_refused_by_name(bench: Bench) -> None:
    session_id = await bench.new_session()
    for terms, error in (
        ({"symbol": "UNKNOWN"}, BadRequest),
        ({"symbol": "CROWDED OUT"}, Conflict),
        ({"trailing_step_e4": 5}, BadRequest),
        ({"trail_from_e4": 5}, BadRequest),
        ({"trailing_stop_e4": 5, "trailing_step_e4": 6}, BadRequest),
    ):
        with pytest.raises(error):
            await place(bench, session_id, **terms)
    await bench.change_session(session_id, status=SessionStatus.PAUSED)
    with pytest.raises(Conflict, match="PAUSED"):
        await place(bench, session_id)
    assert bench.seq(session_id) == 1


async def test_the_step_of_a_trailing_stop_is_resolved_when_it_is_set(bench: Bench) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id, trailing_stop_e4=10_0000)
    assert entered.entry.trailing_step_e4 == 1_0000
    changed = await change(bench, entered.entry.order_id, trailing_stop_e4=20_0000)
    assert changed.entry.trailing_step_e4 == 2_0000
    changed = await change(bench, entered.entry.order_id, trailing_stop_e4=None)
    assert (changed.entry.trailing_stop_e4, changed.entry.trailing_step_e4) == (None, None)


async def test_a_cancelled_order_does_not_fill_and_cannot_be_changed_again(bench: Bench) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id)
    ended = (await cancel(bench, entered.entry.order_id)).entry
    assert ended.end == Ending(EndReason.CANCELLED, BEGIN_MS)
    bench.tick(90_0000)
    for attempt in (cancel(bench, ended.order_id), change(bench, ended.order_id, quantity=1)):
        with pytest.raises(AlreadyEnded) as refused:
            await attempt
        assert refused.value.entry == ended
    assert bench.replica.state(session_id).pending == {}
    await bench.assert_sound(session_id)


async def test_a_day_order_ends_with_the_first_session_end_of_its_symbol_before_any_price(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    day = await place(bench, session_id, validity=Validity.DAY)
    good_till_cancelled = await place(bench, session_id)
    end_ms = next_midnight_ms("NIFTY", BEGIN_MS)
    bench.now_ms = end_ms - 1
    bench.desk.pass_time()
    assert (await order(bench, day)).status is PENDING
    bench.now_ms = end_ms
    bench.tick(90_0000)
    await bench.reached(session_id, 4)
    assert (await order(bench, day)).end == Ending(EndReason.EXPIRED, end_ms)
    assert (await order(bench, good_till_cancelled)).status is FILLED
    await bench.assert_sound(session_id)


async def test_the_clock_ends_a_day_order_without_any_price(bench: Bench) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id, validity=Validity.DAY)
    bench.now_ms += DAY_MS
    bench.desk.pass_time()
    await bench.reached(session_id, 2)
    assert (await order(bench, entered)).status is OrderStatus.EXPIRED


async def test_a_missed_session_end_is_made_up_for_at_the_start_before_any_price(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id, validity=Validity.DAY)
    bench.now_ms = next_midnight_ms("NIFTY", BEGIN_MS) + 5
    await bench.restart()
    bench.desk.resume()
    bench.now_ms -= 10
    bench.tick(90_0000)  # a source whose clock is behind
    await bench.reached(session_id, 2)
    assert (await order(bench, entered)).status is OrderStatus.EXPIRED
    assert not bench.replica.state(session_id).open_trades


async def test_an_order_whose_validity_becomes_day_ends_with_the_session_of_the_change(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id)
    bench.now_ms += 3 * DAY_MS
    changed = await change(bench, entered.entry.order_id, validity=Validity.DAY)
    assert changed.entry.ends_at_ms == next_midnight_ms("NIFTY", bench.now_ms)


@pytest.mark.parametrize("status", [SessionStatus.PAUSED, SessionStatus.HALTED, "STOPPED"])
async def test_leaving_active_ends_all_pending_entries_by_id(
    bench: Bench, status: SessionStatus
) -> None:
    session_id = await bench.new_session()
    orders = [await place(bench, session_id) for _ in range(3)]
    await bench.change_session(session_id, status=SessionStatus(status))
    events = await bench.history(session_id)
    assert [event.kind for event in events[3:]] == [
        EventKind.SESSION_CHANGED,
        *[EventKind.ORDER_ENDED] * 3,
    ]
    ended = [event.entry for event in events if isinstance(event, OrderEvent)][3:]
    assert [entry.order_id for entry in ended] == [each.entry.order_id for each in orders]
    for entry in ended:
        assert isinstance(entry.end, Ending)
        assert (entry.end.reason, entry.end.at_ms) == (EndReason.CANCELLED, BEGIN_MS)
        assert str(status) in str(entry.end.detail)
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


@ANSWERS
@pytest.mark.parametrize("fills", [False, True], ids=["waits", "fills"])
async def test_a_placing_whose_answer_was_lost_is_there_once_and_answered_by_its_key(
    bench: Bench, happened: bool, fills: bool
) -> None:
    session_id = await bench.new_session()
    if fills:
        bench.tick(99_0000)
    bench.store.lost.append(happened)
    with pytest.raises(OutcomeUnknown):
        await place(bench, session_id, key="key")
    await bench.reached(session_id, 1)
    again = await place(bench, session_id, key="key", symbol="read no more")
    assert again.repeated
    assert again.entry.status is (FILLED if fills else PENDING)
    assert (again.trade is not None) == fills
    assert bench.seq(session_id) == 1
    await bench.assert_sound(session_id)


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


async def test_a_session_has_only_so_many_pending_entries(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await bench.new_session()
    monkeypatch.setattr(bench.desk._entries, "_most", 1)
    entered = await place(bench, session_id)
    with pytest.raises(SessionFull, match="cancel one first"):
        await place(bench, session_id)
    await cancel(bench, entered.entry.order_id)
    await place(bench, session_id)


async def test_pending_entries_wait_on_after_a_restart(bench: Bench) -> None:
    session_id = await bench.new_session()
    entered = await place(bench, session_id, trailing_stop_e4=5_0000, tags=("a",), note="b")
    await bench.restart()
    assert bench.replica.state(session_id).pending == {entered.entry.order_id: entered.entry}
    assert bench.demand.is_held("NIFTY")
    bench.tick(99_0000)
    await bench.reached(session_id, 2)
    assert (await order(bench, entered)).status is FILLED


async def test_the_end_of_an_order_of_a_session_that_rests_is_not_waited_for(bench: Bench) -> None:
    session_id = await bench.new_session()
    await place(bench, session_id, validity=Validity.DAY)
    await bench.change_session(session_id, status=SessionStatus.STOPPED)
    await bench.desk.sessions.put_away()
    assert session_id not in bench.replica
    bench.now_ms += DAY_MS
    bench.desk.pass_time()
    assert bench.desk.waiting == 0
