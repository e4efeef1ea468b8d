"""The readable copies that a session's events still owe."""

from __future__ import annotations

from typing import TypeVar

from vyomo_rt.domain.event import Event, Record
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.trade import Trade
from vyomo_rt.trading.journal import Journal

R = TypeVar("R", Trade, PendingEntry)


class Copying:
    """Writes copies after their events were announced, each record's newest only.

    The order is that of the events, so that the newest copy vouches for all the others.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._owed: dict[tuple[type[Record], int], tuple[Record, int]] = {}

    @property
    def behind(self) -> int:
        """How many copies are still to be written."""
        return len(self._owed)

    def add(self, event: Event) -> None:
        """An event was stored."""
        for record in event.records:
            self.owe(record, event.seq)

    def owe(self, record: Record, seq: int) -> None:
        """A record's copy as of an event may not be written yet."""
        key = type(record), record.record_id
        self._owed.pop(key, None)
        self._owed[key] = record, seq

    def find(self, kind: type[R], id_: int) -> R | None:
        """A record whose newest copy is still to be written."""
        record, _ = self._owed.get((kind, id_), (None, 0))
        return record if isinstance(record, kind) else None

    async def flush(self, at_most: int | None = None) -> None:
        """Bring the copies up to date, or some of them. Raises Unavailable."""
        for key, owed in list(self._owed.items())[:at_most]:
            await self._journal.save_copy(*owed)
            if self._owed.get(key) is owed:
                del self._owed[key]
