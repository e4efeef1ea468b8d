"""Readable copies of trades and pending entries: what the events say, a document for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.event import Record
from vyomo_rt.store import documents
from vyomo_rt.store.client import where
from vyomo_rt.store.database import BATCH, Database, reading, settling
from vyomo_rt.store.documents import COPIES, Document

_TRIES = 20
"""More than there are writers of one copy: its session's, and late ones of former owners."""


class Copies(Database):
    """The collections of readable copies."""

    async def save_copy(self, record: Record, seq: int) -> None:
        async with self.lanes.copy():
            await self._save(record, seq)

    async def _save(self, record: Record, seq: int) -> None:
        copy = documents.from_copy(record, seq)
        collection, _ = COPIES[type(record)]
        this = where(_id=copy["_id"])
        for _ in range(_TRIES):
            with self.writing():
                try:
                    await self.database[collection].replace_one(
                        this | where(seq={"$lt": seq}), copy, upsert=True
                    )
                except DuplicateKeyError:
                    # Either the copy there is as new or newer, so that the filter misses it and
                    # the insert of the upsert meets its _id; or another one came in between.
                    with settling():
                        there = await self.database[collection].find_one(this)
                else:
                    return
            if there is not None and there["seq"] >= seq:
                return
        raise Unavailable(f"the copy {copy['_id']} of {collection} is written by too many at once")

    async def projected_seqs(self, kind: type[Record], ids: Sequence[int]) -> dict[int, int]:
        collection, _ = COPIES[kind]
        found = await self.among(self.database[collection], ids, {"seq": 1})
        return {document["_id"]: document["seq"] for document in found}

    async def highest_id(self, kind: type[Record]) -> int:
        collection, key = COPIES[kind]
        with reading():
            found = (
                await self.database[collection]
                .find({}, {key: 1})
                .sort(key, DESCENDING)
                .limit(1)
                .to_list(1)
            )
        return int(found[0][key]) if found else 0

    async def with_status(self, collection: str, key: str, status: str) -> AsyncIterator[Document]:
        """All copies of a status, by id."""
        after_id = 0
        while True:
            with reading():
                page = (
                    await self.database[collection]
                    .find(where(status=status, **{key: {"$gt": after_id}}), batch_size=BATCH)
                    .sort(key, ASCENDING)
                    .limit(BATCH)
                    .to_list(BATCH)
                )
            for document in page:
                yield document
            if len(page) < BATCH:
                return
            after_id = page[-1][key]
