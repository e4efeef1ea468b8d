"""How far the receiver was told of each session, kept over restarts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol


class KeptPlaces(Protocol):
    """What notices need of a store; ``vyomo_rt.store`` has the implementation."""

    async def load(self) -> tuple[dict[int, int], int] | None:
        """The places, and the highest session so far; None if notices were off.

        Raises Unavailable.
        """

    async def save(self, places: Mapping[int, int], changed: Collection[int], upto: int) -> None:
        """Keep the places of changed sessions, or forget those that have none any more.

        ``upto`` is the highest session so far. Raises Unavailable or OutcomeUnknown.
        """


class Places:
    """The number of the last event of each session that needs no more telling.

    They are saved in batches: after a crash what was told since the last save is told again.
    """

    def __init__(self, kept: KeptPlaces) -> None:
        self._kept = kept
        self._places: dict[int, int] = {}
        self._changed: set[int] = set()
        self.upto = 0
        """The highest session that had one."""

    def __contains__(self, session_id: int) -> bool:
        return session_id in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __getitem__(self, session_id: int) -> int:
        return self._places[session_id]

    async def begin(self) -> int | None:
        """Go on with what was kept: of sessions above the returned one nothing was.

        None if notices were off. Raises Unavailable.
        """
        saved = await self._kept.load()
        if saved is None:
            return None
        places, self.upto = saved
        self._places = dict(places)
        return self.upto

    async def begin_with(self, places: dict[int, int], upto: int) -> None:
        """Begin anew, up to a session. Raises Unavailable or OutcomeUnknown."""
        await self._kept.save(places, places, upto)
        self._places, self.upto = places, upto

    def set(self, session_id: int, seq: int) -> None:
        """All events up to this one were told."""
        self._places[session_id] = seq
        self._changed.add(session_id)
        self.upto = max(self.upto, session_id)

    def forget(self, session_id: int) -> None:
        """A session has ended, and all of it was told."""
        if self._places.pop(session_id, None) is not None:
            self._changed.add(session_id)

    async def save(self) -> None:
        """Keep what has changed. Raises Unavailable or OutcomeUnknown, and then tries it again."""
        if not self._changed:
            return
        changed, self._changed = self._changed, set()
        try:
            await self._kept.save(self._places, changed, self.upto)
        except BaseException:
            self._changed |= changed
            raise
