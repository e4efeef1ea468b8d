"""How far a receiver of notices was told of each session, a hundred sessions in a document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from msgspec import json

from vyomo_rt.store.client import where
from vyomo_rt.store.database import reading

if TYPE_CHECKING:
    from vyomo_rt.store.client import Collection as Documents
    from vyomo_rt.store.database import Database

PAGE = 100
_BEGUN_ID = "begun"


class SavedPlaces:
    """Keeps the number of the last event of each session that was told."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._documents: Documents = store.database["notices"]
        self._pages: defaultdict[int, set[int]] = defaultdict(set)
        self._upto = 0

    async def load(self) -> tuple[dict[int, int], int] | None:
        """The places, and the highest session so far; None if notices were off.

        Raises Unavailable.
        """
        with reading():
            found = await self._documents.find({}).to_list(None)
        begun = next((each for each in found if each["_id"] == _BEGUN_ID), None)
        if begun is None:
            return None
        self._upto = int(begun["upto"])
        pages = (each["rows"] for each in found if each["_id"] != _BEGUN_ID)
        rows = [row for page in pages for row in _decode(page)]
        places = {int(session_id): int(seq) for session_id, seq in rows}
        self._note(places)
        return places, self._upto

    async def save(self, places: Mapping[int, int], changed: Collection[int], upto: int) -> None:
        """Write the pages of changed sessions, then ``upto``; it waits for trades.

        Raises Unavailable or OutcomeUnknown; the same call again does what is left.
        """
        self._note(changed)
        for page in sorted({session_id // PAGE for session_id in changed}):
            ids = self._pages[page]
            rows = [[session_id, places[session_id]] for session_id in ids if session_id in places]
            async with self._store.lanes.history_read():
                await self._put(f"places-{page}", {"rows": json.encode(rows).decode()})
            ids.intersection_update(places)
        if upto > self._upto or not self._upto:
            await self._put(_BEGUN_ID, {"upto": upto})
            self._upto = upto

    async def forget(self) -> None:
        """Notices are off: when they are on again, they begin anew. Raises Unavailable."""
        if await self.load() is not None:
            with self._store.writing():
                await self._documents.delete_one(where(_id=_BEGUN_ID))

    def _note(self, session_ids: Collection[int]) -> None:
        for session_id in session_ids:
            self._pages[session_id // PAGE].add(session_id)

    async def _put(self, id_: str, members: dict[str, object]) -> None:
        await self._store.put(self._documents, id_, members)


def _decode(page: str | list[list[int]]) -> list[list[int]]:
    """Rows as text: not every implementation of MongoDB has arrays in arrays, as they once were."""
    return json.decode(page, type=list[list[int]]) if isinstance(page, str) else page
