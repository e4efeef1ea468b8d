"""The lease that keeps a second server off the same database."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.kit.server import MakeServer
from tests.kit.waiting import PATIENCE_S
from vyomo_rt.domain.errors import CannotStart, Unavailable
from vyomo_rt.domain.event import TradeEvent
from vyomo_rt.ending import end
from vyomo_rt.store import lease as lease_module
from vyomo_rt.store.client import where
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.lease import Lease


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that is renewed many times a second and lasts one."""
    monkeypatch.setattr(lease_module, "LEASE_MS", 1000)
    monkeypatch.setattr(lease_module, "RENEW_S", 0.05)
    monkeypatch.setattr(lease_module, "_LOOK_S", 0.02)


@asynccontextmanager
async def held(store: MongoStore, **about: object) -> AsyncIterator[None]:
    """A living server has the lease."""
    lease = Lease(store, "here")
    await lease.acquire()
    await store.leases.update_one(where(_id="writer"), {"$set": about or {"pid": os.getpid()}})
    keeping = asyncio.create_task(lease.keep())
    yield
    await end(keeping)


async def test_a_second_server_is_kept_out_and_told_by_whom(store: MongoStore) -> None:
    async with held(store):
        with pytest.raises(CannotStart, match=r"another server writes .* \(process \d+ on .*\)"):
            await Lease(store, "here").acquire()


async def test_a_released_lease_is_free_at_once(store: MongoStore) -> None:
    first = Lease(store, "here")
    await first.acquire()
    await first.release()
    await Lease(store, "here").acquire()


async def test_a_lease_that_nobody_renews_is_free_when_it_has_run_out(store: MongoStore) -> None:
    await Lease(store, "here").acquire()
    await store.leases.update_one(where(_id="writer"), {"$set": {"machine": "elsewhere"}})
    began = time.monotonic()
    await Lease(store, "here").acquire()
    assert 0.5 < time.monotonic() - began < 5


async def test_a_living_server_of_another_machine_or_container_is_respected(
    store: MongoStore,
) -> None:
    """Its process number says nothing here, whether there is such a process or not."""
    async with held(store, machine="elsewhere", host="elsewhere", pid=2**22 + 1):
        with pytest.raises(CannotStart, match="on elsewhere"):
            await Lease(store, "here").acquire()


async def test_the_lease_of_a_process_of_this_machine_that_is_dead_is_taken_at_once(
    store: MongoStore,
) -> None:
    await Lease(store, "here").acquire()
    dead = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await dead.wait()
    await store.leases.update_one(where(_id="writer"), {"$set": {"pid": dead.pid}})
    await Lease(store, "here").acquire()


async def test_the_lease_of_a_former_process_of_the_same_number_is_taken_at_once(
    store: MongoStore,
) -> None:
    """So it is in a container that was started again."""
    await Lease(store, "here").acquire()
    await store.leases.update_one(where(_id="writer"), {"$set": {"process": "the one before"}})
    await Lease(store, "here").acquire()


async def test_who_lost_the_lease_stops(store: MongoStore) -> None:
    lease = Lease(store, "here")
    await lease.acquire()
    keeping = asyncio.create_task(lease.keep())
    await store.leases.update_one(where(_id="writer"), {"$set": {"owner": "another"}})
    with pytest.raises(
        CannotStart, match=r"process .* has taken this database over: only one may write"
    ):
        await asyncio.wait_for(keeping, PATIENCE_S)


async def test_a_lease_is_renewed_while_it_is_kept(store: MongoStore) -> None:
    async with held(store), asyncio.timeout(PATIENCE_S):
        first = await store.leases.find_one(where(_id="writer"))
        assert first is not None
        while True:
            renewed = await store.leases.find_one(where(_id="writer"))
            assert renewed is not None
            if renewed["untilMs"] > first["untilMs"]:
                break


async def test_two_servers_on_one_mongodb_are_refused_but_a_killed_ones_place_is_free(
    embedded_uri: str, server_process: MakeServer
) -> None:
    uri = f"{embedded_uri}lease_test"
    first = server_process("--mongo-uri", uri)
    await first.start()
    second = server_process("--mongo-uri", uri)
    with pytest.raises(AssertionError, match="another server writes to this database"):
        await second.start()
    assert await second.process.wait() == 1
    await first.kill()
    third = server_process("--mongo-uri", uri)
    await third.start()


# --- taking it over


async def test_who_takes_it_over_has_it_once_the_loser_has_let_go(store: MongoStore) -> None:
    loser, taker = Lease(store, "here"), Lease(store, "here")
    await loser.acquire()
    keeping = asyncio.create_task(loser.keep())
    taking = asyncio.create_task(taker.acquire(take_over=True))
    with pytest.raises(CannotStart, match=rf"process {os.getpid()} on .* taken this database over"):
        await asyncio.wait_for(keeping, PATIENCE_S)
    assert not taking.done(), "the loser may still have something to write"
    await loser.release()
    await asyncio.wait_for(taking, PATIENCE_S)
    await taker.release()
    await Lease(store, "here").acquire()


