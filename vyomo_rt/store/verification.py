"""Compares what is stored with what the events say: ``vyomo-rt verify``.

The events are the truth, so everything else is recomputed from the first one on, and
compared field by field. Nothing is changed. Memory holds one page of each kind of
document, the open trades and the pending entries.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vyomo_rt.domain.event import Record
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.store import documents
from vyomo_rt.store.client import where
from vyomo_rt.store.database import BATCH, reading
from vyomo_rt.store.documents import COPIES, Document
from vyomo_rt.store.fold import NOTHING, UNREADABLE, Fold, Key, Open, key_of, unequal, unreadable

if TYPE_CHECKING:
    from vyomo_rt.store.database import Database

log = logging.getLogger(__name__)

_TELL_EVERY_S = 2.0
_LOWEST = -(2**63) + 1

Say = Callable[[str], None]


@dataclass
class Verdict:
    """What a verification found, in numbers."""

    sessions: int = 0
    events: int = 0
    trades: int = 0
    differences: int = 0
    late_copies: int = 0
    """Readable copies that a crash left older than their events; the next start writes them."""

    def __str__(self) -> str:
        return (
            f"{_count(self.sessions, 'session')}, {_count(self.events, 'event')}, "
            f"{_count(self.trades, 'trade')}: {_outcome(self.differences, self.late_copies)}"
        )


async def verify(store: Database, say: Say) -> Verdict:
    """Check a whole database and report what it finds, line by line.

    The line of a difference names the document, its field, what is stored there and what
    follows from the events. Raises Unavailable.
    """
    with reading():
        return await _Verification(store, say).run()


class _Copies:
    """The readable copies of a session's trades or pending entries, in the order of their ids."""

    def __init__(
        self,
        kind: type[Record],
        pages: AsyncIterator[Document],
        tell_extra: Callable[[type[Record], Document], None],
    ) -> None:
        self._kind = kind
        self._key = COPIES[kind][1]
        self._pages = pages
        self._tell_extra = tell_extra
        self._next: Document | None = None
        self._ended = False

    async def take(self, id_: float) -> Document | None:
        """The copy of a record, or None; copies with lower ids that were not taken are strays."""
        while (copy := await self._peek()) is not None and copy[self._key] <= id_:
            self._next = None
            if copy[self._key] == id_:
                return copy
            self._tell_extra(self._kind, copy)
        return None

    async def _peek(self) -> Document | None:
        if self._next is None and not self._ended:
            self._next = await anext(self._pages, None)
            self._ended = self._next is None
        return self._next


