"""Sessions' P&L over time in MongoDB: a document of each session for an hour of a server's run.

The rows of a document are one text: for the embedded server that is a tenth of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import json
from pymongo import WriteConcern

from vyomo_rt.domain.curve import CurveRow
from vyomo_rt.store.client import where
from vyomo_rt.store.database import reading

if TYPE_CHECKING:
    from vyomo_rt.store.client import Collection
    from vyomo_rt.store.database import Database


class SavedCurves:
    """The collection ``curves``.

    A document carries the term of its writer in its name: no server overwrites what another
    has kept of the same hour.
    """

    def __init__(self, store: Database) -> None:
        self._store = store
        # A minute that is lost with the power is a gap, and not worth a flush of the disk.
        self._documents: Collection = store.database.get_collection(
            "curves", write_concern=WriteConcern("majority", j=False)
        )

    async def save(self, session_id: int, hour: int, rows: Sequence[CurveRow]) -> None:
        """Keep the rows of an hour; it waits until no trade is written."""
        term = self._store.term
        document = {
            "_id": f"{session_id}-{hour}-{term}",
            "sessionId": session_id,
            "hour": hour,
            "term": term,
            "rows": json.encode(rows).decode(),
        }
        async with self._store.lanes.history_read():
            with self._store.writing():
                await self._documents.replace_one(where(_id=document["_id"]), document, upsert=True)

    async def load(self, session_id: int, first_hour: int, last_hour: int) -> list[CurveRow]:
        hours = {"$gte": first_hour, "$lte": last_hour}
        async with self._store.lanes.history_read():
            with reading():
                found = await self._documents.find(where(sessionId=session_id, hour=hours)).to_list(
                    None
                )
        found.sort(key=lambda document: document["term"])
        rows = {row.minute: row for document in found for row in _rows(document["rows"])}
        return [rows[minute] for minute in sorted(rows)]

    async def expire(self, before_hour: int) -> bool:
        """Remove some rows of earlier hours; whether there were any."""
        async with self._store.lanes.history_read():
            return await self._store.remove_some(self._documents, where(hour={"$lt": before_hour}))


_rows = json.Decoder(list[CurveRow]).decode
