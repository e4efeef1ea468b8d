"""Sessions' states from the journal: at a start, and later for sessions that rest there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import date
from itertools import islice
from typing import Any, TypeVar

from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.event import Event, Record
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.domain.trade import Trade
from vyomo_rt.trading.journal import Journal

T = TypeVar("T")

log = logging.getLogger(__name__)

_PLACES_A_READ = 500
_READS_AT_ONCE = 4
_FIRST_DEPTH, _LAST_DEPTH = 2, 256
_MANY_EVENTS = 100
"""So many events read at a start are worth a checkpoint: reading them takes longer."""
_TELL_EVERY_S = 2.0
_PATIENCE_S, _PAUSE_S = 30.0, 1.0


async def patiently(step: Callable[[], Awaitable[T]]) -> T:
    """What a step of the start finds; it is repeated while the store does not answer.

    Or while this server stood still, and does not know whether it may write. Raises Unavailable.
    """
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    while True:
        try:
            return await step()
        except Unavailable as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("the sessions could not be read; trying again: %s", error)
            await asyncio.sleep(_PAUSE_S)


async def load_states(journal: Journal, today: date) -> list[SessionState]:
    """All sessions except those that rest; also brings the readable copies up to date.

    What is open as of a checkpoint is taken from the readable copies. These may be newer, which
    does no harm: the events after the checkpoint say the same again.
    """
    sessions = await journal.load_sessions()
    at_checkpoint = {session.session_id for session, figures in sessions if figures is not None}
    copies: dict[int, list[Record]] = defaultdict(list)
    if at_checkpoint:
        for records in (journal.open_trades(), journal.pending_entries()):
            async for record in records:
                if record.session_id in at_checkpoint:
                    copies[record.session_id].append(record)
    return await _brought_up_to_date(journal, sessions, today, copies)


async def load_resting(
    journal: Journal, session_ids: Sequence[int], today: date
) -> list[SessionState]:
    """Those of these sessions that exist. They have no open trades at their checkpoints."""
    sessions = await journal.sessions_among(session_ids) if session_ids else []
    return await _brought_up_to_date(journal, sessions, today, {})


async def _brought_up_to_date(
    journal: Journal,
    sessions: Iterable[tuple[Session, Figures | None]],
    today: date,
    copies: Mapping[int, Sequence[Record]],
) -> list[SessionState]:
    """Sessions after the events that followed their checkpoints, with what was open at those."""
    states = {
        session.session_id: state_of(
            session, figures or Figures(), today, copies.get(session.session_id, ())
        )
        for session, figures in sessions
    }
    read = {session_id: state.seq for session_id, state in states.items()}
    newest: dict[int, Event] = {}
    told_at = time.monotonic()
    async for events in read_on(journal, read):
        for event in events:
            states[event.session_id] = states[event.session_id].after(event)
            if event.records:
                newest[event.session_id] = event
        if time.monotonic() - told_at > _TELL_EVERY_S:
            told_at = time.monotonic()
            log.info("the events of %d sessions are being read", len(states))
    await _repair_copies(journal, newest, read)
    await _keep_checkpoints(journal, states.values(), read)
    return list(states.values())


async def read_on(journal: Journal, heads: Mapping[int, int]) -> AsyncGenerator[list[Event], None]:
    """The events after the known numbers, by session, in batches, each in order.

    They are asked for by their places, so sessions without new events cost little; of the
    others, ever more events are read at once.
    """
    pending = dict(heads)
    depth = _FIRST_DEPTH
    while pending:
        further: dict[int, int] = {}
        groups = list(chunks(pending.items(), _PLACES_A_READ // depth))
        reads = (journal.events_among(_places(group, depth)) for group in groups)
        found = _in_flight(reads, _READS_AT_ONCE)
        async with aclosing(found):
            for group in groups:
                at = {(e.session_id, e.seq): e for e in await anext(found)}
                events: list[Event] = []
                for session_id, seq in group:
                    last = seq
                    while (event := at.get((session_id, last + 1))) is not None:
                        events.append(event)
                        last += 1
                    if last == seq + depth:
                        further[session_id] = last
                if events:
                    yield events
        pending, depth = further, min(depth * 4, _LAST_DEPTH)


def _places(heads: Iterable[tuple[int, int]], depth: int) -> list[tuple[int, int]]:
    return [(id_, seq + n) for id_, seq in heads for n in range(1, depth + 1)]


async def _in_flight(
    reads: Iterable[Coroutine[Any, Any, T]], count: int
) -> AsyncGenerator[T, None]:
    """The results of the reads, in order, while the next ``count`` are on their way."""
    window: deque[asyncio.Task[T]] = deque()
    try:
        for read in reads:
            window.append(asyncio.create_task(read))
            if len(window) > count:
                yield await window.popleft()
        while window:
            yield await window.popleft()
    finally:
        for task in window:
            task.cancel()


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, so many at a time."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


async def _repair_copies(
    journal: Journal, newest: Mapping[int, Event], read: Mapping[int, int]
) -> None:
    """Write the readable copies that a crash prevented.

    Copies are written in the order of their events, so the newest one vouches for the earlier.
    """
    last = {session_id: event.records[-1] for session_id, event in newest.items()}
    seqs = await copied_upto(journal, last.values())
    for session_id, record in last.items():
        if seqs.get((type(record), record.record_id), 0) < newest[session_id].seq:
            await _write_copies(journal, session_id, read[session_id])


async def copied_upto(
    journal: Journal, records: Collection[Record]
) -> dict[tuple[type[Record], int], int]:
    """The numbers of the events as of which some records have readable copies."""
    seqs: dict[tuple[type[Record], int], int] = {}
    for kind in (Trade, PendingEntry):
        ids = [record.record_id for record in records if isinstance(record, kind)]
        reads = (journal.projected_seqs(kind, some) for some in chunks(ids, _PLACES_A_READ))
        async for found in _in_flight(reads, _READS_AT_ONCE):
            seqs |= {(kind, id_): seq for id_, seq in found.items()}
    return seqs


async def _write_copies(journal: Journal, session_id: int, after: int) -> None:
    while events := await journal.events(session_id, after):
        for event in events:
            for record in event.records:
                await journal.save_copy(record, event.seq)
        after = events[-1].seq


async def _keep_checkpoints(
    journal: Journal, states: Iterable[SessionState], read: Mapping[int, int]
) -> None:
    """Otherwise every start would read the same events again."""
    for state in states:
        if state.seq - read[state.session.session_id] >= _MANY_EVENTS:
            await journal.save_checkpoint(state.session, state.figures)
