"""The trading journal in MongoDB.

Only what every implementation of the protocol does alike is used: insert, unique
index, find by equality or range and order, replace or upsert by ``_id``, ``$set``,
``$inc``, ``$max``, ``find_one_and_update``.

Motor no longer gets fixes. Its calls are those of ``pymongo.AsyncMongoClient``,
so ``connect`` is all that changes when it goes.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient
from prometheus_client import Counter, Histogram
from pymongo import ASCENDING, DESCENDING, ReadPreference, ReturnDocument, WriteConcern
from pymongo.errors import (
    ConfigurationError,
    DuplicateKeyError,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern

from vyomo_rt.domain.errors import Conflict, NewerData, NumberTaken, OutcomeUnknown, Unavailable
from vyomo_rt.domain.event import SHAPE, Event
from vyomo_rt.domain.trade import Trade, TradeStatus
from vyomo_rt.store import documents
from vyomo_rt.store.documents import Document
from vyomo_rt.store.fence import Fence
from vyomo_rt.store.lanes import Lanes

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection
    from pymongo import AsyncMongoClient
    from pymongo.asynchronous.collection import AsyncCollection

    from vyomo_rt.domain.session import Session
    from vyomo_rt.domain.state import Figures

    Client = AsyncIOMotorClient[Document] | AsyncMongoClient[Document]
    Collection = AsyncIOMotorCollection[Document] | AsyncCollection[Document]

logger = logging.getLogger(__name__)

TIMEOUT_MS = 1400
"""How long the driver tries an operation; a limit around it would leave it writing.

Waiting for a server that is away, it looks at the clock every half second only: a command
is answered within 2 s, so this is less than 1.5.
"""

BATCH = 500
"""Documents in one read: ten thousand would hold the embedded server for half a second."""

HISTORY_PAGE = 200
"""Documents in one read of a history: somebody's trade may have to wait for it."""

HISTORY_READS = 3
"""Reads of histories that may be on their way at one time, so that others find a free thread."""

DOUBT_S = 5.0
"""How long a failed write speaks against the store if no other one follows."""

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_INT64_MAX = 2**63 - 1
_SHAPE_ID = "events"


def connect(uri: str) -> AsyncIOMotorClient[Document]:
    """A client with the server's limits on time; it connects at its first operation.

    Raises ValueError for a text that is not a MongoDB URI. ``uri`` cannot loosen
    the limits: the arguments win over it.
    """
    try:
        with warnings.catch_warnings():
            # The driver would go on without an option that it cannot read, `tls=1` for one.
            warnings.simplefilter("error", UserWarning)
            return AsyncIOMotorClient(
                uri,
                appname="vyomo-rt",
                timeoutMS=TIMEOUT_MS,
                serverSelectionTimeoutMS=TIMEOUT_MS,
                connectTimeoutMS=1000,
                heartbeatFrequencyMS=1000,
                # A replica set knows a repeated write by its number and does it once, so that
                # a step-down or a cut connection goes unnoticed; elsewhere the driver does
                # not repeat.
                retryWrites=True,
            )
    except (ConfigurationError, ValueError, OSError, UserWarning) as error:
        raise ValueError(
            f"VYOMO_RT_MONGO_URI (--mongo-uri) is not a URI that can be used: {error}"
        ) from error


def _as_of_checkpoint(document: Document) -> tuple[Session, Figures | None]:
    session = documents.to_session(document)
    if "checkpoint" not in document:
        return session, None
    standing, figures = documents.to_checkpoint(document["checkpoint"])
    return (session if standing is None else session.with_standing(standing)), figures


def database_of(client: Client) -> str | None:
    """The database that the client's URI names."""
    try:
        return client.get_default_database().name
    except ConfigurationError:
        return None


