"""The numbered events, which are the truth."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import ASCENDING

from vyomo_rt.domain.errors import NumberTaken, OutcomeUnknown
from vyomo_rt.domain.event import Event
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


class Events(Database):
    """The collection ``events``."""

    async def append(self, events: Sequence[Event]) -> None:
        with self.writing():
            left = list(events)
            while left:
                there = await insert_in_order(
                    self.database["events"], [documents.from_event(event) for event in left]
                )
                del left[:there]
                if left:
                    await self._require_stored(left.pop(0))

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
        async with self.lanes.history_read():
            with reading():
                found = (
                    await self.database["events"]
                    .find(where(sessionId=session_id, seq=seq), batch_size=BATCH)
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
