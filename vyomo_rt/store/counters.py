"""Counters, from which numbers are drawn that are never given out twice."""

from __future__ import annotations

from pymongo import ReturnDocument

from vyomo_rt.domain.errors import OutcomeUnknown
from vyomo_rt.store.client import where
from vyomo_rt.store.database import NOT_CONFIRMED, Database, reading


class Counters(Database):
    """The collection ``counters``."""

    async def reserve_ids(self, counter: str, count: int) -> int:
        with self.writing():
            document = await self.database["counters"].find_one_and_update(
                where(_id=counter),
                {"$inc": {"value": count}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
            if document is None:
                raise OutcomeUnknown(NOT_CONFIRMED)
        return int(document["value"]) - count + 1

    async def counter(self, counter: str) -> int:
        """The last number of a counter that was given out."""
        with reading():
            document = await self.database["counters"].find_one(where(_id=counter))
        return 0 if document is None else int(document["value"])

    async def raise_counter(self, counter: str, at_least: int) -> None:
        with self.writing():
            await self.database["counters"].update_one(
                where(_id=counter), {"$max": {"value": at_least}}, upsert=True
            )
