"""What a former owner of the database writes late."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledgers import Ledgers
from vyomo_rt.trading.loading import read_on
from vyomo_rt.trading.replica import Replica
from vyomo_rt.trading.sessions import Sessions

log = logging.getLogger(__name__)

_SOON_S, _LATER_S = 1.0, 15.0
_SOON_FOR_S = 60.0
"""How often to look for it, and for how long after the start."""
_LATE_SESSIONS = 100
"""Ids below the newest one whose sessions another server may still be making."""


class LateWrites:
    """Finds late writes: an event under the next number of its session, or a new session.

    The former owner may no longer write, but a write that was on its way may land at any
    time afterwards.
    """

    def __init__(
        self, journal: Journal, replica: Replica, ledgers: Ledgers, sessions: Sessions
    ) -> None:
        self._journal = journal
        self._replica = replica
        self._ledgers = ledgers
        self._sessions = sessions
        self._began = 0.0
        self._session_ids: set[int] = set()
        """Sessions whose id was given out and that do not exist."""

    async def expect_sessions(self, last_id: int) -> None:
        """The newest ids given out, up to ``last_id``, may still become sessions."""
        newest = range(max(1, last_id - _LATE_SESSIONS), last_id + 1)
        there = await self._journal.sessions_among(newest)
        self._session_ids = set(newest) - {session.session_id for session, _ in there}

    def expect(self) -> None:
        """This server has just become the owner of something: look often for a while."""
        self._began = asyncio.get_running_loop().time()

    async def watch(self) -> None:
        """Look for them, until cancelled."""
        self.expect()
        met_another = self._ledgers.met_another_writer
        while True:
            soon = asyncio.get_running_loop().time() - self._began < _SOON_FOR_S
            with suppress(TimeoutError):
                async with asyncio.timeout(_SOON_S if soon else _LATER_S):
                    await met_another.wait()
            met_another.clear()
            with suppress(Unavailable):
                await self.read()

    async def read(self) -> None:
        """Take over what has been written since the last look."""
        for session, _ in await self._journal.sessions_among(sorted(self._session_ids)):
            log.warning("session %d was not made by this server", session.session_id)
            await self._sessions.state(session.session_id)
            self._session_ids.discard(session.session_id)
        heads = {
            state.session.session_id: state.seq
            for state in self._replica.states()
            if state.session.status is not SessionStatus.STOPPED
            and self._sessions.decides(state.session.session_id)
        }
        async for events in read_on(self._journal, heads):
            for session_id in {event.session_id for event in events}:
                ledger = self._sessions.find_ledger(session_id)
                if ledger is None:
                    continue
                async with ledger.turns.turn():
                    if ledger.is_settled:
                        await ledger.read_on()
