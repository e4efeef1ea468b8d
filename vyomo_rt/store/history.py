"""Old events for many readers at once: each page is read once for everybody who wants it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vyomo_rt.domain.event import Event

    Read = Callable[[int, int, int], Awaitable[Sequence[Event]]]
    Page = tuple[int, int]
    """A session, and how many pages are before this one."""

KEPT_EVENTS = 3200
"""In whole pages, for readers that do not keep step with the first: a few MB."""


class History:
    """The stored events of all sessions, a page at a time.

    After a restart all dashboards read the same events. They share the reads in progress and
    the last few full pages, which never change.
    """

    def __init__(self, read: Read, *, page: int) -> None:
        """``page`` is how many events are read at once."""
        self._read = read
        self._size = page
        self._reading: dict[Page, asyncio.Task[Sequence[Event]]] = {}
        self._kept: OrderedDict[Page, Sequence[Event]] = OrderedDict()

    async def events(self, session_id: int, after: int, upto: int) -> Sequence[Event]:
        """Some of the events with ``after < seq <= upto``, from the first on. Raises Unavailable.

        It returns none only if the first one is not stored.
        """
        page = (session_id, after // self._size)
        while True:
            is_older = page in self._reading
            events = self._kept.get(page)
            if events is None:
                events = await asyncio.shield(self._shared(page))
            found = [event for event in events if after < event.seq <= upto]
            # A read that began before may have missed the newest.
            if found or not is_older:
                return found

    def _shared(self, page: Page) -> asyncio.Task[Sequence[Event]]:
        task = self._reading.get(page)
        if task is None:
            session_id, number = page
            reading = self._read_page(page, session_id, number * self._size)
            task = self._reading[page] = asyncio.create_task(reading)
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _read_page(self, page: Page, session_id: int, after: int) -> Sequence[Event]:
        try:
            events = await self._read(session_id, after, after + self._size)
        finally:
            del self._reading[page]
        if len(events) == self._size:
            self._kept[page] = events
            if len(self._kept) * self._size > KEPT_EVENTS:
                self._kept.popitem(last=False)
        return events
