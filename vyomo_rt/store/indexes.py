"""The indexes of a database, and which of them it is known to have."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from pymongo import ASCENDING, DESCENDING

from vyomo_rt.store.client import where

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase
    from pymongo.asynchronous.database import AsyncDatabase

    from vyomo_rt.store.documents import Document

    MongoDatabase = AsyncIOMotorDatabase[Document] | AsyncDatabase[Document]

KNOWN = "indexes"
"""The collection with the note of what was created here; it is worth nothing elsewhere."""

_UP, _DOWN = ASCENDING, DESCENDING
INDEXES: dict[str, list[tuple[list[tuple[str, int]], bool]]] = {
    "audit": [([("number", _DOWN)], False), ([("by", _UP), ("number", _DOWN)], False)],
    "bars": [([("symbol", _UP), ("hour", _UP)], False), ([("hour", _UP)], False)],
    "curves": [([("sessionId", _UP), ("hour", _UP)], False), ([("hour", _UP)], False)],
    "day_bars": [([("symbol", _UP), ("day", _UP)], False), ([("day", _UP)], False)],
    "news": [([("atMs", _UP)], False)],
    "events": [
        ([("sessionId", _UP), ("seq", _UP)], True),
        ([("sessionId", _UP), ("opId", _UP)], True),
    ],
    "sessions": [
        ([("opId", _UP)], True),
        ([("stopped", _UP)], False),
        ([("owner", _UP)], False),
    ],
    "trades": [
        ([("tradeId", _UP)], False),
        ([("status", _UP), ("tradeId", _UP)], False),
        ([("sessionId", _UP), ("tradeId", _DOWN)], False),
        ([("sessionId", _UP), ("status", _UP), ("tradeId", _DOWN)], False),
        ([("sessionId", _UP), ("symbol", _UP), ("tradeId", _DOWN)], False),
    ],
    "orders": [
        ([("orderId", _UP)], False),
        ([("status", _UP), ("orderId", _UP)], False),
        ([("sessionId", _UP), ("orderId", _DOWN)], False),
        ([("sessionId", _UP), ("status", _UP), ("orderId", _DOWN)], False),
    ],
}
"""Of each collection the keys, and whether they are unique."""

_NOTE_ID = "created"
_AT_ONCE = 3
"""The driver has few threads and connections: the lease must not wait for one."""


async def create_indexes(database: MongoDatabase) -> None:
    """Create those that do not exist yet. Raises PyMongoError.

    A start asks a store that may be far, and waits for each answer. Unique indexes keep promises,
    so it asks for them each time; for the others only until a note says that they exist.
    """
    notes = database[KNOWN]
    note = await notes.find_one(where(_id=_NOTE_ID))
    noted = frozenset(note["names"] if note else ())
    places = asyncio.Semaphore(_AT_ONCE)
    await asyncio.gather(*(_create(database, each, noted, places) for each in INDEXES))
    names = _names()
    if not noted.issuperset(names):
        document = {"_id": _NOTE_ID, "names": names}
        await notes.replace_one(where(_id=_NOTE_ID), document, upsert=True)


async def _create(
    database: MongoDatabase, collection: str, noted: Container[str], places: asyncio.Semaphore
) -> None:
    async with places:
        # One command each: FerretDB 1.24 drops the connection if one names two that exist.
        for keys, unique in INDEXES[collection]:
            if unique or _name(collection, keys) not in noted:
                await database[collection].create_index(keys, unique=unique)


def _names() -> list[str]:
    return [_name(each, keys) for each, indexes in INDEXES.items() for keys, _ in indexes]


def _name(collection: str, keys: Iterable[tuple[str, int]]) -> str:
    return ".".join((collection, *(f"{key}_{direction}" for key, direction in keys)))
