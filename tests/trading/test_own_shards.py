"""Sessions that move from node to node: what comes while nobody decides about them is not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.kit.events import trade_event
from tests.kit.waiting import until
from tests.trading.bench import NOT_WRITTEN, WRITTEN, Bench
from vyomo_rt.domain.errors import Moved, OutcomeUnknown, Unavailable
from vyomo_rt.domain.event import Event, Record, TradeEvent
from vyomo_rt.domain.shard import EVERY_SHARD
from vyomo_rt.domain.trade import Trade
from vyomo_rt.trading.following import Following
from vyomo_rt.trading.heads import Heads
from vyomo_rt.trading.own_shards import OwnShards
from vyomo_rt.trading.recent_prices import RecentPrices


class Node:
    """A desk that takes and gives all shards."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        desk, time_s = bench.desk, asyncio.get_running_loop().time
        self.recent = RecentPrices(bench.demand.is_held, time_s)
        bench.replica.followers.append(self.recent)
        self.following = Following(
            bench.store,
            bench.replica,
            desk.sessions,
            Heads(time_s),
            time_s=time_s,
            watched=tuple,
        )
        self.own = OwnShards(
            bench.store,
            bench.replica,
            desk.sessions,
            desk.ledgers,
            self.following,
            late_writes=desk.late_writes,
            recent=self.recent,
            drop_ids=desk.drop_ids,
            catch_up=desk.catch_up,
            resume=desk.resume,
        )
        desk.sessions.others = self.following

    def tick(self, price_e4: int) -> None:
        self.bench.now_ms += 10
        self.bench.tick(price_e4)
        self.recent.note(self.bench.quotes["NIFTY"], self.bench.now_ms)


@pytest.fixture
async def node(bench: Bench) -> Node:
    """One that has taken all shards."""
    made = Node(bench)
    await made.own.take_over(EVERY_SHARD)
    return made


async def test_a_price_that_came_while_nobody_decided_acts_at_the_takeover(
    bench: Bench, node: Node
) -> None:
    node.tick(100_0000)
    session_id = await bench.new_session()
    node.tick(96_0000)
    trade = await bench.open(session_id, stop_e4=95_0000)
    unhurt = await bench.open(session_id, stop_e4=90_0000)
    await node.own.give_up(EVERY_SHARD)
    with pytest.raises(Moved):
        await bench.open(session_id)
    node.tick(94_0000)
    at_ms = bench.now_ms
    node.tick(100_0000)
    await node.own.take_over(EVERY_SHARD)
    await bench.reached(session_id, 3)
    closed = await bench.desk.records.trade(trade.trade_id)
    assert closed.exit is not None
    assert (closed.exit.price_e4, closed.exit.at_ms) == (94_0000, at_ms)
    assert (await bench.desk.records.trade(unhurt.trade_id)).is_open
    await bench.assert_sound(session_id)


async def test_a_price_from_before_a_trade_does_not_act_on_it_after_a_takeover(
    bench: Bench, node: Node
) -> None:
    session_id = await bench.new_session()
    first = await bench.open(session_id, stop_e4=95_0000)
    node.tick(94_0000)
    await bench.reached(session_id, 2)
    node.tick(100_0000)
    second = await bench.open(session_id, stop_e4=95_0000)
    for _ in range(3):
        await node.own.give_up(EVERY_SHARD)
        await node.own.take_over(EVERY_SHARD)
    await bench.desk.rest()
    assert not (await bench.desk.records.trade(first.trade_id)).is_open
    assert (await bench.desk.records.trade(second.trade_id)).is_open
    await bench.assert_sound(session_id)


async def test_a_look_at_everything_that_failed_is_no_answer_to_who_waited_for_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_away(_counter: str) -> int:
        await asyncio.sleep(0.001)
        raise Unavailable("the store is away")

    node = Node(bench)
    monkeypatch.setattr(bench.store, "counter", is_away)
    looks = (node.following.read_all() for _ in range(3))
    found = await asyncio.gather(*looks, return_exceptions=True)
    assert [type(each) for each in found] == [Unavailable] * 3


@pytest.mark.usefixtures("node")
async def test_a_position_is_good_where_the_answer_to_the_write_of_its_event_was_lost(
    bench: Bench,
) -> None:
    """Others read what is stored before its own writer knows of it."""
    session_id = await bench.new_session()
    bench.store.lost.append(WRITTEN)
    with pytest.raises(OutcomeUnknown):
        await bench.open(session_id)
    reading = bench.desk.sessions.fetch(session_id, since=1)
    assert reading is not None
    await reading
    assert bench.replica.state(session_id).seq == 1


@pytest.mark.usefixtures("node")
async def test_a_trade_is_found_where_the_answer_to_the_write_of_its_opening_was_lost(
    bench: Bench,
) -> None:
    """A client whose answer another node has found in the log goes on with this one."""
    session_id = await bench.new_session()
    bench.store.lost += [WRITTEN, NOT_WRITTEN]
    with pytest.raises(OutcomeUnknown):
        await bench.open(session_id)
    trade = await stored_trade(bench, session_id)
    assert await bench.desk.records.trade(trade.trade_id) == trade


@pytest.mark.usefixtures("node")
async def test_a_trade_is_found_where_the_write_of_its_opening_has_no_answer_yet(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await bench.new_session()
    is_stored, answer = asyncio.Event(), asyncio.Event()
    append = bench.store.append

    async def append_slowly(events: Sequence[Event]) -> None:
        await append(events)
        is_stored.set()
        await answer.wait()

    monkeypatch.setattr(bench.store, "append", append_slowly)
    opening = asyncio.create_task(bench.open(session_id))
    await is_stored.wait()
    trade = await stored_trade(bench, session_id)
    looking = asyncio.create_task(bench.desk.records.trade(trade.trade_id))
    done, _ = await asyncio.wait([looking], timeout=0.05)
    assert not done
    answer.set()
    assert await looking == await opening


@pytest.mark.usefixtures("node")
async def test_no_trade_is_said_to_be_missing_by_a_node_that_may_have_lost_its_sessions(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade = await bench.open(await bench.new_session())

    def stood_still() -> None:
        raise Unavailable("this server stood still")

    monkeypatch.setattr(bench.store, "require_right", stood_still)
    with pytest.raises(Unavailable):
        await bench.desk.records.trade(trade.trade_id + 1)


async def stored_trade(bench: Bench, session_id: int) -> Trade:
    """The trade of a session's first event."""
    [event] = await bench.store.events(session_id, 0)
    assert isinstance(event, TradeEvent)
    return event.trade


async def test_who_takes_sessions_over_writes_only_the_copies_that_are_not_there(
    bench: Bench, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands would wait for the copies of a minute, all of which the former owner has written."""
    session_id = await bench.new_session()
    trades = [await bench.open(session_id) for _ in range(4)]
    await node.own.give_up(EVERY_SHARD)
    late = replace(trades[0], trade_id=trades[0].trade_id + 1000)
    events = [*await bench.history(session_id), trade_event(late, 5)]
    await bench.store.append(events[4:])
    bench.desk.sessions.uncopied.add(events[:4])
    written = []
    save = bench.store.save_copy

    async def save_copy(record: Record, seq: int) -> None:
        written.append(record.record_id)
        await save(record, seq)

    monkeypatch.setattr(bench.store, "save_copy", save_copy)
    await node.own.take_over(EVERY_SHARD)
    await bench.desk.rest()
    await until(lambda: bool(written))
    assert written == [late.trade_id]
    await bench.assert_sound(session_id)
