"""A write that was not carried out counts as failed, however the database says so."""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp
import pytest

from lab.site.machine import children_of
from tests.kit.rest import Rest
from tests.kit.server import ServerProcess
from tests.kit.waiting import until
from vyomo_rt.domain.errors import OutcomeUnknown
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import Session
from vyomo_rt.store import database
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.prices import SavedPrices

if TYPE_CHECKING:
    from vyomo_rt.domain.event import TradeEvent

    MakeOpening = Callable[..., TradeEvent]
    Write = Callable[[MongoStore, MakeOpening], Awaitable[object]]

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="limits another process by prlimit")


def fill_disk(pid: int) -> None:
    """Let no write of a process reach a file any more, as on a full disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def free_disk(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def append(store: MongoStore, opening: MakeOpening) -> Awaitable[object]:
    return store.append([opening(1)])


def make_session(store: MongoStore, _: MakeOpening) -> Awaitable[object]:
    return store.create_session(
        Session(
            session_id=1, name="One", starting_capital_paise=1, created_at_ms=1, epoch="5f5f5f5f"
        ),
        "operation",
        "",
    )


def quote_of(symbol: str) -> Quote:
    return Quote(symbol, 221_505_000, 1_785_200_000_001, "ingest", stale=False)


WRITES: dict[str, Write] = {
    "an event": append,
    "a session": make_session,
    "a number": lambda store, _: store.reserve_ids("trades", 1),
    "a counter": lambda store, _: store.raise_counter("trades", 5),
    "prices": lambda store, _: SavedPrices(store).save(["NIFTY"], quote_of),
    "a copy": lambda store, opening: store.save_copy(opening(1).trade, 1),
}


@linux_only
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_on_a_full_disk_each_write_counts_as_failed_until_one_is_carried_out(
    write: Write,
    server: EmbeddedServer,
    opening: MakeOpening,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger=database.__name__)
    store = MongoStore(connect(await server.start()), "vyomo")
    await store.prepare()
    assert server.pid is not None
    fill_disk(server.pid)
    for count in (1, 2):
        with pytest.raises(OutcomeUnknown):
            await write(store, opening)
        assert failures_of(store) == count
        assert not is_available(store)
    assert [line.partition(":")[0] for line in caplog.messages] == [
        "a write to the database failed"
    ]
    free_disk(server.pid)
    await write(store, opening)
    assert is_available(store)
    assert caplog.messages[1:] == ["the database accepts writes again"]
    await store.close()


async def test_a_key_that_is_taken_by_nothing_that_is_there_counts_as_a_failed_write(
    store: MongoStore, opening: MakeOpening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=database.__name__)
    other = {"_id": "odd", "sessionId": 6, "seq": 1, "opId": "other"}
    await store.database["events"].insert_one(other)
    for count in (1, 2):
        with pytest.raises(OutcomeUnknown):
            await store.append([opening(1)])
        assert failures_of(store) == count
        assert not is_available(store)
    assert len(caplog.messages) == 1
    assert "not carried out" in caplog.messages[0]


@linux_only
async def test_a_server_on_a_full_disk_is_not_ready_and_is_again_once_there_is_room(
    server_process: Callable[..., ServerProcess],
) -> None:
    server = server_process("--feed", "sim")
    async with aiohttp.ClientSession() as http:
        rest = Rest(await server.start(), http)
        session_id = await rest.new_session()
        order = {"symbol": "NIFTY", "quantity": 1, "entryPrice": 100}
        (store,) = children_of(server.process.pid)

        async def open_trade() -> int:
            return (await rest.call("POST", f"/sessions/{session_id}/trades", order))[0]

        async def readiness() -> int:
            async with http.get(f"{rest.url}/readyz") as response:
                return response.status

        async def is_ready() -> bool:
            return await readiness() == 200

        await until(is_ready)
        fill_disk(store)
        for _ in range(10):
            assert await open_trade() == 503
            assert await readiness() == 503
        free_disk(store)

        async def opens() -> bool:
            return await open_trade() == 201

        await until(opens)
        assert await readiness() == 200
    assert await asyncio.wait_for(server.stop(), 10) == 0
    again = [line for line in server.output if "accepts writes again" in line]
    assert len(again) == 1, server.output


def is_available(store: MongoStore) -> bool:
    return store.available  # by a call, or mypy takes the first answer for the last


def failures_of(store: MongoStore) -> float:
    (metric,) = store.write_failures.collect()
    return metric.samples[0].value
