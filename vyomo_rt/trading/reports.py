"""Reports of sessions, from their events; what was read of these is kept for the next report."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from vyomo_rt.domain.closings import KINDS, Closings
from vyomo_rt.domain.report import Report, ReportOrder
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.sessions import Sessions

_EVENTS_A_READ = 200
"""Numbers of events: a write may have to wait for their read."""
_SLICE = 2000
"""Closings that are added up in one step: two milliseconds."""
KEPT_CLOSINGS = 500_000
"""Of all sessions together, 22 MB; those of the newest report are kept even if they are more."""


@dataclass(slots=True)
class _Read:
    """What was read of a session; whoever has the turn may read on, and add it up."""

    closings: Closings = field(default_factory=Closings)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Reports:
    """Makes reports, beside everything else that goes on."""

    def __init__(self, journal: Journal, sessions: Sessions) -> None:
        self._journal = journal
        self._sessions = sessions
        self._read: OrderedDict[int, _Read] = OrderedDict()
        """By session, the newest report's last."""
        self._adding = asyncio.Lock()
        """One report is added up at a time, so that a turn of the loop has one slice."""

    async def report(self, session_id: int, order: ReportOrder) -> Report:
        """A report up to the session's newest event. Raises NotFound or Unavailable."""
        newest = (await self._sessions.state(session_id)).seq
        read = self._read.setdefault(session_id, _Read())
        self._read.move_to_end(session_id)
        async with read.turn:
            await self._read_on(session_id, read.closings, newest)
            self._forget()
            async with self._adding:
                return await _added_up(order, read.closings)

    async def _read_on(self, session_id: int, closings: Closings, newest: int) -> None:
        while closings.seq < newest:
            after, upto = closings.seq, min(closings.seq + _EVENTS_A_READ, newest)
            for event in await self._journal.events_of(session_id, after, upto, KINDS):
                closings.add(event)
            closings.seq = upto

    def _forget(self) -> None:
        """Forget the closings that were not asked for longest, if there are too many."""
        count = sum(len(read.closings) for read in self._read.values())
        newest = next(reversed(self._read))
        for session_id, read in list(self._read.items()):
            if count <= KEPT_CLOSINGS:
                return
            if session_id != newest and not read.turn.locked():
                count -= len(read.closings)
                del self._read[session_id]


async def _added_up(order: ReportOrder, closings: Closings) -> Report:
    report = Report(order, closings)
    for start in range(0, len(closings), _SLICE):
        await asyncio.sleep(0)
        report.add(start, min(start + _SLICE, len(closings)))
    return report
