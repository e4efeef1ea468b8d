"""Pending entries: orders that are placed, changed and cancelled, and how they end unfilled."""

from __future__ import annotations

import pytest

from tests.trading.bench import BEGIN_MS, Bench
from tests.trading.entries import (
    ANSWERS,
    FILLED,
    PENDING,
    cancel,
    change,
    order,
    place,
)
from vyomo_rt.domain.errors import BadRequest, Conflict, OutcomeUnknown, SessionFull
from vyomo_rt.domain.event import EventKind, OrderEvent
from vyomo_rt.domain.moment import DAY_MS
from vyomo_rt.domain.pending import (
    AlreadyEnded,
    Ending,
    EndReason,
    OrderStatus,
    Validity,
)
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.exchange.market_hours import next_midnight_ms


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


async def test_ids_that_are_dropped_while_others_are_drawn_are_drawn_again(bench: Bench) -> None:
    """A node that takes shards over drops its ids; an order may just be waiting for more."""
    session_id = await bench.new_session()
    bench.desk.drop_ids()
    reserve = bench.store.reserve_ids

    async def dropping(counter: str, count: int) -> int:
        first = await reserve(counter, count)
        if counter == "trades":
            bench.store.reserve_ids = reserve  # type: ignore[method-assign]
            bench.desk.drop_ids()
        return first

    bench.store.reserve_ids = dropping  # type: ignore[method-assign]
    assert (await place(bench, session_id, price_e4=99_0000)).entry.order_id
