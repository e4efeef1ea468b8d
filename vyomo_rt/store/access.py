"""Tickets, sign-ins and revocations, for the next start."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from vyomo_rt.domain.entry import Entry, Revocation, RevokedBy
from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.domain.moment import WallMs, to_datetime, to_ms
from vyomo_rt.store.client import where
from vyomo_rt.store.database import BATCH, reading
from vyomo_rt.store.documents import Document

if TYPE_CHECKING:
    from vyomo_rt.store.client import Collection as Documents
    from vyomo_rt.store.database import Database


class SavedAccess:
    """The collections ``entries`` and ``revocations``; fulfils ``vyomo_rt.access.shelf.Shelf``."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._entries: Documents = store.database["entries"]
        self._revocations: Documents = store.database["revocations"]

    async def load_entries(self) -> list[Entry]:
        with reading():
            return [_to_entry(document) async for document in self._entries.find({})]

    async def save_entry(self, entry: Entry) -> None:
        await self._replace(self._entries, _from_entry(entry))

    async def mark_used(self, hashes: Collection[str]) -> None:
        for some in _parts(hashes):
            with self._store.writing():
                await self._entries.update_many(where(_id={"$in": some}), {"$set": {"used": True}})

    async def remove_entries(self, hashes: Collection[str]) -> None:
        for some in _parts(hashes):
            with self._store.writing():
                await self._entries.delete_many(where(_id={"$in": some}))

    async def find_entry(self, hash_: str) -> Entry | None:
        with reading():
            found = await self._entries.find_one(where(_id=hash_))
        return None if found is None else _to_entry(found)

    async def claim_entry(self, hash_: str) -> bool:
        with self._store.writing():
            result = await self._entries.delete_one(where(_id=hash_))
        return bool(result.deleted_count)

    async def load_revocations(self) -> list[Revocation]:
        with reading():
            return [_to_revocation(document) async for document in self._revocations.find({})]

    async def save_revocation(self, revocation: Revocation) -> None:
        await self._replace(self._revocations, _from_revocation(revocation))

    async def remove_revocations(self, before_ms: int) -> None:
        with self._store.writing():
            await self._revocations.delete_many(where(until={"$lte": to_datetime(before_ms)}))

    async def _replace(self, collection: Documents, document: Document) -> None:
        with self._store.writing():
            await collection.replace_one(where(_id=document["_id"]), document, upsert=True)


def _parts(hashes: Collection[str]) -> list[list[str]]:
    every = list(hashes)
    return [every[start : start + BATCH] for start in range(0, len(every), BATCH)]


def _from_entry(entry: Entry) -> Document:
    grant = entry.grant
    return {
        "_id": entry.hash,
        "path": entry.path,
        "query": entry.query,
        "useBy": None if entry.use_by_ms is None else to_datetime(entry.use_by_ms),
        "used": entry.used,
        "sub": grant.subject,
        "role": grant.role.value,
        "sessions": None if grant.sessions is None else sorted(grant.sessions),
        "expires": to_datetime(grant.expires_at_ms or 0),
        "issued": to_datetime(grant.issued_at_ms or 0),
        "jti": grant.token_id,
    }


def _to_entry(document: Document) -> Entry:
    sessions, use_by = document["sessions"], document["useBy"]
    return Entry(
        hash=document["_id"],
        grant=Grant(
            subject=document["sub"],
            role=Role(document["role"]),
            sessions=None if sessions is None else frozenset(sessions),
            expires_at_ms=WallMs(to_ms(document["expires"])),
            issued_at_ms=WallMs(to_ms(document["issued"])),
            token_id=document["jti"],
        ),
        path=document["path"],
        query=document["query"],
        use_by_ms=None if use_by is None else WallMs(to_ms(use_by)),
        used=document["used"],
    )


def _from_revocation(revocation: Revocation) -> Document:
    value = revocation.value
    return {
        "_id": f"{revocation.by.value} {value}",
        "by": revocation.by.value,
        "value": to_datetime(value) if isinstance(value, int) else value,
        "at": to_datetime(revocation.at_ms),
        "until": to_datetime(revocation.until_ms),
    }


def _to_revocation(document: Document) -> Revocation:
    value = document["value"]
    return Revocation(
        by=RevokedBy(document["by"]),
        value=value if isinstance(value, str) else WallMs(to_ms(value)),
        at_ms=WallMs(to_ms(document["at"])),
        until_ms=WallMs(to_ms(document["until"])),
    )
