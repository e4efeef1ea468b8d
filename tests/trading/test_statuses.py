"""A session is paused, halted and stopped."""

from __future__ import annotations

import pytest

from tests.trading.bench import Bench
from vyomo_rt.domain.errors import Conflict
from vyomo_rt.domain.session import SessionStatus


async def test_a_status_is_announced_and_stays_over_a_restart(bench: Bench) -> None:
    session_id = await bench.new_session()
    for status in (SessionStatus.PAUSED, SessionStatus.ACTIVE, SessionStatus.HALTED):
        state = await bench.change_session(session_id, status=status)
        assert bench.announced[-1].seq == state.seq
        assert state.session.status is status
    await bench.restart()
    assert bench.replica.state(session_id) == state


async def test_the_present_status_once_more_changes_nothing(bench: Bench) -> None:
    session_id = await bench.new_session()
    state = await bench.change_session(session_id, status=SessionStatus.ACTIVE)
    assert (bench.announced, state.seq) == ([], 0)


async def test_a_session_is_stopped_for_good_and_only_without_open_trades(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    with pytest.raises(Conflict, match="1 open trades"):
        await bench.change_session(session_id, status=SessionStatus.STOPPED)
    await bench.close(trade.trade_id)
    await bench.change_session(session_id, status=SessionStatus.STOPPED)
    for status in (SessionStatus.ACTIVE, SessionStatus.PAUSED):
        with pytest.raises(Conflict, match="final"):
            await bench.change_session(session_id, status=status)
    with pytest.raises(Conflict, match="STOPPED"):
        await bench.open(session_id)


async def test_a_due_exit_comes_before_the_stop(bench: Bench) -> None:
    session_id = await bench.new_session()
    await bench.open(session_id, stop_e4=95_0000)
    bench.tick(94_0000)
    state = await bench.change_session(session_id, status=SessionStatus.STOPPED)
    assert (state.session.status, state.figures.closed) == (SessionStatus.STOPPED, 1)
