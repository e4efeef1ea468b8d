"""A database: which writes may begin, how they ended, and what the driver's errors mean.

It uses only what every implementation of the protocol does alike: insert, unique
index, find by equality or range and order, replace or upsert by ``_id``, ``$set``,
``$inc``, ``$max``, ``find_one_and_update``.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pymongo
from bson.codec_options import CodecOptions
from prometheus_client import Counter, Histogram
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern

from vyomo_rt.domain.errors import HalfRestored, Moved, NewerData, OutcomeUnknown, Unavailable
from vyomo_rt.domain.event import SHAPE
from vyomo_rt.domain.shard import shard_of
from vyomo_rt.store.client import where
from vyomo_rt.store.documents import Document
from vyomo_rt.store.fence import Fence
from vyomo_rt.store.indexes import create_indexes
from vyomo_rt.store.lanes import MONGODB, Lanes, Pace

if TYPE_CHECKING:
    from vyomo_rt.store.client import Client, Collection

log = logging.getLogger(__name__)

BATCH = 500
"""Documents in one read: ten thousand would hold the embedded server for half a second."""

_PREPARE_S = 60.0
"""For the indexes of one start: a new one over many documents takes its time."""

_GOODBYE_S = 0.2

DOUBT_S = 5.0
"""How long a failed write counts against the store if no other write follows."""

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_DUPLICATE = 11000
_REMOVED_AT_ONCE = 25
"""The driver has few threads and connections: the lease must not wait for one."""
_SHAPE_ID = "events"
_RESTORE_ID = "restore"


class Database:
    """An open database, and the right to write to it.

    Its promises do not depend on how ``client`` was made, apart from the time limits, which
    are the client's. ``pace`` says how histories are read, so that long reads do not hold up
    a write.
    """

    def __init__(self, client: Client, database: str, *, pace: Pace = MONGODB) -> None:
        self._client = client
        self.lanes = Lanes(pace)
        self.database = db = client.get_database(
            database,
            codec_options=CodecOptions(tz_aware=True),
            read_preference=ReadPreference.PRIMARY,
            # Data that a majority does not have can still vanish, so it settles no lost answer.
            read_concern=ReadConcern("majority"),
            write_concern=WriteConcern("majority", j=True),
        )
        self._meta: Collection = db["meta"]
        self.leases: Collection = db["leases"]
        self.fence = Fence()
        self.terms: Mapping[int, int] | None = None
        """The terms of the shards that this node may write; None for a server that is alone."""
        self.shape = SHAPE
        """In which way events are written; with several nodes the newest one that all can read."""
        self.met_another_writer = asyncio.Event()
        """Set when an event's number was taken: is the lease still ours?"""
        self._write_failed_at: float | None = None
        self.write_time = Histogram(
            "vyomo_rt_store_write_seconds",
            "Time of a write to the database, also of one that failed",
            buckets=_SECONDS,
            registry=None,
        )
        self.write_failures = Counter(
            "vyomo_rt_store_write_failures",
            "Writes that failed, or whose outcome is not known",
            registry=None,
        )

    @property
    def available(self) -> bool:
        """Whether a write would probably succeed now.

        It asks nobody, so it answers at once even while the database hangs. A failed write
        stops counting after a while: on a quiet server no other write follows to clear it,
        but the driver goes on watching.
        """
        if not self.fence.is_open:
            return False
        failed_at = self._write_failed_at
        if failed_at is not None and time.monotonic() - failed_at < DOUBT_S:
            return False
        topology: Any = self._client.topology_description  # motor's stubs call it a method
        return bool(topology.has_writable_server())

    async def close(self) -> None:
        """Close the connections. The driver says goodbye, but not for long if the store is away."""
        with pymongo.timeout(_GOODBYE_S):
            closing: object = self._client.close()
            if inspect.isawaitable(closing):
                await closing

    @property
    def term(self) -> int:
        """The term of prices that are written now."""
        return self.fence.term

    def require_right(self) -> None:
        """Raise Unavailable if others may have taken over what this process owns."""
        self.fence.require()

    def term_of(self, session_id: int) -> int:
        """The term of a session's events that are written now. Raises Unavailable."""
        if self.terms is None:
            return self.fence.term
        term = self.terms.get(shard_of(session_id))
        if term is None:
            raise Moved
        return term

    async def require_readable(self) -> None:
        """Raise NewerData if a later version of this program has written here.

        Raises HalfRestored if a restore did not finish.
        """
        with reading():
            found = await self._meta.find_one(where(_id=_SHAPE_ID))
        if found is not None and found["shape"] > SHAPE:
            raise NewerData(
                f"it was written by a newer vyomo-rt (shape {found['shape']}, and this one reads "
                f"up to {SHAPE}): update this server"
            )
        if await self.is_half_restored():
            raise HalfRestored(
                "a restore into it did not finish: run vyomo-rt restore again, which "
                "removes what the first one left"
            )

    async def is_half_restored(self) -> bool:
        """Whether a restore began and did not finish. Raises Unavailable."""
        with reading():
            return await self._meta.find_one(where(_id=_RESTORE_ID)) is not None

    async def mark_half_restored(self) -> None:
        """A restore begins: until ``mark_restored`` the store is incomplete."""
        await self._meta.replace_one(where(_id=_RESTORE_ID), {"_id": _RESTORE_ID}, upsert=True)

    async def mark_restored(self) -> None:
        """The restore has finished, or left nothing."""
        await self._meta.delete_one(where(_id=_RESTORE_ID))

    async def prepare(self) -> None:
        """Create the indexes that do not exist yet. Raises Unavailable."""
        try:
            with pymongo.timeout(_PREPARE_S):
                await create_indexes(self.database)
            await self.declare_shape(self.shape)
        except PyMongoError as error:
            raise Unavailable(f"the database cannot be used: {_in_short(error)}") from error

    async def declare_shape(self, shape: int) -> None:
        """Say that there may be events of this shape: who cannot read it does not start any more.

        Raises PyMongoError.
        """
        await self._meta.update_one(where(_id=_SHAPE_ID), {"$max": {"shape": shape}}, upsert=True)

    async def among(
        self, collection: Collection, ids: Sequence[Any], fields: Mapping[str, int] | None = None
    ) -> list[Document]:
        """Those documents with these ids that exist."""
        found: list[Document] = []
        for start in range(0, len(ids), BATCH):
            some = where(_id={"$in": list(ids[start : start + BATCH])})
            with reading():
                found += await collection.find(some, fields, batch_size=BATCH).to_list(BATCH)
        return found

    async def put(self, documents: Collection, id_: str, members: Document) -> None:
        """Write a document that this server and former owners of the database keep up to date.

        It carries the term of its writer, so a server that has lost the database overwrites
        nothing of the next owner. Raises Unavailable or OutcomeUnknown.
        """
        document = {"_id": id_, "term": self.term, **members}
        with self.writing():
            try:
                await documents.replace_one(
                    where(_id=id_, term={"$lte": self.term}), document, upsert=True
                )
            except DuplicateKeyError as error:
                there = await documents.find_one(where(_id=id_))
                if there is None or there["term"] <= document["term"]:
                    raise OutcomeUnknown(NOT_CONFIRMED) from error
                raise Unavailable("another server writes to this database now") from error

    async def remove_some(self, collection: Collection, wanted: Document) -> bool:
        """Remove a few of the documents that are like that; whether there were any.

        Raises Unavailable or OutcomeUnknown.
        """
        with reading():
            found = (
                await collection.find(wanted, {"_id": 1})
                .limit(_REMOVED_AT_ONCE)
                .to_list(_REMOVED_AT_ONCE)
            )
        if found:
            with self.writing():
                await collection.delete_many(where(_id={"$in": [each["_id"] for each in found]}))
        return bool(found)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """For a write and everything that decides how it ended. Raises Unavailable.

        OutcomeUnknown raised inside also counts as a failed write: on a full disk the embedded
        server answers that nothing was found, or that a key is taken that nothing has.
        """
        self.fence.require()
        try:
            with self.lanes.write(), self.write_time.time():
                yield
        except (PyMongoError, OutcomeUnknown) as error:
            self._note_failure(error)
            # After a repeated attempt the driver reports the first attempt's error, not this.
            # For a wait for a free connection it does not: that outcome stays unknown.
            if isinstance(error, ServerSelectionTimeoutError):
                raise Unavailable(_AWAY) from error
            if isinstance(error, PyMongoError):
                raise OutcomeUnknown(_NO_ANSWER) from error
            raise
        if self._write_failed_at is not None:
            log.info("the database accepts writes again")
            self._write_failed_at = None

    def _note_failure(self, error: Exception) -> None:
        self.write_failures.inc()
        if self._write_failed_at is None:
            cause = error if isinstance(error, PyMongoError) else error.__cause__
            reason = _in_short(cause) if isinstance(cause, PyMongoError) else _NOT_DONE
            log.warning("a write to the database failed: %s", reason)
        self._write_failed_at = time.monotonic()


