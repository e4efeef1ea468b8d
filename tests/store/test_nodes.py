"""Nodes that share a database: leases, shards, who takes what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.kit.waiting import PATIENCE_S, until
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.event import SHAPE
from vyomo_rt.domain.shard import PRICES, SHARDS, even_split
from vyomo_rt.ending import end
from vyomo_rt.store import nodes as nodes_module
from vyomo_rt.store.client import connect
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.lease import Lease
from vyomo_rt.store.nodes import Node

Open = Callable[[], Awaitable[MongoStore]]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that last two seconds."""
    monkeypatch.setattr(nodes_module, "LEASE_MS", 2000)
    monkeypatch.setattr(nodes_module, "SURE_S", 1.4)
    monkeypatch.setattr(nodes_module, "RENEW_S", 0.2)
    monkeypatch.setattr(nodes_module, "LOOK_S", 0.1)


@pytest.fixture
def long_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than any test waits: whatever comes has not waited for the end of one."""
    monkeypatch.setattr(nodes_module, "LEASE_MS", 3 * PATIENCE_S * 1000)
    monkeypatch.setattr(nodes_module, "SURE_S", 2 * PATIENCE_S)


@pytest.fixture
async def another(store: MongoStore, uri: str) -> AsyncIterator[Open]:
    """Opens the same database as other processes do."""
    opened: list[MongoStore] = []

    async def open_() -> MongoStore:
        opened.append(MongoStore(connect(uri), store.database.name))
        return opened[-1]

    yield open_
    for each in opened:
        await each.close()


@asynccontextmanager
async def living(store: MongoStore, reads: int = SHAPE) -> AsyncIterator[Node]:
    node = Node(store, "here", reads=reads)
    await node.join()
    node.get_ready()
    keeping = asyncio.create_task(node.keep())
    try:
        yield node
    finally:
        await end(keeping)


def shards(node: Node) -> set[int]:
    return set(node.owned) - {PRICES}


async def test_the_first_node_has_everything_and_a_second_one_gets_half(
    store: MongoStore, another: Open
) -> None:
    async with living(store) as first, living(await another()) as second:
        await until(lambda: len(shards(first)) == len(shards(second)) == SHARDS // 2)
        assert not shards(first) & shards(second)
        assert (PRICES in first.owned) + (PRICES in second.owned) == 1


@pytest.mark.usefixtures("long_leases")
async def test_a_node_that_leaves_hands_over_at_once(store: MongoStore, another: Open) -> None:
    async with living(store) as first:
        async with living(await another()) as second:
            await until(lambda: len(shards(second)) == SHARDS // 2)
            terms = dict(second.owned)
            await second.hand_over()
            await second.leave()
        first.look()
        await until(lambda: len(first.owned) == SHARDS + 1)
        now = {shard: first.owned[shard] for shard in terms}
        assert now == {shard: term + 1 for shard, term in terms.items()}


async def test_the_shards_of_a_node_that_died_are_taken_once_its_lease_has_stood_still(
    store: MongoStore, another: Open
) -> None:
    async with living(store) as first:
        async with living(await another()) as second:
            await until(lambda: len(shards(second)) == SHARDS // 2)
            died = time.monotonic()
        await until(lambda: len(first.owned) == SHARDS + 1)
        assert time.monotonic() - died > 1.4, "a node that lives has time to renew"


async def test_a_node_that_was_taken_for_dead_writes_nothing_and_joins_anew(
    store: MongoStore, another: Open
) -> None:
    async with living(store) as first:
        other = await another()
        async with living(other) as frozen:
            await until(lambda: len(shards(frozen)) == SHARDS // 2)
            had, name = dict(frozen.owned), frozen.id
        await until(lambda: len(first.owned) == SHARDS + 1)
        assert all(first.owned[shard] == term + 1 for shard, term in had.items())
        assert not other.fence.is_open
        keeping = asyncio.create_task(frozen.keep())
        await until(
            lambda: len(shards(frozen)) == SHARDS // 2 and not shards(frozen) & shards(first)
        )
        assert frozen.id != name
        await end(keeping)


async def test_a_server_without_nodes_is_refused_while_one_lives_and_begins_after_them(
    store: MongoStore, another: Open
) -> None:
    async with living(store) as first:
        await until(lambda: len(first.owned) == SHARDS + 1)
        highest = max(first.owned.values())
        with pytest.raises(CannotStart, match=r"writes to this database \(several nodes\)"):
            await Lease(await another(), "here").acquire()
    alone = await another()
    await Lease(alone, "here").acquire()
    assert alone.term > highest
    assert alone.term_of(6) == alone.term


@pytest.mark.usefixtures("long_leases")
async def test_a_server_without_nodes_begins_at_once_when_all_nodes_have_left(
    store: MongoStore, another: Open
) -> None:
    async with living(store) as first:
        await until(lambda: len(first.owned) == SHARDS + 1)
    await first.leave()
    await asyncio.wait_for(Lease(await another(), "here").acquire(), PATIENCE_S)


async def test_events_are_written_as_the_oldest_node_can_read_them(
    store: MongoStore, another: Open
) -> None:
    newer = await another()
    async with AsyncExitStack() as life_of_first:
        first = await life_of_first.enter_async_context(living(store))
        async with living(newer, reads=SHAPE + 1) as second:
            await until(lambda: len(shards(first)) == len(shards(second)) == SHARDS // 2)
            await until(lambda: (store.shape, newer.shape) == (SHAPE, SHAPE))
            await life_of_first.aclose()
            await first.leave()
            await until(lambda: newer.shape == SHAPE + 1)
            with pytest.raises(CannotStart, match=f"newer vyomo-rt .shape {SHAPE + 1}"):
                await Node(await another(), "here").join()
            await until(lambda: set(second.nodes) == {second.id})


async def test_a_node_that_slept_while_the_others_went_over_to_newer_events_stops(
    store: MongoStore, another: Open
) -> None:
    async with living(store) as older:
        await until(lambda: len(shards(older)) == SHARDS)
    newer = await another()
    async with living(newer, reads=SHAPE + 1):
        await until(lambda: newer.shape == SHAPE)
        await until(lambda: newer.shape == SHAPE + 1)
        with pytest.raises(CannotStart, match="update this server"):
            await older.keep()


async def test_nodes_begin_above_the_term_of_a_server_that_was_alone(
    store: MongoStore, another: Open
) -> None:
    alone = Lease(store, "here")
    await alone.acquire()
    term = store.term
    await alone.release()
    async with living(await another()) as node:
        await until(lambda: len(node.owned) == SHARDS + 1)
        assert min(node.owned.values()) > term


async def test_a_server_alone_keeps_nodes_out(store: MongoStore, another: Open) -> None:
    alone = Lease(store, "here")
    await alone.acquire()
    keeping = asyncio.create_task(alone.keep())
    await store.leases.update_one({"_id": "writer"}, {"$set": {"machine": "elsewhere"}})
    with pytest.raises(CannotStart, match="another server writes"):
        await Node(await another(), "here").join()
    await end(keeping)


def test_an_even_split_moves_as_little_as_possible() -> None:
    before = even_split({}, ["a", "b", "c"])
    assert sorted(list(before.values()).count(node) for node in "abc") == [21, 21, 22]
    after = even_split(before, ["a", "b"])
    assert sum(after[shard] != node for shard, node in before.items()) in (21, 22)
    assert even_split(before, ["c", "b", "a"]) == before
    assert even_split(before, []) == {}
