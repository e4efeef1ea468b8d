"""Several events in one write: any beginning is valid, and repeating it settles a lost answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from vyomo_rt.domain.errors import NumberTaken, VyomoError
from vyomo_rt.domain.event import TradeEvent
from vyomo_rt.store import lanes
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.events import TOGETHER
from vyomo_rt.store.journal import MongoStore

T = TypeVar("T")
MakeOpening = Callable[..., TradeEvent]


async def stored(store: MongoStore, session_id: int = 6) -> list[int]:
    return [event.seq for event in await store.events(session_id, 0)]


@pytest.mark.parametrize("there", [0, 1, 4, 7, 10])
async def test_a_write_of_which_a_beginning_is_stored_is_settled_by_repeating_it(
    store: MongoStore, opening: MakeOpening, there: int
) -> None:
    events = [opening(seq) for seq in range(1, 11)]
    if there:
        await store.append(events[:there])
    await store.append(events)
    await store.append(events)
    assert await store.events(6, 0) == events


async def test_a_number_that_another_server_took_ends_a_write_before_it(
    store: MongoStore, opening: MakeOpening
) -> None:
    await store.append([opening(4, operation_id="another server's")])
    with pytest.raises(NumberTaken, match="event 4 of session 6"):
        await store.append([opening(seq) for seq in range(1, 7)])
    assert await stored(store) == [1, 2, 3, 4]


async def test_events_of_many_sessions_that_come_together_are_written_together(
    store: MongoStore, opening: MakeOpening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one of them that cannot be written holds up no other."""
    await store.append([opening(1, session_id=9, operation_id="another server's")])
    inserts: list[int] = []
    insert = MongoStore._insert

    async def counted(self: MongoStore, events: list[TradeEvent]) -> int:
        inserts.append(len(events))
        return await insert(self, events)

    monkeypatch.setattr(MongoStore, "_insert", counted)
    asked = [
        store.append([opening(1, session_id=id_), opening(2, session_id=id_)])
        for id_ in range(1, 31)
    ]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [n for n, answer in enumerate(answers, 1) if answer is not None] == [9]
    assert isinstance(answers[8], NumberTaken)
    assert len(inserts) < 8, inserts
    for id_ in range(1, 31):
        assert await stored(store, id_) == ([1] if id_ == 9 else [1, 2])


async def test_copies_wait_until_the_events_are_stored(
    store: MongoStore, opening: MakeOpening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "_COPY_WAITS_S", 30.0)
    done: list[str] = []

    async def write(session_id: int) -> None:
        event = opening(1, session_id=session_id)
        await store.append([event])
        done.append("event")
        await store.save_copy(event.trade, event.seq)
        done.append("copy")

    await asyncio.gather(*map(write, range(1, 121)))
    assert done == ["event"] * 120 + ["copy"] * 120


async def test_a_copy_waits_only_so_long_for_events_that_never_end(
    store: MongoStore, opening: MakeOpening
) -> None:
    event = opening(1)
    with store.lanes.events():
        await asyncio.wait_for(store.save_copy(event.trade, event.seq), 10)
    assert await store.trade(event.trade.trade_id) == event.trade


async def test_a_caller_that_gives_up_before_its_turn_has_written_nothing(
    store: MongoStore, opening: MakeOpening
) -> None:
    first = asyncio.create_task(store.append([opening(1)]))
    second = asyncio.create_task(store.append([opening(1, session_id=7)]))
    await asyncio.sleep(0)
    third = asyncio.create_task(store.append([opening(1, session_id=8)]))
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.gather(first, second)
    await store.append([opening(1, session_id=9)])
    assert [await stored(store, id_) for id_ in (6, 7, 8, 9)] == [[1], [1], [], [1]]


async def until_answered(call: Callable[[], Awaitable[T]]) -> T:
    """What a call returns once the store is back."""
    while True:
        try:
            return await call()
        except VyomoError:
            await asyncio.sleep(0.05)


async def append_in_parts(store: MongoStore, events: list[TradeEvent]) -> None:
    """As a session writes them."""
    for start in range(0, len(events), TOGETHER):
        await store.append(events[start : start + TOGETHER])


async def test_a_batch_cut_by_kill_9_is_a_prefix_and_repeating_it_completes_it(
    tmp_path: Path, opening: MakeOpening
) -> None:
    server = EmbeddedServer(tmp_path)
    store = MongoStore(connect(await server.start()), "vyomo")
    lengths: list[int] = []
    try:
        await store.prepare()
        began = time.monotonic()
        await append_in_parts(store, [opening(seq, session_id=5) for seq in range(1, 451)])
        whole_s = time.monotonic() - began
        for session_id in range(6, 18):
            events = [opening(seq, session_id=session_id) for seq in range(1, 451)]
            writing = asyncio.create_task(append_in_parts(store, events))
            await asyncio.sleep(whole_s * (session_id % 4 + 1) / 6)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            with suppress(VyomoError):
                await writing
            there = await until_answered(partial(stored, store, session_id))
            assert there == [*range(1, len(there) + 1)]
            await until_answered(partial(append_in_parts, store, events))
            assert await stored(store, session_id) == [*range(1, 451)]
            lengths.append(len(there))
            if 0 < len(there) < 450:
                break
        assert 0 < lengths[-1] < 450, f"no kill came in the middle of a write: {lengths}"
    finally:
        await store.close()
        await server.stop()
