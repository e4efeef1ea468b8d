"""Sessions as they were made, with the checkpoint of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vyomo_rt.domain.errors import Conflict, OutcomeUnknown
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.store import documents
from vyomo_rt.store.client import INT64_MAX, where
from vyomo_rt.store.database import NOT_CONFIRMED, Database, insert, reading, settling
from vyomo_rt.store.documents import Document

if TYPE_CHECKING:
    from vyomo_rt.domain.session import Session
    from vyomo_rt.domain.state import Figures


class Sessions(Database):
    """The collection ``sessions``."""

    async def load_sessions(self) -> list[tuple[Session, Figures | None]]:
        with reading():
            # Of the others the field is not there. This finds them by the index.
            found = await self.database["sessions"].find(where(stopped=None)).to_list(None)
        found.sort(key=lambda document: document["_id"])
        return [_as_of_checkpoint(document) for document in found]

    async def sessions_among(
        self, session_ids: Sequence[int]
    ) -> list[tuple[Session, Figures | None]]:
        async with self.lanes.history_read():
            found = await self.among(self.database["sessions"], session_ids)
        return [_as_of_checkpoint(document) for document in found]

    async def sessions_owned_by(self, owner: str) -> list[int]:
        async with self.lanes.read():
            with reading():
                found = self.database["sessions"].find(where(owner=owner), {"_id": 1})
                return [document["_id"] for document in await found.to_list(None)]

    async def create_session(self, session: Session, operation_id: str, request_hash: str) -> None:
        self.term_of(session.session_id)
        document = documents.from_session(session, operation_id, request_hash)
        with self.writing():
            if await insert(self.database["sessions"], document):
                return
            with settling():
                made = await self.database["sessions"].find_one(where(opId=operation_id))
                holder = await self.database["sessions"].find_one(where(_id=session.session_id))
            if made is None and holder is None:
                raise OutcomeUnknown(NOT_CONFIRMED)
        if made is None or made["_id"] != session.session_id:
            raise Conflict(f"session {session.session_id} or its operation exists already")

    async def find_session(self, operation_id: str) -> tuple[Session, str] | None:
        with reading():
            found = await self.database["sessions"].find_one(where(opId=operation_id))
        if found is None:
            return None
        return documents.to_session(found), found["requestHash"]

    async def save_checkpoint(self, session: Session, figures: Figures) -> None:
        amounts_paise = (figures.realised_paise, *figures.days.values())
        if max(map(abs, amounts_paise)) > INT64_MAX:
            return  # more money than BSON counts; the events still tell
        changed: Document = {"checkpoint": documents.from_checkpoint(session.standing, figures)}
        if session.status is SessionStatus.STOPPED:
            changed["stopped"] = True  # for good: a start leaves it where it is
        with self.writing():
            await self.database["sessions"].update_one(
                where(_id=session.session_id), {"$set": changed}
            )


def _as_of_checkpoint(document: Document) -> tuple[Session, Figures | None]:
    session = documents.to_session(document)
    checkpoint = document.get("checkpoint", {})
    if "tallies" not in checkpoint:
        # None, or one of an earlier version, which lacks what rules need: events tell it.
        return session, None
    standing, figures = documents.to_checkpoint(checkpoint)
    return (session if standing is None else session.with_standing(standing)), figures