class MongoStore:
    """The journal of the desk.

    What it promises does not depend on how ``client`` was made, apart from the
    limits on time, which are the client's. Not more than ``history_reads`` reads of
    histories are on their way at one time: whoever reads much does not hold up a write.
    """

    def __init__(
        self, client: Client, database: str, *, history_reads: int = HISTORY_READS
    ) -> None:
        self._client = client
        self._lanes = Lanes(history_reads)
        self.database = db = client.get_database(
            database,
            codec_options=CodecOptions(tz_aware=True),
            read_preference=ReadPreference.PRIMARY,
            # What a majority does not have yet can still vanish: it settles no lost answer.
            read_concern=ReadConcern("majority"),
            write_concern=WriteConcern("majority", j=True),
        )
        self._events: Collection = db["events"]
        self._trades: Collection = db["trades"]
        self._sessions: Collection = db["sessions"]
        self._counters: Collection = db["counters"]
        self._meta: Collection = db["meta"]
        self.leases: Collection = db["leases"]
        self.fence = Fence()
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

        It asks nobody, so it answers at once also while the database hangs. A failed
        write stops counting after a while: in a quiet server no other one follows to
        clear it, but the driver goes on watching.
        """
        if not self.fence.is_open:
            return False
        failed_at = self._write_failed_at
        if failed_at is not None and time.monotonic() - failed_at < DOUBT_S:
            return False
        topology: Any = self._client.topology_description  # a method, say the stubs of motor
        return bool(topology.has_writable_server())

    async def close(self) -> None:
        """Let go of the connections."""
        closing: object = self._client.close()
        if inspect.isawaitable(closing):
            await closing

    @property
    def term(self) -> int:
        """What an event that is written now says of its writer."""
        return self.fence.term

    async def require_readable(self) -> None:
        """Raise NewerData if a later version of this program has written here."""
        with reading():
            found = await self._meta.find_one(where(_id=_SHAPE_ID))
        if found is not None and found["shape"] > SHAPE:
            raise NewerData(
                f"it was written by a newer vyomo-rt (shape {found['shape']}, and this one reads "
                f"up to {SHAPE}): update this server"
            )

    async def prepare(self) -> None:
        """Create the indexes; changes nothing where they are."""
        indexes = [
            (self._events, [("sessionId", ASCENDING), ("seq", ASCENDING)], True),
            (self._events, [("sessionId", ASCENDING), ("opId", ASCENDING)], True),
            (self._sessions, [("opId", ASCENDING)], True),
            (self._trades, [("tradeId", ASCENDING)], False),
            (self._trades, [("status", ASCENDING), ("tradeId", ASCENDING)], False),
            (self._trades, [("sessionId", ASCENDING), ("tradeId", DESCENDING)], False),
            (
                self._trades,
                [("sessionId", ASCENDING), ("status", ASCENDING), ("tradeId", DESCENDING)],
                False,
            ),
        ]
        try:
            for collection, keys, unique in indexes:
                await collection.create_index(keys, unique=unique)
            await self._meta.update_one(
                where(_id=_SHAPE_ID), {"$max": {"shape": SHAPE}}, upsert=True
            )
        except PyMongoError as error:
            raise Unavailable(f"the database cannot be used: {_in_short(error)}") from error

    # --- sessions

    async def load_sessions(self) -> list[tuple[Session, Figures | None]]:
        with reading():
            found = await self._sessions.find({}).to_list(None)
        found.sort(key=lambda document: document["_id"])
        return [_as_of_checkpoint(document) for document in found]

    async def sessions_among(self, session_ids: Sequence[int]) -> list[Session]:
        """Those of the sessions that there are, as they were born."""
        found = await self._among(self._sessions, session_ids)
        return [documents.to_session(document) for document in found]

    async def create_session(self, session: Session, operation_id: str, request_hash: str) -> None:
        document = documents.from_session(session, operation_id, request_hash)
        with self.writing():
            if await _insert(self._sessions, document):
                return
            with _settling():
                made = await self._sessions.find_one(where(opId=operation_id))
                holder = await self._sessions.find_one(where(_id=session.session_id))
            if made is None and holder is None:
                raise OutcomeUnknown(_NOT_CONFIRMED)
        if made is None or made["_id"] != session.session_id:
            raise Conflict(f"session {session.session_id} or its operation exists already")

    async def find_session(self, operation_id: str) -> tuple[Session, str] | None:
        with reading():
            found = await self._sessions.find_one(where(opId=operation_id))
        if found is None:
            return None
        return documents.to_session(found), found["requestHash"]

    async def save_checkpoint(self, session: Session, figures: Figures) -> None:
        amounts_paise = (figures.realised_paise, *figures.days.values())
        if max(map(abs, amounts_paise)) > _INT64_MAX:
            return  # more money than BSON counts; the events still tell
        checkpoint = documents.from_checkpoint(session.standing, figures)
        with self.writing():
            await self._sessions.update_one(
                where(_id=session.session_id), {"$set": {"checkpoint": checkpoint}}
            )

    # --- events

    async def append(self, event: Event) -> None:
        with self.writing():
            if await _insert(self._events, documents.from_event(event)):
                return
            with _settling():
                made = await self._events.find_one(
                    where(sessionId=event.session_id, opId=event.operation_id)
                )
                holder = await self._events.find_one(
                    where(_id=documents.event_id(event.session_id, event.seq))
                )
            if made is None and holder is None:
                raise OutcomeUnknown(_NOT_CONFIRMED)
        # Another server may have carried out the same request: only this very event is ours.
        if made is None or documents.to_event(made) != event:
            self.met_another_writer.set()
            raise NumberTaken(
                f"event {event.seq} of session {event.session_id} was written by another server"
            )

    async def events(self, session_id: int, after: int, upto: int | None = None) -> list[Event]:
        seq = {"$gt": after} if upto is None else {"$gt": after, "$lte": upto}
        async with self._lanes.history_read():
            with reading():
                found = (
                    await self._events.find(where(sessionId=session_id, seq=seq), batch_size=BATCH)
                    .sort("seq", ASCENDING)
                    .limit(BATCH)
                    .to_list(BATCH)
                )
        return [documents.to_event(document) for document in found]

    async def events_among(self, places: Sequence[tuple[int, int]]) -> list[Event]:
        """Those events that there are, by session and number, in no order."""
        found = await self._among(self._events, [documents.event_id(*place) for place in places])
        return [documents.to_event(document) for document in found]

    async def find_event(self, session_id: int, operation_id: str) -> Event | None:
        with reading():
            found = await self._events.find_one(where(sessionId=session_id, opId=operation_id))
        return None if found is None else documents.to_event(found)

    # --- readable copies of the trades

    async def save_trade(self, trade: Trade, seq: int) -> None:
        document = documents.from_copy(trade, seq)
        # If the copy there is as new or newer, the filter misses it and the insert of the upsert
        # meets its _id. It also does when an older copy arrives in between: hence once more.
        for _ in range(2):
            with self.writing(), suppress(DuplicateKeyError):
                await self._trades.replace_one(
                    where(_id=trade.trade_id, seq={"$lt": seq}), document, upsert=True
                )
                return

    async def trade(self, trade_id: int) -> Trade | None:
        with reading():
            found = await self._trades.find_one(where(_id=trade_id))
        return None if found is None else documents.to_trade(found)

    async def trades(
        self, session_id: int, status: TradeStatus | None, before_id: int | None, limit: int
    ) -> list[Trade]:
        filter_ = where(sessionId=session_id)
        if status is not None:
            filter_ |= where(status=status.value)
        if before_id is not None:
            filter_ |= where(tradeId={"$lt": before_id})
        found: list[Document] = []
        while len(found) < limit:
            size = min(limit - len(found), HISTORY_PAGE)
            async with self._lanes.history_read():
                with reading():
                    page = (
                        await self._trades.find(filter_, batch_size=BATCH)
                        .sort("tradeId", DESCENDING)
                        .limit(size)
                        .to_list(size)
                    )
            found += page
            if len(page) < size:
                break
            filter_ |= where(tradeId={"$lt": page[-1]["tradeId"]})
        return [documents.to_trade(document) for document in found]

    async def open_trades(self) -> AsyncIterator[Trade]:
        after_id = 0
        while True:
            with reading():
                page = (
                    await self._trades.find(
                        where(status=TradeStatus.OPEN.value, tradeId={"$gt": after_id}),
                        batch_size=BATCH,
                    )
                    .sort("tradeId", ASCENDING)
                    .limit(BATCH)
                    .to_list(BATCH)
                )
            for document in page:
                yield documents.to_trade(document)
            if len(page) < BATCH:
                return
            after_id = page[-1]["tradeId"]

    async def highest_trade_id(self) -> int:
        with reading():
            found = (
                await self._trades.find({}, {"tradeId": 1})
                .sort("tradeId", DESCENDING)
                .limit(1)
                .to_list(1)
            )
        return int(found[0]["tradeId"]) if found else 0

    async def projected_seqs(self, trade_ids: Sequence[int]) -> dict[int, int]:
        found = await self._among(self._trades, trade_ids, {"seq": 1})
        return {document["_id"]: document["seq"] for document in found}

    # --- counters

    async def reserve_ids(self, counter: str, count: int) -> int:
        with self.writing():
            document = await self._counters.find_one_and_update(
                where(_id=counter),
                {"$inc": {"value": count}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
            if document is None:
                raise OutcomeUnknown(_NOT_CONFIRMED)
        return int(document["value"]) - count + 1

    async def counter(self, counter: str) -> int:
        """The last number of a counter that was given."""
        with reading():
            document = await self._counters.find_one(where(_id=counter))
        return 0 if document is None else int(document["value"])

    async def raise_counter(self, counter: str, at_least: int) -> None:
        with self.writing():
            await self._counters.update_one(
                where(_id=counter), {"$max": {"value": at_least}}, upsert=True
            )

    # --- what can go wrong

    async def _among(
        self, collection: Collection, ids: Sequence[Any], fields: Mapping[str, int] | None = None
    ) -> list[Document]:
        """The documents of these ids that there are."""
        found: list[Document] = []
        for start in range(0, len(ids), BATCH):
            some = where(_id={"$in": list(ids[start : start + BATCH])})
            with reading():
                found += await collection.find(some, fields, batch_size=BATCH).to_list(BATCH)
        return found

    @contextmanager
    def writing(self) -> Iterator[None]:
        """For a write and all that decides how it ended. Raises Unavailable.

        OutcomeUnknown raised inside counts as a failed write, too: on a full disk the embedded
        server answers that nothing was found, or that a key is taken which nothing has.
        """
        self.fence.require()
        try:
            with self._lanes.write(), self.write_time.time():
                yield
        except (PyMongoError, OutcomeUnknown) as error:
            self._note_failure(error)
            # After a repeated attempt the driver reports the first one's error, not this. A
            # wait for a free connection it does not tell apart so: that stays unknown.
            if isinstance(error, ServerSelectionTimeoutError):
                raise Unavailable(_AWAY) from error
            if isinstance(error, PyMongoError):
                raise OutcomeUnknown(_NO_ANSWER) from error
            raise
        if self._write_failed_at is not None:
            logger.info("the database takes writes again")
            self._write_failed_at = None

    def _note_failure(self, error: Exception) -> None:
        self.write_failures.inc()
        if self._write_failed_at is None:
            cause = error if isinstance(error, PyMongoError) else error.__cause__
            reason = _in_short(cause) if isinstance(cause, PyMongoError) else _NOT_DONE
            logger.warning("a write to the database failed: %s", reason)
        self._write_failed_at = time.monotonic()


_NO_READ = "the database does not answer; try again later"
_AWAY = "the database is away; nothing was changed, try again later"
_NO_ANSWER = "the database did not answer in time; the change may or may not have happened"
_NOT_DONE = "it was answered, but not carried out: is the disk full?"
_NOT_CONFIRMED = "the database has not confirmed the change yet; it may or may not have happened"


@contextmanager
def reading() -> Iterator[None]:
    """For a read that decides nothing: the driver's errors become Unavailable."""
    try:
        yield
    except PyMongoError as error:
        raise Unavailable(_NO_READ) from error


