"""Copies the truth from a store into a file, and back into an empty store.

That is everything except the readable copies, the checkpoints, the lease and the note of
indexes, which are made anew. A server may write meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pymongo
from pymongo import ReplaceOne
from pymongo.errors import PyMongoError

from vyomo_rt.domain.errors import CannotStart, Unavailable
from vyomo_rt.domain.event import SHAPE
from vyomo_rt.store import documents
from vyomo_rt.store.backup_file import BackupWriter, read, replacing, writing
from vyomo_rt.store.client import where
from vyomo_rt.store.database import reading
from vyomo_rt.store.documents import COPIES, Document
from vyomo_rt.store.fold import UNREADABLE, Fold, unreadable
from vyomo_rt.store.indexes import KNOWN as INDEXES_KNOWN
from vyomo_rt.store.lease import raise_term
from vyomo_rt.store.verification import Say, Verdict

if TYPE_CHECKING:
    from vyomo_rt.store.database import Database

log = logging.getLogger(__name__)

_MADE_ANEW = {*(collection for collection, _ in COPIES.values()), "leases", INDEXES_KNOWN}
_WITH_EVENTS = {"sessions", "events"}
_STAY = {"leases", "meta"}
_PAGED_BY = {"bars": "hour", "curves": "hour", "day_bars": "day"}
"""Of large collections a key that has an index, and not too many documents for each value."""
_PAGE = 200
_PATIENCE_S = 60.0
"""For one operation: here nobody waits for an answer."""
_TELL_EVERY_S = 2.0


async def back_up(store: Database, path: Path, head: Mapping[str, Any], say: Say) -> Verdict:
    """Write a backup in place of ``path``, and check it as ``verify`` checks a store.

    It holds each session's events up to the one that was the newest at the beginning. Raises
    Unavailable and CannotStart; then ``path`` is unchanged.
    """
    with replacing(path) as part:
        with writing(part, head) as backup:
            await _write(store, backup)
        return await check_backup(part, say)


async def check_backup(path: Path, say: Say) -> Verdict:
    """Fold the events of a backup, and report what contradicts them. Raises CannotStart."""
    verdict = Verdict()

    def differ(name: str, field: str, stored: object, computed: object) -> None:
        verdict.differences += 1
        say(f"  {name}: {field}: stored {stored}, computed {computed}")

    fold: Fold | None = None
    for number, (collection, document) in enumerate(read(path)):
        if not number % _PAGE:
            await asyncio.sleep(0)  # it may be told to stop
        if collection == "sessions":
            verdict.sessions += 1
            try:
                fold = Fold(documents.to_session(document), None, differ)
            except UNREADABLE as error:
                fold = None
                differ(f"session {document['_id']}", "document", unreadable(error), "a session")
        elif collection == "events":
            verdict.events += 1
            if fold is not None:
                opened = fold.figures.opened
                if event := fold.read(document):
                    fold.take(event, {})
                verdict.trades += fold.figures.opened - opened
    return verdict


class Survey(NamedTuple):
    """What is known of a complete backup before it is restored."""

    documents: int
    term: int
    """The highest of an event, or of what else carries one."""


def survey(path: Path) -> Survey:
    """Read a backup to its end. Raises CannotStart if it cannot be restored."""
    count = term = 0
    for collection, document in read(path):
        count += 1
        term = max(term, document.get("term", 0))
        if collection == "meta" and document.get("shape", 0) > SHAPE:
            raise CannotStart(f"{path} was written by a newer vyomo-rt: update this one")
    return Survey(count, term)


async def restore(store: Database, path: Path, survey: Survey) -> None:
    """Fill an empty store with a backup. Raises Unavailable and CannotStart.

    If it does not finish, the store is emptied again. If even that is impossible, no server
    takes the store, and the next call begins by emptying it.
    """
    with _patiently():
        if await store.is_half_restored():
            log.warning("an earlier restore did not finish: removing what it left")
            await _empty(store)
        await _require_empty(store)
        await store.prepare()
        await store.mark_half_restored()
    try:
        await _fill(store, path, _Progress("restored", survey.documents))
        with _patiently():
            await raise_term(store, survey.term)
            await store.mark_restored()
    except BaseException:
        with _patiently():
            await _empty(store)
        raise


async def _empty(store: Database) -> None:
    """Remove what a restore may have written."""
    for name in await store.database.list_collection_names():
        if name not in _STAY:
            await store.database[name].delete_many({})
    await store.mark_restored()


async def _write(store: Database, backup: BackupWriter) -> None:
    db = store.database
    with reading(), pymongo.timeout(_PATIENCE_S):
        sessions = await db["sessions"].find({}).to_list(None)
        others = set(await db.list_collection_names()) - _MADE_ANEW - _WITH_EVENTS
    # Sessions are read before their events, so no stopped session has open trades.
    sessions.sort(key=lambda session: str(session["_id"]).zfill(20))
    heads = [await _head_of(store, session["_id"]) for session in sessions]
    progress = _Progress("read", sum(heads))
    for session, head in zip(sessions, heads, strict=True):
        for made_anew in ("checkpoint", "stopped"):
            session.pop(made_anew, None)
        backup.add("sessions", session)
        async for event in _events(store, session["_id"], head):
            backup.add("events", event)
            progress.step()
    # The counters last: they are above all numbers that the events use.
    for name in sorted(others):
        key = _PAGED_BY.get(name)
        found = _all(store, name) if key is None else _all_by(store, name, key)
        async for document in found:
            backup.add(name, document)


async def _head_of(store: Database, session_id: Any) -> int:
    with reading(), pymongo.timeout(_PATIENCE_S):
        newest = await store.database["events"].find_one(
            where(sessionId=session_id), sort=[("seq", -1)]
        )
    return newest["seq"] if newest else 0


async def _events(store: Database, session_id: Any, head: int) -> AsyncIterator[Document]:
    after = 0
    while after < head:
        wanted = where(sessionId=session_id, seq={"$gt": after, "$lte": head})
        page = await _page(store, "events", wanted, "seq")
        for event in page:
            yield event
        after = page[-1]["seq"] if page else head


async def _all(store: Database, collection: str) -> AsyncIterator[Document]:
    page = await _page(store, collection, {}, "_id")
    while page:
        for document in page:
            yield document
        page = await _page(store, collection, where(_id={"$gt": page[-1]["_id"]}), "_id")


async def _all_by(store: Database, collection: str, key: str) -> AsyncIterator[Document]:
    """All documents, those of one value of ``key`` after those of another.

    The embedded store reads everything for each page of ids.
    """
    documents = store.database[collection]
    wanted: Document = {}
    while True:
        began = time.monotonic()
        with reading(), pymongo.timeout(_PATIENCE_S):
            first = await documents.find_one(wanted, sort=[(key, 1)])
            if first is None:
                return
            page = await documents.find(where(**{key: first[key]})).to_list(None)
        # A server that writes gets half of the store's time.
        await asyncio.sleep(time.monotonic() - began)
        for document in page:
            yield document
        wanted = where(**{key: {"$gt": first[key]}})


async def _page(store: Database, collection: str, wanted: Document, key: str) -> list[Document]:
    began = time.monotonic()
    with reading(), pymongo.timeout(_PATIENCE_S):
        found = store.database[collection].find(wanted).sort(key, 1).limit(_PAGE)
        page: list[Document] = await found.to_list(_PAGE)
    # A server that writes gets half of the store's time.
    await asyncio.sleep(time.monotonic() - began)
    return page


async def _require_empty(store: Database) -> None:
    for name in ("sessions", "events", "trades", "orders"):
        found = await store.database[name].find_one({})
        if found is not None:
            raise CannotStart(
                f"database {store.database.name} is not empty: restore into an empty one"
            )


async def _fill(store: Database, path: Path, progress: _Progress) -> None:
    sessions: list[Document] = []
    events: list[Document] = []
    others: dict[str, list[Document]] = {}
    newest: dict[tuple[str, Any], Document] = {}
    """The copies that later events may still change, by collection and id."""
    for collection, document in read(path):
        progress.step()
        if collection == "events":
            events.append(document)
            if len(events) == _PAGE:
                await _insert_events(store, events, newest)
                events = []
        elif collection == "sessions":
            sessions.append(document)
        else:
            others.setdefault(collection, []).append(document)
            if len(others[collection]) == _PAGE:
                await _put(store, collection, others.pop(collection))
    for collection, rows in others.items():
        await _put(store, collection, rows)
    await _insert_events(store, events, newest)
    await _insert_copies(store, newest)
    await _insert(store, "sessions", sessions)


async def _insert_events(
    store: Database, events: list[Document], newest: dict[tuple[str, Any], Document]
) -> None:
    """Insert events, and the copies of what they end."""
    await _insert(store, "events", events)
    ended: dict[tuple[str, Any], Document] = {}
    for event in events:
        for collection, copy in documents.copies_of(event):
            place = collection, copy["_id"]
            newest.pop(place, None)
            (ended if "closedAt" in copy or "endedAt" in copy else newest)[place] = copy
    await _insert_copies(store, ended)


async def _insert_copies(store: Database, copies: Mapping[tuple[str, Any], Document]) -> None:
    for collection, _ in COPIES.values():
        await _insert(store, collection, [copies[at] for at in copies if at[0] == collection])


async def _put(store: Database, collection: str, rows: list[Document]) -> None:
    """Write documents over those with their ids."""
    writes = [ReplaceOne(where(_id=row["_id"]), row, upsert=True) for row in rows]
    with _patiently():
        await _to_its_end(store.database[collection].bulk_write(writes, ordered=False))


async def _insert(store: Database, collection: str, found: Iterable[Document]) -> None:
    rows = list(found)
    for start in range(0, len(rows), _PAGE):
        with _patiently():
            write = store.database[collection].insert_many(rows[start : start + _PAGE])
            await _to_its_end(write)


async def _to_its_end(write: Awaitable[object]) -> None:
    """Wait for a write even when cancelled.

    The driver writes in a thread that does not learn of it, so the write would land after the
    store was emptied.
    """
    under_way = asyncio.ensure_future(write)
    try:
        await asyncio.shield(under_way)
    except asyncio.CancelledError:
        await asyncio.wait({under_way})
        raise


@contextmanager
def _patiently() -> Iterator[None]:
    try:
        with pymongo.timeout(_PATIENCE_S):
            yield
    except PyMongoError as error:
        raise Unavailable(f"it does not accept the data: {error}") from error


class _Progress:
    """Reports its progress every two seconds."""

    def __init__(self, done: str, total: int) -> None:
        self._done = done
        self._total = total
        self._count = 0
        self._told_at = time.monotonic()

    def step(self) -> None:
        self._count += 1
        if time.monotonic() - self._told_at > _TELL_EVERY_S:
            self._told_at = time.monotonic()
            log.info("%d of %d are %s", self._count, self._total, self._done)
