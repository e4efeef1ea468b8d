"""Every session as its events made it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from typing import Protocol

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Trade

log = logging.getLogger(__name__)


class Follower(Protocol):
    """The port that hears how sessions change; the streams implement it."""

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        """A session's next events were stored; the state is the one after the last."""

    def publish_state(self, state: SessionState) -> None:
        """A session came into memory, or shows another date."""


class Replica:
    """Folds events into sessions, and tells its followers.

    It decides nothing and writes nothing, so any process that gets a session's events in order
    may keep one. The process that decides does so from its own replica, and applies an event
    once it is stored.
    """

    def __init__(self, today: date) -> None:
        self.today = today
        self.followers: list[Follower] = []
        self._states: dict[int, SessionState] = {}
        self._open: dict[int, int] = {}
        """The session of each open trade."""
        self._pending: dict[int, int] = {}
        """The session of each pending entry."""

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, session_id: int) -> bool:
        return session_id in self._states

    @property
    def open_count(self) -> int:
        """Open trades of all sessions."""
        return len(self._open)

    def states(self) -> list[SessionState]:
        """All sessions, oldest first."""
        return [self._states[session_id] for session_id in sorted(self._states)]

    def find(self, session_id: int) -> SessionState | None:
        """A session as it is now, or None if there is no such session."""
        return self._states.get(session_id)

    def state(self, session_id: int) -> SessionState:
        """A session as it is now. Raises NotFound."""
        if (state := self._states.get(session_id)) is None:
            raise NotFound.session(session_id)
        return state

    def find_open(self, trade_id: int) -> Trade | None:
        """A trade, if it is open."""
        session_id = self._open.get(trade_id)
        return None if session_id is None else self._states[session_id].open_trades[trade_id]

    def find_pending(self, order_id: int) -> PendingEntry | None:
        """An order, if it is pending."""
        session_id = self._pending.get(order_id)
        return None if session_id is None else self._states[session_id].pending[order_id]

    def add(self, state: SessionState) -> None:
        """Begin with a session as of some event; later events are applied to it."""
        session_id = state.session.session_id
        self._states[session_id] = state
        self._open.update(dict.fromkeys(state.open_trades, session_id))
        self._pending.update(dict.fromkeys(state.pending, session_id))
        self._show(state)

    def remove(self, session_id: int) -> None:
        """Forget a session that has no open trades."""
        del self._states[session_id]

    def apply(self, events: Sequence[Event]) -> None:
        """Fold a session's next events, and tell the followers."""
        session_id = events[0].session_id
        state = self._states[session_id]
        for event in events:
            state = state.after(event)
            for record in event.records:
                sessions = self._open if isinstance(record, Trade) else self._pending
                if record.is_open:
                    sessions[record.record_id] = session_id
                else:
                    sessions.pop(record.record_id, None)
        self._states[session_id] = state
        for follower in self.followers:
            try:
                follower.publish_events(events, state)
            except Exception:
                # They are stored, so they have happened, even if announcing them failed.
                last = events[-1].seq
                log.exception("the events up to %d-%d could not be announced", session_id, last)

    def begin_day(self, session_id: int, day: date) -> None:
        """Show a session's figures for another date, and announce them, if it is in memory."""
        before = self._states.get(session_id)
        if before is None:
            return
        state = self._states[session_id] = before.on_day(day)
        if state is not before:
            self._show(state)

    def _show(self, state: SessionState) -> None:
        for follower in self.followers:
            follower.publish_state(state)