@contextmanager
def _settling() -> Iterator[None]:
    """For the reads that decide how a write ended: without them that is not known."""
    try:
        yield
    except PyMongoError as error:
        raise OutcomeUnknown(_NO_ANSWER) from error


async def _insert(collection: Collection, document: Document) -> bool:
    """Insert; False if a unique key of the document is taken."""
    try:
        await collection.insert_one(document)
    except DuplicateKeyError:
        return False
    return True


def _in_short(error: PyMongoError) -> str:
    if type(error).__name__.startswith("_"):
        return "the driver gave it up when the database stopped answering"
    # The driver's text goes on about its timeouts and every host it knows.
    return f"{type(error).__name__}: {str(error).partition(' (configured')[0][:200]}"


def where(**fields: Any) -> Document:
    """A filter by values or, given as a mapping, by operators.

    Values become ``$eq``: the embedded server uses no index for the plain form, which
    there also looks into arrays. MongoDB treats both forms alike.
    """
    return {
        name: _within_int64(value if isinstance(value, Mapping) else {"$eq": value})
        for name, value in fields.items()
    }


def _within_int64(value: Any) -> Any:
    """The same value with its ints cut to what BSON can carry; no id is that high."""
    if isinstance(value, Mapping):
        return {name: _within_int64(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_within_int64(inner) for inner in value]
    if isinstance(value, int):
        return max(-_INT64_MAX, min(value, _INT64_MAX))
    return value