_NO_READ = "the database does not answer; try again later"
_AWAY = "the database is away; nothing was changed, try again later"
_NO_ANSWER = "the database did not answer in time; the change may or may not have happened"
_NOT_DONE = "it was answered, but not carried out: is the disk full?"
NOT_CONFIRMED = "the database has not confirmed the change yet; it may or may not have happened"


@contextmanager
def reading() -> Iterator[None]:
    """For a read that settles nothing: the driver's errors become Unavailable."""
    try:
        yield
    except PyMongoError as error:
        raise Unavailable(_NO_READ) from error


@contextmanager
def settling() -> Iterator[None]:
    """For reads that decide how a write ended: if they fail, that is unknown."""
    try:
        yield
    except PyMongoError as error:
        raise OutcomeUnknown(_NO_ANSWER) from error


async def insert(collection: Collection, document: Document) -> bool:
    """Insert; False if a unique key of the document is taken."""
    try:
        await collection.insert_one(document)
    except DuplicateKeyError:
        return False
    return True


async def insert_in_order(collection: Collection, rows: Sequence[Document]) -> int:
    """Insert documents up to the first of which a unique key is taken; returns how many."""
    if len(rows) < 2:
        return sum([await insert(collection, row) for row in rows])
    try:
        await collection.insert_many(rows, ordered=True)
    except BulkWriteError as error:
        failed = error.details.get("writeErrors", ())
        if error.details.get("writeConcernErrors") or not failed or failed[0]["code"] != _DUPLICATE:
            raise
        return int(failed[0]["index"])
    return len(rows)


def _in_short(error: PyMongoError) -> str:
    if type(error).__name__.startswith("_"):
        return "the driver gave up when the database stopped answering"
    # The driver's text continues with its timeouts and every host it knows.
    return f"{type(error).__name__}: {str(error).partition(' (configured')[0][:200]}"
