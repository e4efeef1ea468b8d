"""What a former owner of the database has written is found and taken over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.kit.events import trade_event
from tests.trading.bench import Bench
from vyomo_rt.domain.errors import Conflict, NumberTaken
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.trade import Exit, ExitReason


async def test_an_event_that_landed_late_from_an_earlier_life_is_taken_over(bench: Bench) -> None:
    """It holds the next number; the journal is the truth, and the session goes on behind it."""
    session_id = await bench.new_session()
    opened = await bench.open(session_id)
    trade = replace(opened, trade_id=opened.trade_id + 1000)
    late = trade_event(trade, 2, operation_id="late")
    await bench.store.append([late])
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
    await bench.store.append([trade_event(trade, 2, operation_id="late")])
    await bench.store.save_copy(trade, 2)
    assert (await bench.close(trade.trade_id, 101_0000)).realised_paise == 10_00
    await bench.assert_sound(session_id)


async def test_a_session_is_not_stopped_over_a_trade_that_a_former_owner_opened(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    known = await bench.open(session_id)
    trade = replace(known, trade_id=known.trade_id + 1000)
    await bench.close(known.trade_id)
    await bench.store.append([trade_event(trade, 3, operation_id="late")])
    with pytest.raises(Conflict, match="1 open trades"):
        await bench.change_session(session_id, status=SessionStatus.STOPPED)


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
        await bench.store.append([trade_event(late, 2, operation_id="late")])
    born = replace(bench.replica.state(sessions[0]).session, session_id=late_id, epoch="late")
    await bench.store.create_session(born, "late", "")
    await bench.desk.late_writes.read()
    assert [(event.session_id, event.seq) for event in bench.announced] == [
        (session_id, 2) for session_id in sessions[:2]
    ]
    assert bench.replica.state(late_id).session == born
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
    await bench.store.append([trade_event(other, 2, operation_id="key", request_hash="h")])
    with pytest.raises(NumberTaken):
        await bench.open(session_id, key="key2")
    repeated = await bench.open(session_id, key="key")
    assert repeated.trade_id == other.trade_id
    await bench.close(repeated.trade_id)
    await bench.assert_sound(session_id)


async def test_what_a_former_owner_has_closed_late_under_a_key_is_answered_as_closed(
    bench: Bench,
) -> None:
    """The repetition comes before the late write was found."""
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    exit_ = Exit(101_0000, ExitReason.MANUAL, bench.now_ms)
    late = trade_event(trade.closed(exit_), 2, operation_id="key", request_hash="h")
    await bench.store.append([late])
    assert not (await bench.close(trade.trade_id, key="key")).is_open
    await bench.assert_sound(session_id)
