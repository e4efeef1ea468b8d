"""Stopped sessions leave memory, and are what they were when somebody asks for them."""

from __future__ import annotations

import asyncio

import pytest

from tests.trading.bench import Bench
from vyomo_rt.domain.errors import Conflict, KeyReused, NotFound, Unavailable
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import AlreadyClosed, TradeStatus
from vyomo_rt.domain.trade_filter import TradeFilter


async def stopped(bench: Bench, *, trades: int = 2, key: str | None = None) -> int:
    """A session that was stopped after some trades."""
    session_id = await bench.new_session(key)
    for number in range(trades):
        trade = await bench.open(session_id, key=f"key {number}")
        await bench.close(trade.trade_id)
    await bench.change_session(session_id, status=SessionStatus.STOPPED)
    return session_id


async def put_away(bench: Bench, session_id: int) -> SessionState:
    """Let a session rest; what it was before."""
    before = bench.replica.state(session_id)
    await bench.desk.sessions.put_away()
    assert bench.replica.find(session_id) is None
    return before


async def test_a_stopped_session_leaves_memory_and_is_read_back_as_it_was(bench: Bench) -> None:
    live, session_id = await bench.new_session(), await stopped(bench)
    before = await put_away(bench, session_id)
    assert bench.replica.find(live) is not None
    assert bench.desk.sessions.live_count == 1
    assert await bench.desk.records.session(session_id) == before
    assert await bench.sessions() == [bench.replica.state(live), before]
    await put_away(bench, session_id)
    listed = await bench.desk.records.trades(
        session_id, TradeFilter(status=TradeStatus.CLOSED), None, 10
    )
    assert len(listed) == 2
    await bench.assert_sound(session_id)
    with pytest.raises(NotFound):
        await bench.desk.records.session(session_id + 1)


async def test_what_is_asked_of_a_resting_session_is_answered_as_before(bench: Bench) -> None:
    session_id = await stopped(bench, key="its key")
    await put_away(bench, session_id)
    with pytest.raises(Conflict, match="STOPPED"):
        await bench.open(session_id)
    await put_away(bench, session_id)
    with pytest.raises(Conflict, match="final"):
        await bench.change_session(session_id, status=SessionStatus.ACTIVE)
    await put_away(bench, session_id)
    with pytest.raises(AlreadyClosed):
        await bench.close(1)
    await put_away(bench, session_id)
    assert (await bench.open(session_id, key="key 0")).trade_id == 1, "a key is known for ever"
    await put_away(bench, session_id)
    assert await bench.new_session("its key") == session_id
    await put_away(bench, session_id)
    with pytest.raises(KeyReused) as refused:
        await bench.new_session("its key", "another request")
    assert refused.value.session is not None
    assert refused.value.session.seq == 5

    renamed = await bench.change_session(session_id, name="Last year")
    await put_away(bench, session_id)
    assert await bench.desk.records.session(session_id) == renamed
    await bench.assert_sound(session_id)


async def test_a_start_leaves_resting_sessions_where_they_are(bench: Bench) -> None:
    resting = await stopped(bench)
    await put_away(bench, resting)
    others = [await bench.new_session(), await stopped(bench)]
    before = await bench.sessions()
    await bench.restart()
    assert bench.replica.find(resting) is None
    assert all(bench.replica.find(id_) for id_ in others), "stopped, and not put away yet"
    bench.store.read_after.clear()
    assert await bench.sessions() == before
    await bench.desk.sessions.put_away()
    assert bench.replica.find(others[1]) is None
    await bench.restart()
    assert await bench.new_session() == others[1] + 1
    assert (await bench.sessions())[:3] == before
    assert bench.store.read_after, "sessions that rest may have been renamed by a late write"


async def test_a_stopped_session_stays_while_it_is_watched_or_used(bench: Bench) -> None:
    session_id = await stopped(bench)
    bench.watched.add(session_id)
    await bench.desk.sessions.put_away()
    assert bench.replica.find(session_id) is not None
    bench.watched.clear()
    bench.store.away, bench.store.answers_after_s = True, 0.3
    renaming = asyncio.create_task(bench.change_session(session_id, name="New"))
    await asyncio.sleep(0)
    await bench.desk.sessions.put_away()
    assert bench.replica.find(session_id) is not None, "somebody has its turn"
    with pytest.raises(Unavailable):
        await renaming
    await bench.desk.sessions.put_away()
    assert bench.replica.find(session_id) is not None, "a write of it is not settled"
    bench.store.away = False
    await bench.reached(session_id, 6)
    await put_away(bench, session_id)
    assert (await bench.desk.records.session(session_id)).session.name == "New"
    await bench.assert_sound(session_id)


async def test_commands_that_fetch_a_session_at_once_have_one_ledger(bench: Bench) -> None:
    """Two ledgers of a session would be two writers."""
    session_id = await stopped(bench)
    await put_away(bench, session_id)

    async def put_away_again_and_again() -> None:
        for _ in range(20):
            await bench.desk.sessions.put_away()
            await asyncio.sleep(0)

    names = [f"name {number}" for number in range(5)]
    await asyncio.gather(
        put_away_again_and_again(),
        *(bench.change_session(session_id, name=name) for name in names),
    )
    await bench.desk.records.session(session_id)
    assert bench.seq(session_id) == 10
    await bench.assert_sound(session_id)


async def test_sessions_are_listed_wherever_they_are(bench: Bench) -> None:
    ids = [
        await (stopped(bench, trades=0) if number % 3 else bench.new_session())
        for number in range(7)
    ]
    await bench.desk.sessions.put_away()

    async def listed(after: int, status: SessionStatus | None, limit: int) -> list[int]:
        found = await bench.desk.records.sessions(after, status, limit, Grant.EVERYTHING)
        return [state.session.session_id for state in found]

    assert await listed(0, None, 100) == ids
    assert await listed(0, None, 3) == ids[:3]
    assert await listed(ids[2], None, 3) == ids[3:6]
    assert await listed(0, SessionStatus.ACTIVE, 100) == ids[::3]
    assert await listed(0, SessionStatus.STOPPED, 2) == ids[1:3]
    assert await listed(ids[1], SessionStatus.STOPPED, 100) == [ids[2], ids[4], ids[5]]
    assert await listed(ids[-1], None, 100) == []


async def test_a_session_that_cannot_be_put_away_now_is_put_away_later(bench: Bench) -> None:
    session_id = await stopped(bench)
    failing = bench.store.fence
    failing.extend((0.0, 0.0), 1.0)  # its right to write ended long ago
    await bench.desk.sessions.put_away()
    assert bench.replica.find(session_id) is not None
    failing.extend(failing.now(), 60.0)
    await put_away(bench, session_id)
