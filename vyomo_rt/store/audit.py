"""The audit in MongoDB: numbered entries, of which the oldest are removed in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import BulkWriteError

from vyomo_rt.domain.audit import AuditEntry, What
from vyomo_rt.domain.moment import WallMs
from vyomo_rt.store.client import where
from vyomo_rt.store.database import reading
from vyomo_rt.store.documents import Document

if TYPE_CHECKING:
    from vyomo_rt.store.client import Collection
    from vyomo_rt.store.database import Database

_TRIMMED_AT_ONCE = 500
_DUPLICATE_KEY = 11000


class SavedAudit:
    """Keeps the last ``most`` entries, and up to a batch more."""

    def __init__(self, store: Database, most: int) -> None:
        self._store = store
        self._documents: Collection = store.database["audit"]
        self._most = most
        self._next: int | None = None
        self._first = 0

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Keep entries, after all others. Raises Unavailable or OutcomeUnknown.

        The same entries again get the same numbers, so none is kept twice. It waits until no
        trade is written.
        """
        if self._next is None:
            self._next = await self._end(DESCENDING) + 1
            self._first = await self._end(ASCENDING) or self._next
        numbered = [_document(number, each) for number, each in enumerate(entries, self._next)]
        async with self._store.lanes.history_read():
            with self._store.writing():
                try:
                    await self._documents.insert_many(numbered, ordered=False)
                except BulkWriteError as error:
                    faults = (error.details or {}).get("writeErrors", ())
                    if any(fault["code"] != _DUPLICATE_KEY for fault in faults):
                        raise
        self._next += len(numbered)
        await self._trim(self._next - self._most)

    async def newest(self, limit: int, *, since_ms: int, by: str | None) -> list[AuditEntry]:
        """The newest entries first. Raises Unavailable."""
        wanted: Document = {"at": {"$gte": since_ms}}
        if by is not None:
            wanted["by"] = by
        async with self._store.lanes.history_read():
            with reading():
                found = self._documents.find(wanted).sort("number", DESCENDING).limit(limit)
                return [_entry(document) for document in await found.to_list(limit)]

    async def _end(self, direction: int) -> int:
        with reading():
            found = await self._documents.find({}).sort("number", direction).limit(1).to_list(1)
        return int(found[0]["number"]) if found else 0

    async def _trim(self, upto: int) -> None:
        """Remove entries below a number, once there is a batch of them."""
        while upto - self._first >= _TRIMMED_AT_ONCE:
            below = self._first + _TRIMMED_AT_ONCE
            async with self._store.lanes.history_read():
                with self._store.writing():
                    await self._documents.delete_many(where(number={"$lt": below}))
            self._first = below


def _document(number: int, entry: AuditEntry) -> Document:
    return {
        "_id": f"entry-{number}",
        "number": number,
        "at": entry.at_ms,
        "by": entry.by,
        "what": entry.what.value,
        "address": entry.address,
        "detail": entry.detail,
    }


def _entry(document: Document) -> AuditEntry:
    return AuditEntry(
        at_ms=WallMs(document["at"]),
        by=document["by"],
        what=What(document["what"]),
        address=document["address"],
        detail=document["detail"],
    )
