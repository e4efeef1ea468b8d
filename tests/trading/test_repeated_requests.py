"""Requests that are repeated under their key."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.kit.events import trade_event
from tests.trading.bench import Bench
from vyomo_rt.domain.errors import Conflict, KeyReused, Moved
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.shard import EVERY_SHARD
from vyomo_rt.domain.trade import Exit, ExitReason
from vyomo_rt.trading.following import Following
from vyomo_rt.trading.heads import Heads

ONCE_MORE = Operation("key", "h")


def never() -> Any:
    """Stands for the body of a request that must not be looked at."""
    raise AssertionError("a repeated request was read again")


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


async def test_a_session_that_moves_while_it_is_made_is_left_to_whoever_decides_about_it_now(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A halt right after the answer goes to that node, which has to know the session."""
    sessions, insert = bench.desk.sessions, bench.store.create_session

    async def insert_late(*about: Any) -> None:
        await insert(*about)
        sessions.shards = frozenset()

    monkeypatch.setattr(bench.store, "create_session", insert_late)
    with pytest.raises(Moved):
        await bench.new_session(key="key")
    assert not bench.replica.states()
    sessions.shards = EVERY_SHARD
    state, repeated = await bench.desk.create_session(ONCE_MORE, never)
    assert repeated
    assert bench.replica.states() == [state]


async def test_a_repeated_request_finds_its_session(bench: Bench) -> None:
    session_id = await bench.new_session(key="key")
    state, repeated = await bench.desk.create_session(ONCE_MORE, never)
    assert (state.session.session_id, repeated) == (session_id, True)
    assert len(bench.replica.states()) == 1


async def test_a_key_is_looked_up_before_anything_else_is_checked(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, key="key")
    closed = await bench.close(trade.trade_id)
    await bench.change_session(session_id, status=SessionStatus.STOPPED)
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


async def test_what_another_node_has_made_is_shown_as_it_is_after_that_though_no_news_of_it_came(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    sessions, time_s = bench.desk.sessions, asyncio.get_running_loop().time
    sessions.others = Following(
        *(bench.store, bench.replica, sessions, Heads(time_s)), time_s=time_s, watched=list
    )
    sessions.shards = frozenset()
    closed = trade.closed(Exit(101_0000, ExitReason.MANUAL, bench.now_ms))
    made = trade_event(closed, 2, operation_id="key", request_hash="h")
    await bench.store.append([made])
    assert await bench.close(trade.trade_id, key="key") == closed
