"""The port through which a session's writes open the trades of its pending entries."""

from __future__ import annotations

from typing import Protocol

from vyomo_rt.domain.decisions import Moment
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Trade


class Fills(Protocol):
    """What opens the trades of pending entries."""

    async def get_ready(self, count: int) -> None:
        """Be ready to open so many, until something is awaited. Raises Unavailable."""

    def open_entry(self, state: SessionState, entry: PendingEntry, moment: Moment) -> Trade:
        """The trade that an entry becomes. Raises VyomoError if a rule forbids it."""
