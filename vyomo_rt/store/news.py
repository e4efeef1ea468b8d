"""Matter nodes tell each other about rights, for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vyomo_rt.domain.news import Item, Matter
from vyomo_rt.store.client import where
from vyomo_rt.store.database import reading

if TYPE_CHECKING:
    from vyomo_rt.store.client import Collection
    from vyomo_rt.store.database import Database

_KEPT_MS = 3_600_000


class SavedNews:
    """The collection ``news``; fulfils ``vyomo_rt.access.news.NewsBoard``."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._news: Collection = store.database["news"]
        self._tidied_ms = 0

    async def put_up(self, item: Item) -> None:
        document = {"_id": item.id, "what": item.what.value, "value": item.value}
        with self._store.writing():
            await self._news.insert_one({**document, "atMs": item.at_ms})
        if item.at_ms - self._tidied_ms > _KEPT_MS:
            self._tidied_ms = item.at_ms
            with self._store.writing():
                await self._news.delete_many(where(atMs={"$lt": item.at_ms - _KEPT_MS}))

    async def newer_than(self, at_ms: int) -> list[Item]:
        with reading():
            found = await self._news.find(where(atMs={"$gt": at_ms})).to_list(None)
        return [
            Item(each["_id"], Matter(each["what"]), each["value"], each["atMs"]) for each in found
        ]