async def test_of_a_loser_that_hangs_is_waited_for_the_end_of_its_right(store: MongoStore) -> None:
    await Lease(store, "here").acquire()
    began = time.monotonic()
    await asyncio.wait_for(Lease(store, "here").acquire(take_over=True), PATIENCE_S)
    assert time.monotonic() - began > 0.9


async def test_a_writer_that_meets_another_one_looks_at_its_lease_at_once(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "RENEW_S", 60)
    lease = Lease(store, "here")
    await lease.acquire()
    keeping = asyncio.create_task(lease.keep())
    await store.leases.update_one(where(_id="writer"), {"$set": {"owner": "another"}})
    store.met_another_writer.set()
    with pytest.raises(CannotStart):
        await asyncio.wait_for(keeping, PATIENCE_S)


async def test_the_epoch_counts_the_owners(store: MongoStore) -> None:
    async def epoch() -> int:
        document = await store.leases.find_one(where(_id="writer"))
        assert document is not None
        return int(document["epoch"])

    first, second = Lease(store, "here"), Lease(store, "here")
    await first.acquire()
    assert await epoch() == 1
    await first.release()
    await second.acquire()
    assert await epoch() == 2
    await second.release()
    await Lease(store, "here").acquire(take_over=True)
    assert await epoch() == 3


# --- clocks and fences


HOUR_MS = 3_600_000


@pytest.mark.parametrize("offset_ms", [-HOUR_MS, -20_000, 20_000, HOUR_MS])
async def test_no_clock_of_another_machine_robs_a_living_owner(
    store: MongoStore, offset_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    later_ms = lease_module._later_ms
    monkeypatch.setattr(lease_module, "_later_ms", lambda: later_ms() + offset_ms)
    async with held(store, machine="elsewhere", host="elsewhere"):
        monkeypatch.setattr(lease_module, "_later_ms", later_ms)
        with pytest.raises(CannotStart, match="on elsewhere"):
            await Lease(store, "here").acquire()


@pytest.mark.parametrize("offset_ms", [-HOUR_MS, HOUR_MS])
async def test_a_dead_owner_is_replaced_after_the_duration_of_its_lease_whatever_its_clock_said(
    store: MongoStore, offset_ms: int
) -> None:
    await Lease(store, "here").acquire()
    until_ms = time.time_ns() // 1_000_000 + offset_ms
    elsewhere = {"machine": "elsewhere", "untilMs": until_ms, "durationMs": 700}
    await store.leases.update_one(where(_id="writer"), {"$set": elsewhere})
    began = time.monotonic()
    await Lease(store, "here").acquire()
    assert 0.69 < time.monotonic() - began < 5


async def test_an_owner_of_version_0_1_which_counts_no_renewals_is_seen_to_live(
    store: MongoStore,
) -> None:
    await Lease(store, "here").acquire()
    old = {"$set": {"machine": "elsewhere"}, "$unset": {"renewals": "", "durationMs": ""}}
    await store.leases.update_one(where(_id="writer"), old)
    acquiring = asyncio.create_task(Lease(store, "here").acquire())
    until_ms = 0
    while not acquiring.done():
        until_ms += 1
        await store.leases.update_one(where(_id="writer"), {"$set": {"untilMs": until_ms}})
        await asyncio.sleep(0.05)
    with pytest.raises(CannotStart, match="another server writes"):
        await acquiring


async def test_the_term_counts_the_owners_and_stands_in_each_event(
    store: MongoStore, opening: Callable[..., TradeEvent]
) -> None:
    for term in (1, 2):
        lease = Lease(store, "here")
        await lease.acquire()
        assert store.term == term
        await store.append([replace(opening(term), term=store.term)])
        await lease.release()
    events = await store.events(6, 0)
    assert [event.term for event in events] == [1, 2]


async def test_who_stood_still_writes_only_once_it_has_renewed(
    store: MongoStore, opening: Callable[..., TradeEvent]
) -> None:
    lease = Lease(store, "here")
    await lease.acquire()
    store.fence.extend((0.0, 0.0), 1.0)  # long ago, as after a sleep
    with pytest.raises(Unavailable):
        await store.append([opening(1)])
    keeping = asyncio.create_task(lease.keep())
    async with asyncio.timeout(PATIENCE_S):
        while not store.fence.is_open:  # noqa: ASYNC110 - only the fence tells
            await asyncio.sleep(0.005)
    await store.append([opening(1)])
    await end(keeping)


async def test_who_lost_the_lease_writes_nothing_more(
    store: MongoStore, opening: Callable[..., TradeEvent]
) -> None:
    lease = Lease(store, "here")
    await lease.acquire()
    await store.leases.update_one(where(_id="writer"), {"$set": {"owner": "another"}})
    with pytest.raises(CannotStart):
        await asyncio.wait_for(lease.keep(), PATIENCE_S)
    with pytest.raises(Unavailable):
        await store.append([opening(1)])
    assert await store.events(6, 0) == []
