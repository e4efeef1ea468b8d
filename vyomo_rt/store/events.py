"""The numbered events, which are the truth."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from copy import copy
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from pymongo import ASCENDING

from vyomo_rt.domain.errors import Moved, NumberTaken, OutcomeUnknown
from vyomo_rt.domain.event import Event, EventKind
from vyomo_rt.store import documents
from vyomo_rt.store.client import where
from vyomo_rt.store.database import (
    BATCH,
    NOT_CONFIRMED,
    Database,
    insert_in_order,
    reading,
    settling,
)
from vyomo_rt.store.lanes import MONGODB, Pace

if TYPE_CHECKING:
    from vyomo_rt.store.client import Client


TOGETHER = 50
"""Events in one insert: the embedded store answers for so many in time on a busy machine, too."""


class _Request(NamedTuple):
    """Events of one session that are to be written, and who waits for that."""

    events: Sequence[Event]
    done: asyncio.Future[None]

    def answer(self, error: Exception | None = None) -> None:
        """They are written, or that failed; the one who waits may have given up."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(copy(error))


class Events(Database):
    """The collection ``events``.

    What comes while an insert is on its way is written together with the next one: a price may
    concern a thousand sessions at once.
    """

    def __init__(self, client: Client, database: str, *, pace: Pace = MONGODB) -> None:
        super().__init__(client, database, pace=pace)
        self._requests: deque[_Request] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def append(self, events: Sequence[Event]) -> None:
        if self.terms is not None:
            self._require_own(events)
        request = _Request(events, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        await request.done

    def _require_own(self, events: Sequence[Event]) -> None:
        """Raise Moved if another node has taken one of their sessions over since they were made."""
        if any(event.term != self.term_of(event.session_id) for event in events):
            raise Moved

    async def _write_all(self) -> None:
        with self.lanes.events():
            while self._requests:
                if group := list(self._next_group()):
                    await self._write(group)

    def _next_group(self) -> Iterator[_Request]:
        """The requests that waited longest, without those that were given up meanwhile."""
        room = TOGETHER
        while self._requests:
            request = self._requests[0]
            size = len(request.events)
            if size > room and room < TOGETHER:
                return
            self._requests.popleft()
            if not request.done.done():
                room -= size
                yield request

    async def _write(self, group: list[_Request]) -> None:
        """Write the events of several sessions in one insert, up to the first that is taken."""
        try:
            with self.writing():
                there = await self._insert([event for request in group for event in request.events])
                for number, request in enumerate(group):
                    if there < len(request.events):
                        self._requests.extendleft(reversed(group[number + 1 :]))
                        del group[number + 1 :]
                        await self._write_on(list(request.events[there:]))
                    there -= len(request.events)
                    request.answer()
        except Exception as error:
            for request in group:
                request.answer(error)

    async def _write_on(self, left: list[Event]) -> None:
        """Write the rest of a session's events, the first of which is taken: by itself, maybe."""
        while left:
            del left[: await self._stored(left)]
            del left[: await self._insert(left)]

    async def _insert(self, events: Sequence[Event]) -> int:
        rows = [documents.from_event(event) for event in events]
        return await insert_in_order(self.database["events"], rows)

    async def _stored(self, events: Sequence[Event]) -> int:
        """How many of these events, from the first on, are stored; the first one must be.

        Raises NumberTaken and OutcomeUnknown.
        """
        ids = [documents.event_id(event.session_id, event.seq) for event in events]
        with settling():
            found = await self.database["events"].find(where(_id={"$in": ids})).to_list(len(ids))
        there = {row["_id"]: documents.to_event(row) for row in found}
        equal = (there.get(id_) == event for id_, event in zip(ids, events, strict=True))
        count = sum(1 for _ in takewhile(bool, equal))
        if not count:
            await self._require_stored(events[0])
        return max(1, count)

    async def _require_stored(self, event: Event) -> None:
        """A unique key of an event is taken: require that it is by this very event."""
        with settling():
            made = await self.database["events"].find_one(
                where(sessionId=event.session_id, opId=event.operation_id)
            )
            holder = await self.database["events"].find_one(
                where(_id=documents.event_id(event.session_id, event.seq))
            )
        if made is None and holder is None:
            raise OutcomeUnknown(NOT_CONFIRMED)
        # Another server may have carried out the same request: ours is only this very event.
        if made is None or documents.to_event(made) != event:
            self.met_another_writer.set()
            raise NumberTaken(
                f"event {event.seq} of session {event.session_id} was written by another server"
            )

    async def events(self, session_id: int, after: int, upto: int | None = None) -> list[Event]:
        seq = {"$gt": after} if upto is None else {"$gt": after, "$lte": upto}
        return await self._find(sessionId=session_id, seq=seq)

    async def events_of(
        self, session_id: int, after: int, upto: int, kinds: Collection[EventKind]
    ) -> list[Event]:
        among = {"$in": [kind.value for kind in kinds]}
        return await self._find(sessionId=session_id, seq={"$gt": after, "$lte": upto}, kind=among)

    async def _find(self, **wanted: Any) -> list[Event]:
        """The first of a session's events that are wanted, in order."""
        async with self.lanes.history_read():
            with reading():
                found = (
                    await self.database["events"]
                    .find(where(**wanted), batch_size=BATCH)
                    .sort("seq", ASCENDING)
                    .limit(BATCH)
                    .to_list(BATCH)
                )
        return [documents.to_event(document) for document in found]

    async def events_among(self, places: Sequence[tuple[int, int]]) -> list[Event]:
        """Those of these events that exist, by session and number, in no order."""
        found = await self.among(
            self.database["events"], [documents.event_id(*place) for place in places]
        )
        return [documents.to_event(document) for document in found]

    async def find_event(self, session_id: int, operation_id: str) -> Event | None:
        with reading():
            found = await self.database["events"].find_one(
                where(sessionId=session_id, opId=operation_id)
            )
        return None if found is None else documents.to_event(found)
