"""When notices begin, and on which of several nodes."""

from __future__ import annotations

import asyncio

from vyomo_rt.app.rooms import Rooms
from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.ending import end
from vyomo_rt.store.notices import SavedPlaces

_RETRY_S = 1.0


async def begin_notices(rooms: Rooms) -> None:
    """Begin to follow what the receiver has to be told. Raises Unavailable or OutcomeUnknown."""
    if rooms.notifier is None:
        await SavedPlaces(rooms.store).forget()
        return
    await rooms.notifier.begin()
    # Nothing is awaited in between: no event is missed.
    rooms.replica.followers.append(rooms.notifier)


class SharedNotices:
    """Of several nodes the owner of the prices tells of all sessions, and keeps how far it came."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._telling: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """This node tells from now on."""
        self._telling = asyncio.create_task(self._tell())

    async def end(self) -> None:
        """Another node does, or none."""
        if self._telling is not None:
            await end(self._telling)
            self._telling = None

    async def _tell(self) -> None:
        while True:
            try:
                await begin_notices(self._rooms)
                break
            except VyomoError:
                await asyncio.sleep(_RETRY_S)
        if (notifier := self._rooms.notifier) is None:
            return
        # Of sessions that others make, the first events may have been missed.
        joins = self._rooms.desk.sessions.joins
        joins.append(notifier.publish_state)
        try:
            await notifier.run()
        finally:
            joins.remove(notifier.publish_state)
            self._rooms.replica.followers.remove(notifier)
            await notifier.keep()
