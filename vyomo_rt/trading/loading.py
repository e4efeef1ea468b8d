"""What the journal holds, as states: at a start, and whenever another server may have written."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import TypeVar

from vyomo_rt.domain.event import Event, TradeEvent
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.domain.trade import Trade
from vyomo_rt.trading.journal import Journal

T = TypeVar("T")

log = logging.getLogger(__name__)

_PLACES_A_READ = 500
_READS_AT_ONCE = 4
_FIRST_DEPTH, _LAST_DEPTH = 2, 256
_MANY_EVENTS = 100
"""Read at a start, so many are worth a checkpoint: they take longer to read than it to write."""
_TELL_EVERY_S = 2.0


async def load_states(journal: Journal, today: date) -> list[SessionState]:
    """All sessions: their checkpoints, the events after those, and copies brought up to date.

    Open trades as of a checkpoint are taken from the readable copies. Those may be newer, which
    does no harm: the events after the checkpoint say the same once more.
    """
    sessions = await journal.load_sessions()
    at_checkpoint = {session.session_id for session, figures in sessions if figures is not None}
    copies: dict[int, list[Trade]] = defaultdict(list)
    if at_checkpoint:
        async for trade in journal.open_trades():
            if trade.session_id in at_checkpoint:
                copies[trade.session_id].append(trade)
    states = {
        session.session_id: state_of(
            session, figures or Figures(), today, copies[session.session_id]
        )
        for session, figures in sessions
    }
    read = {session_id: state.seq for session_id, state in states.items()}
    told_at = time.monotonic()
    async for events in read_on(journal, read):
        await _repair_copies(journal, events)
        for event in events:
            states[event.session_id] = states[event.session_id].after(event)
        if time.monotonic() - told_at > _TELL_EVERY_S:
            told_at = time.monotonic()
            log.info("the events of %d sessions are being read", len(states))
    await _keep_checkpoints(journal, states.values(), read)
    return list(states.values())


async def read_on(journal: Journal, heads: Mapping[int, int]) -> AsyncIterator[list[Event]]:
    """The events after the numbers that are known, by session, in batches and each in order.

    They are asked for by their places, which costs the same however many sessions have
    nothing new: of those that have, ever more at once.
    """
    pending = dict(heads)
    depth = _FIRST_DEPTH
    while pending:
        places = ((id_, seq + n) for id_, seq in pending.items() for n in range(1, depth + 1))
        found: dict[tuple[int, int], Event] = {}
        for batch in _chunks(_chunks(places, _PLACES_A_READ), _READS_AT_ONCE):
            for some in await asyncio.gather(*map(journal.events_among, batch)):
                found |= {(event.session_id, event.seq): event for event in some}
        events: list[Event] = []
        further: dict[int, int] = {}
        for session_id, seq in pending.items():
            last = seq
            while (event := found.get((session_id, last + 1))) is not None:
                events.append(event)
                last += 1
            if last == seq + depth:
                further[session_id] = last
        if events:
            yield events
        pending, depth = further, min(depth * 4, _LAST_DEPTH)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


async def _repair_copies(journal: Journal, events: Sequence[Event]) -> None:
    """A crash may fall between an event and the readable copy of its trade."""
    newest = {event.trade.trade_id: event for event in events if isinstance(event, TradeEvent)}
    for batch in _chunks(_chunks(newest, _PLACES_A_READ), _READS_AT_ONCE):
        for ids, seqs in zip(
            batch, await asyncio.gather(*map(journal.projected_seqs, batch)), strict=True
        ):
            for event in (newest[trade_id] for trade_id in ids):
                if seqs.get(event.trade.trade_id, 0) < event.seq:
                    await journal.save_trade(event.trade, event.seq)


async def _keep_checkpoints(
    journal: Journal, states: Iterable[SessionState], read: Mapping[int, int]
) -> None:
    """Or every start would read the same events again, of each session there ever was."""
    for state in states:
        if state.seq - read[state.session.session_id] >= _MANY_EVENTS:
            await journal.save_checkpoint(state.session, state.figures)