class _Verification:
    def __init__(self, store: Database, say: Say) -> None:
        self._db = store.database
        self._say = say
        self._verdict = Verdict()
        self._highest_id: dict[type[Record], int] = dict.fromkeys(COPIES, 0)
        self._told_at = time.monotonic()

    async def run(self) -> Verdict:
        sessions = await self._db["sessions"].find({}).to_list(None)
        made_by: dict[Any, Any] = {}
        for document in sessions:
            other = made_by.setdefault(document.get("opId"), document["_id"])
            if other != document["_id"]:
                name = f"session {document['_id']}"
                self._differ(name, "opId", document.get("opId"), f"not that of session {other}")
        ids = {document["_id"] for document in sessions}
        for document in sorted(sessions, key=lambda each: str(each["_id"]).zfill(20)):
            await self._check_session(document)
        await self._find_strays("events", "seq", ids)
        for collection, key in COPIES.values():
            await self._find_strays(collection, key, ids)
        highest_session_id = max((id_ for id_ in ids if isinstance(id_, int)), default=0)
        await self._check_counter("sessions", highest_session_id)
        for kind, (counter, _) in COPIES.items():
            await self._check_counter(counter, self._highest_id[kind])
        return self._verdict

    async def _check_session(self, document: Document) -> None:
        name = f"session {document['_id']}"
        verdict = self._verdict
        differences, late = verdict.differences, verdict.late_copies
        verdict.sessions += 1
        try:
            session = documents.to_session(document)
            computed = documents.from_session(session, document["opId"], document["requestHash"])
            # Version 0.1 kept the status here; it is the one before the first event that sets it.
            computed |= {
                name: document[name] for name in ("status", "revision") if name in document
            }
        except UNREADABLE as error:
            self._differ(name, "document", unreadable(error), "a session")
            self._say(f"{name}: not checked further")
            return
        checkpoint = document.pop("checkpoint", None)
        if checkpoint is not None and not isinstance(checkpoint, Mapping):
            self._differ(name, "checkpoint", checkpoint, "figures")
            checkpoint = None
        rests = document.pop("stopped", None)
        self._compare(name, document, computed)
        fold = Fold(session, checkpoint, self._differ)
        await self._check_events(fold)
        if rests is not None and fold.session.status is not SessionStatus.STOPPED:
            self._differ(name, "stopped", bool(rests), f"nothing: it is {fold.session.status}")
        await self._check_operations(session.session_id)
        figures = fold.figures
        self._say(
            f"{name} {session.name!r}: {_count(fold.events, 'event')}, "
            f"{_count(figures.opened, 'trade')} ({fold.open_trades} open), "
            f"{figures.realised_paise / 100:.2f} realised: "
            f"{_outcome(verdict.differences - differences, verdict.late_copies - late)}"
        )

    async def _check_events(self, fold: Fold) -> None:
        """Fold a session's events, and compare each copy with the newest of its events.

        The copies come in the order of beginnings: ids rise within a session, because an opening
        takes its id in the session's turn.
        """
        equal = {"sessionId": fold.session.session_id}
        copies = {
            kind: _Copies(kind, self._pages(*place, _LOWEST, equal), self._differ_extra)
            for kind, place in COPIES.items()
        }
        async for document in self._pages("events", "seq", _LOWEST, equal):
            self._verdict.events += 1
            self._tell_progress(fold.session.session_id)
            event = fold.read(document)
            if event is None:
                continue
            begun: dict[Key, Document | None] = {}
            for record in event.records:
                kind, id_ = key_of(record)
                self._use_id(kind, id_)
                if fold.begins(event, record):
                    begun[kind, id_] = await copies[kind].take(id_)
            for ended in fold.take(event, begun):
                self._check_copy(ended, fold)
        for strays in copies.values():
            await strays.take(math.inf)
        for still_open in fold.open.values():
            self._check_copy(still_open, fold)
        self._verdict.trades += fold.figures.opened
        fold.end()

    def _check_copy(self, now: Open, fold: Fold) -> None:
        kind, id_ = key_of(now.record)
        name, copy = f"{COPIES[kind][0][:-1]} {id_}", now.copy
        behind = copy is None or (isinstance(copy.get("seq"), int) and copy["seq"] < now.seq)
        if behind and now.seq > fold.checkpoint_seq:
            self._verdict.late_copies += 1
        elif copy is None:
            as_of = f"a copy as of event {fold.session.session_id}-{now.seq}"
            self._differ(name, "document", NOTHING, as_of)
        else:
            self._compare(name, copy, documents.from_copy(now.record, now.seq))

    def _differ_extra(self, kind: type[Record], copy: Document) -> None:
        collection, key = COPIES[kind]
        self._use_id(kind, copy[key])
        name = f"{collection[:-1]} {copy[key]}"
        self._differ(name, "document", "a copy", "none: no event of its session opens it")

    def _use_id(self, kind: type[Record], id_: object) -> None:
        if isinstance(id_, int):
            self._highest_id[kind] = max(self._highest_id[kind], id_)

    async def _check_operations(self, session_id: int) -> None:
        """Check that no two events of a session have the same operation."""
        last: Document = {}
        equal = {"sessionId": session_id}
        by_operation = self._pages("events", "opId", "", equal, {"opId": 1})
        async for event in by_operation:
            if event["opId"] == last.get("opId"):
                right = f"not that of event {last['_id']}"
                self._differ(f"event {event['_id']}", "opId", event["opId"], right)
            last = event
            self._tell_progress(session_id)

    async def _find_strays(self, collection: str, key: str, sessions: set[Any]) -> None:
        """Report the documents of sessions that do not exist."""
        session_id = _LOWEST
        while first := await self._db[collection].find_one(
            where(sessionId={"$gt": session_id}), sort=[("sessionId", 1)]
        ):
            session_id = first["sessionId"]
            if session_id not in sessions:
                strays = self._pages(collection, key, _LOWEST, {"sessionId": session_id})
                async for document in strays:
                    name = f"{collection[:-1]} {document['_id']}"
                    self._differ(name, "sessionId", session_id, "a session that is there")

    async def _check_counter(self, name: str, at_least: int) -> None:
        found = await self._db["counters"].find_one(where(_id=name))
        value = None if found is None else found.get("value")
        if at_least and not (isinstance(value, int) and value >= at_least):
            stored = NOTHING if value is None else value
            self._differ(f"counter {name}", "value", stored, f"at least {at_least}")

    async def _pages(
        self,
        collection: str,
        key: str,
        least: Any,
        equal: Mapping[str, Any],
        fields: Mapping[str, int] | None = None,
    ) -> AsyncIterator[Document]:
        """All documents ordered by a key, a page at a time; the key may repeat."""
        operator, kind = "$gte", type(least)
        seen: set[Any] = set()
        while True:
            page = (
                await self._db[collection]
                .find(where(**equal, **{key: {operator: least}}), fields, batch_size=BATCH)
                .sort(key, 1)
                .limit(BATCH)
                .to_list(BATCH)
            )
            for document in page:
                if document["_id"] in seen:
                    continue
                if isinstance(document[key], kind):
                    yield document
                else:  # in SQLite's order, texts follow numbers
                    name = f"{collection[:-1]} {document['_id']}"
                    self._differ(name, key, document[key], f"of type {kind.__name__}")
            if len(page) < BATCH:
                return
            operator = "$gte" if page[-1][key] != least else "$gt"
            least = page[-1][key]
            seen = {document["_id"] for document in page if document[key] == least}

    def _tell_progress(self, session_id: int) -> None:
        if time.monotonic() - self._told_at > _TELL_EVERY_S:
            self._told_at = time.monotonic()
            log.info("session %d: %d events so far", session_id, self._verdict.events)

    def _compare(self, name: str, stored: Document, computed: Document) -> None:
        for field, value, expected in unequal(stored, computed):
            self._differ(name, field, value, expected)

    def _differ(self, name: str, field: str, stored: object, computed: object) -> None:
        self._verdict.differences += 1
        self._say(f"  {name}: {field}: stored {_shown(stored)}, computed {_shown(computed)}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _outcome(differences: int, late_copies: int) -> str:
    found = _count(differences, "difference") if differences else "no differences"
    if not late_copies:
        return found
    late = "1 copy" if late_copies == 1 else f"{late_copies} copies"
    return f"{found} ({late} to be written by the next start)"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else repr(value)
