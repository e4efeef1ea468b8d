"""The kill switch: halted first, closed through a crash in between, nothing else touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.trading.bench import BEGIN_MS, Bench
from vyomo_rt.domain.errors import Conflict, OutcomeUnknown, Unavailable
from vyomo_rt.domain.event import Event, EventKind, SessionEvent, TradeEvent
from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.domain.halt import Halted, HaltOrder
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.pending import EntryTerms, EntryType, Validity
from vyomo_rt.domain.session import ChangeReason, SessionStatus
from vyomo_rt.domain.trade import Exit, ExitDetail, ExitReason
from vyomo_rt.store.journal import MongoStore

KILL = ExitDetail.KILL
MANUAL = ExitReason.MANUAL


async def close_all(
    bench: Bench, session_id: int, *, halt: bool = True, reason: str | None = None
) -> Halted:
    order = HaltOrder(halt=halt, close_all=True, detail=reason)
    return await bench.desk.close_all(session_id, Operation.asked(by="ravi"), lambda: order)


async def halt(bench: Bench, *, close_all: bool = False, grant: Grant = Grant.EVERYTHING) -> Any:
    order = HaltOrder(halt=True, close_all=close_all, detail="fire drill")
    return await bench.desk.halt(grant, Operation.asked(by="ravi"), lambda: order)


async def place(bench: Bench, session_id: int) -> int:
    terms = EntryTerms(
        symbol="NIFTY",
        side=Side.BUY,
        quantity=1,
        type=EntryType.LIMIT,
        price_e4=1,
        validity=Validity.GTC,
    )
    operation = Operation.asked(by=None)
    entered = await bench.desk.place_order(session_id, operation, lambda: terms)
    return entered.entry.order_id


def exits(events: list[Event]) -> dict[int, Exit]:
    """The exits of the trades that events closed, in their order."""
    trades = [event.trade for event in events if isinstance(event, TradeEvent)]
    return {trade.trade_id: trade.exit for trade in trades if trade.exit is not None}


def changes(events: list[Event]) -> list[tuple[SessionStatus, ChangeReason, str | None]]:
    found = [event for event in events if isinstance(event, SessionEvent)]
    return [(event.standing.status, event.reason, event.detail) for event in found]


async def test_a_kill_halts_first_then_ends_orders_then_closes_trades_each_by_id(
    bench: Bench,
) -> None:
    session_id, other = await bench.new_session(), await bench.new_session()
    trades = [await bench.open(session_id, stop_e4=90_0000) for _ in range(3)]
    await bench.open(other)
    for _ in range(2):
        await place(bench, session_id)
    bench.tick(99_0000)
    bench.now_ms += 500
    halted = await close_all(bench, session_id, reason="enough")
    assert halted == Halted(session_id, [trade.trade_id for trade in trades], {})
    events = (await bench.history(session_id))[5:]
    assert [event.kind for event in events] == [
        EventKind.SESSION_CHANGED,
        *[EventKind.ORDER_ENDED] * 2,
        *[EventKind.CLOSED] * 3,
    ]
    assert {event.by for event in events} == {"ravi"}
    assert changes(events) == [(SessionStatus.HALTED, ChangeReason.KILL, "enough")]
    exit_ = Exit(99_0000, MANUAL, BEGIN_MS + 500, detail=KILL)
    assert exits(events) == {trade.trade_id: exit_ for trade in trades}
    assert len(bench.replica.state(other).open_trades) == 1
    await bench.assert_sound(session_id)


async def test_without_halt_the_status_and_the_orders_stay_and_no_detail_is_told(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    order_id = await place(bench, session_id)
    bench.tick(99_0000)
    halted = await close_all(bench, session_id, halt=False)
    assert halted.closed == [trade.trade_id]
    state = bench.replica.state(session_id)
    assert state.session.status is SessionStatus.ACTIVE
    assert list(state.pending) == [order_id]
    events = await bench.history(session_id)
    assert exits(events) == {trade.trade_id: Exit(99_0000, MANUAL, BEGIN_MS)}
    again = await close_all(bench, session_id, halt=False)
    assert again == Halted(session_id, [], {})


async def test_a_kill_closes_at_the_last_known_price_and_says_that_it_is_stale(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    bench.tick(97_0000, stale=True)
    await close_all(bench, session_id)
    exit_ = Exit(97_0000, MANUAL, BEGIN_MS, detail=KILL, stale=True)
    assert exits(await bench.history(session_id)) == {trade.trade_id: exit_}


@pytest.mark.parametrize("stale", [False, True])
async def test_without_any_price_a_trade_is_named_in_failed_and_closed_at_the_first_one(
    bench: Bench, stale: bool
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, symbol="TCS")
    priced = await bench.open(session_id)
    bench.tick(99_0000)
    halted = await close_all(bench, session_id)
    assert halted.closed == [priced.trade_id]
    assert list(halted.failed) == [trade.trade_id]
    assert "no price of TCS" in str(halted.failed[trade.trade_id])
    bench.now_ms += 500
    bench.tick(80_0000, "TCS", stale=stale)
    bench.tick(81_0000, "TCS", stale=stale)
    await bench.reached(session_id, 5)
    closed = exits(await bench.history(session_id))
    assert closed[trade.trade_id] == Exit(80_0000, MANUAL, BEGIN_MS + 500, detail=KILL, stale=stale)
    await bench.assert_sound(session_id)


async def test_without_halt_a_trade_without_a_price_is_named_and_not_waited_for(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    halted = await close_all(bench, session_id, halt=False)
    assert list(halted.failed) == [trade.trade_id]
    bench.tick(80_0000)
    await bench.open(session_id)
    assert trade.trade_id in bench.replica.state(session_id).open_trades


@pytest.mark.parametrize("stored", [0, 1, 2, 3, 4])
async def test_a_halt_goes_on_after_a_crash_between_any_two_of_its_events(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, stored: int
) -> None:
    """The state decides, not a job: it closes what is left at the last known price."""
    session_id = await bench.new_session()
    symbols = ("NIFTY", "TCS", "NIFTY")
    trades = [await bench.open(session_id, symbol=symbol) for symbol in symbols]
    await place(bench, session_id)
    bench.tick(99_0000)

    async def die(events: Sequence[Event]) -> None:
        await MongoStore.append(bench.store, events[:stored])
        raise OutcomeUnknown("the process died")

    with monkeypatch.context() as dying:
        dying.setattr(bench.store, "append", die)
        with pytest.raises(OutcomeUnknown):
            await close_all(bench, session_id)
        bench.quotes["NIFTY"] = replace(bench.quotes["NIFTY"], price_e4=98_0000, stale=True)
        bench.now_ms += 1000
        await bench.restart()
    bench.desk.resume()
    if not stored:
        await bench.change_session(session_id, name="still open")
        assert len(bench.replica.state(session_id).open_trades) == 3
        return
    await bench.reached(session_id, 8)
    bench.tick(90_0000, "TCS")
    await bench.reached(session_id, 9)
    state = bench.replica.state(session_id)
    assert (state.pending, state.open_trades) == ({}, {})
    closed = exits(await bench.history(session_id))
    assert {trade_id: exit_.detail for trade_id, exit_ in closed.items()} == dict.fromkeys(
        (trade.trade_id for trade in trades), KILL
    )
    late = closed[trades[2].trade_id]
    if stored == 4:
        assert late == Exit(99_0000, MANUAL, BEGIN_MS, detail=KILL)
    else:
        assert late == Exit(98_0000, MANUAL, BEGIN_MS + 1000, detail=KILL, stale=True)
    await bench.assert_sound(session_id, all_announced=False)


async def test_what_a_halt_has_begun_to_close_goes_on_under_a_later_manual(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    await close_all(bench, session_id)
    await bench.change_session(session_id, name="renamed")
    await bench.restart()
    bench.desk.resume()
    bench.tick(90_0000)
    await bench.reached(session_id, 4)
    assert exits(await bench.history(session_id))[trade.trade_id].detail is KILL


async def test_a_killed_session_is_not_lifted_while_its_closes_are_under_way(bench: Bench) -> None:
    session_id = await bench.new_session()
    await bench.open(session_id)
    await close_all(bench, session_id)
    with pytest.raises(Conflict, match="being closed"):
        await bench.change_session(session_id, status=SessionStatus.ACTIVE)
    bench.tick(90_0000)
    await bench.reached(session_id, 3)
    state = await bench.change_session(session_id, status=SessionStatus.ACTIVE)
    assert state.session.closing is None
    trade = await bench.open(session_id, None)
    bench.tick(91_0000)
    assert trade.trade_id in bench.replica.state(session_id).open_trades
    await bench.assert_sound(session_id)


async def test_a_kill_over_a_halt_is_a_new_change_and_a_second_kill_is_none(bench: Bench) -> None:
    session_id = await bench.new_session()
    await bench.change_session(session_id, status=SessionStatus.HALTED)
    await close_all(bench, session_id)
    await close_all(bench, session_id)
    assert [reason for _, reason, _ in changes(await bench.history(session_id))] == [
        ChangeReason.MANUAL,
        ChangeReason.KILL,
    ]


async def test_a_stopped_session_cannot_be_killed(bench: Bench) -> None:
    session_id = await bench.new_session()
    await bench.change_session(session_id, status=SessionStatus.STOPPED)
    with pytest.raises(Conflict, match="final"):
        await close_all(bench, session_id)
    assert await close_all(bench, session_id, halt=False) == Halted(session_id, [], {})


async def test_halt_without_closing_halts_every_session_that_is_not_stopped(bench: Bench) -> None:
    ids = [await bench.new_session() for _ in range(4)]
    trade = await bench.open(ids[0])
    await close_all(bench, ids[1])
    await bench.change_session(ids[2], status=SessionStatus.STOPPED)
    bench.tick(99_0000)
    assert await halt(bench) == [Halted(id_, [], {}) for id_ in (ids[0], ids[1], ids[3])]
    last = [changes(await bench.history(id_))[-1] for id_ in ids]
    halted = SessionStatus.HALTED
    assert last[0] == last[3] == (halted, ChangeReason.MANUAL, "fire drill")
    assert last[1] == (halted, ChangeReason.KILL, None), "KILL stays KILL"
    assert last[2][0] is SessionStatus.STOPPED
    assert trade.trade_id in bench.replica.state(ids[0]).open_trades


async def test_halt_with_closing_kills_only_the_sessions_that_the_caller_may_trade(
    bench: Bench,
) -> None:
    mine, others = await bench.new_session(), await bench.new_session()
    trades = [await bench.open(id_) for id_ in (mine, others)]
    bench.tick(99_0000)
    grant = Grant(subject="ravi", role=Role.TRADER, sessions=frozenset({mine}), expires_at_ms=None)
    assert await halt(bench, close_all=True, grant=grant) == [
        Halted(mine, [trades[0].trade_id], {})
    ]
    assert bench.replica.state(others).session.status is SessionStatus.ACTIVE
    assert bench.replica.state(mine).session.status_reason is ChangeReason.KILL


async def test_a_kill_that_the_store_does_not_answer_happens_whole_or_not_at_all(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    bench.tick(99_0000)
    bench.store.away = True
    with pytest.raises(Unavailable):
        await halt(bench, close_all=True)
    bench.tick(95_0000)
    bench.store.away = False
    await bench.reached(session_id, 3)
    assert exits(await bench.history(session_id))[trade.trade_id].price_e4 == 99_0000
    await bench.assert_sound(session_id)


@pytest.mark.parametrize("is_halt", [True, False])
async def test_a_kill_that_comes_again_closes_nothing_more_and_tells_what_it_told_before(
    bench: Bench, *, is_halt: bool
) -> None:
    """A node asks again under the key of its command if an answer was lost."""
    session_id, other = await bench.new_session(), await bench.new_session()
    trade = await bench.open(session_id)
    bench.tick(100_0000)
    order = HaltOrder(halt=is_halt, close_all=True)
    operation = Operation.asked("same", by="ravi")
    first = await bench.desk.close_all(session_id, operation, lambda: order)
    assert first == Halted(session_id, [trade.trade_id], {})
    await bench.change_session(session_id, status=SessionStatus.ACTIVE)
    newer = await bench.open(session_id)
    again = await bench.desk.close_all(session_id, operation, lambda: order)
    assert again == first
    assert newer.trade_id in bench.replica.state(session_id).open_trades
    if is_halt:
        assert bench.replica.state(session_id).session.status is SessionStatus.ACTIVE
        reached = await bench.desk.halt(Grant.EVERYTHING, operation, lambda: order)
        assert reached == [first, Halted(other, [], {})]
        assert bench.replica.state(other).session.status is SessionStatus.HALTED
    await bench.assert_sound(session_id)


async def test_a_server_that_stood_still_does_not_say_that_sessions_are_halted(
    bench: Bench,
) -> None:
    """Others may have lifted what it remembers, or have sessions of which it has never heard."""
    session_id = await bench.new_session()
    await halt(bench)
    bench.store.fence.extend((0, 0), 0)
    for again in (halt(bench), close_all(bench, session_id)):
        with pytest.raises(Unavailable):
            await again
    with pytest.raises(Unavailable):
        await bench.change_session(session_id, status=SessionStatus.HALTED)
