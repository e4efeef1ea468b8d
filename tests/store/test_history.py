"""Reads of old events: shared by many, and never before a write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.kit.waiting import PATIENCE_S
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.store.history import KEPT_EVENTS, History
from vyomo_rt.store.lanes import Lanes, Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from vyomo_rt.domain.event import Event

    MakeOpening = Callable[..., Event]


PAGE = 20
KEPT_PAGES = KEPT_EVENTS // PAGE


class Log:
    """A session's events, read when ``go`` is set."""

    def __init__(self, opening: MakeOpening, count: int) -> None:
        self.stored = [opening(seq) for seq in range(1, count + 1)]
        self.reads = 0
        self.fails = False
        self.go = asyncio.Event()
        self.go.set()

    async def read(self, _session_id: int, after: int, upto: int) -> list[Event]:
        self.reads += 1
        found = self.stored[after:upto]
        await self.go.wait()
        if self.fails:
            raise Unavailable("away")
        return found


async def everything(history: History, upto: int) -> list[int]:
    seqs: list[int] = []
    while len(seqs) < upto:
        page = await history.events(6, len(seqs), upto)
        assert page
        seqs += [event.seq for event in page]
    return seqs


async def test_each_page_is_read_once_for_all_who_read_at_one_time(opening: MakeOpening) -> None:
    log = Log(opening, count := 5 * PAGE + 7)
    history = History(log.read, page=PAGE)
    found = await asyncio.gather(*(everything(history, count) for _ in range(50)))
    assert found == [[*range(1, count + 1)]] * 50
    assert log.reads == 6


async def test_whole_pages_are_kept_for_a_while_and_not_without_end(opening: MakeOpening) -> None:
    log = Log(opening, count := (KEPT_PAGES + 2) * PAGE)
    history = History(log.read, page=PAGE)
    await everything(history, count)
    assert [event.seq for event in await history.events(6, count - 3, count)] == [
        *range(count - 2, count + 1)
    ]
    assert log.reads == KEPT_PAGES + 2
    await history.events(6, 0, PAGE)
    assert log.reads == KEPT_PAGES + 3


async def test_an_event_that_a_read_in_hand_missed_is_found(opening: MakeOpening) -> None:
    log = Log(opening, 10)
    history = History(log.read, page=PAGE)
    log.go.clear()
    early = asyncio.create_task(history.events(6, 0, 10))
    await asyncio.sleep(0)
    log.stored.append(opening(11))
    late = asyncio.create_task(history.events(6, 10, 11))
    await asyncio.sleep(0)
    log.go.set()
    assert len(await early) == 10
    assert [event.seq for event in await late] == [11]
    assert await history.events(6, 11, 12) == []


async def test_a_read_that_fails_fails_for_all_who_share_it_and_the_next_begins_anew(
    opening: MakeOpening,
) -> None:
    log = Log(opening, 10)
    history = History(log.read, page=PAGE)
    log.fails = True
    readers = [history.events(6, 0, 10) for _ in range(3)]
    outcomes = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    log.fails = False
    assert len(await history.events(6, 0, 10)) == 10
    assert log.reads == 2


async def test_a_reader_that_leaves_takes_nothing_from_the_others(opening: MakeOpening) -> None:
    log = Log(opening, 10)
    history = History(log.read, page=PAGE)
    log.go.clear()
    leaving = asyncio.create_task(history.events(6, 0, 10))
    staying = asyncio.create_task(history.events(6, 0, 10))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    log.go.set()
    assert len(await staying) == 10


async def test_a_history_is_not_read_while_somebody_writes() -> None:
    lanes = Lanes(Pace(reads=1, page=PAGE))
    order: list[str] = []

    async def read() -> None:
        async with lanes.history_read():
            order.append("read")

    with lanes.write():
        reading = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        order.append("written")
    await reading
    assert order == ["written", "read"]


async def test_a_history_is_read_in_the_end_although_writes_never_rest() -> None:
    lanes = Lanes(Pace(reads=1, page=PAGE))
    with lanes.write():
        async with asyncio.timeout(PATIENCE_S), lanes.history_read():
            pass


async def test_only_so_many_histories_are_read_at_one_time() -> None:
    lanes = Lanes(Pace(reads=2, page=PAGE))
    now = most = 0

    async def read() -> None:
        nonlocal now, most
        async with lanes.history_read():
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(read() for _ in range(20)))
    assert most == 2


async def test_only_so_many_single_reads_are_on_their_way() -> None:
    """The driver's threads are few, and some must be free for writes."""
    lanes = Lanes(Pace(reads=1, page=PAGE))
    now = most = 0

    async def read() -> None:
        nonlocal now, most
        async with lanes.read():
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    with lanes.write():
        await asyncio.gather(*(read() for _ in range(20)))
    assert most == 4
