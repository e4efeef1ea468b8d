"""Which node owns which shard: a row for each, changed only by compare-and-set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from vyomo_rt.domain.shard import PRICES, ROWS
from vyomo_rt.store.client import where
from vyomo_rt.store.documents import Document

if TYPE_CHECKING:
    from vyomo_rt.store.client import Collection


class Row(NamedTuple):
    """A shard's owner, and how many owners it has had, counted on from those of the database."""

    node: str
    term: int


Change = tuple[Row | None, Row]
"""A row as it was, if it was, and as it is to be."""


class Shards:
    """The rows of the shards, and of the prices."""

    def __init__(self, leases: Collection) -> None:
        self._leases = leases

    @staticmethod
    def read_from(documents: Iterable[Document]) -> dict[int, Row]:
        """The rows among the documents of ``leases``."""
        return {
            document["row"]: Row(document["node"], document["term"])
            for document in documents
            if "row" in document
        }

    async def change(self, changes: Mapping[int, Change]) -> dict[int, Row]:
        """Give rows new owners, each only if it still is as it was; returns them as they are now.

        All that exist go in one write: a node that leaves has many to give. Raises PyMongoError;
        then any of them may have changed.
        """
        new = [
            row for row, (was, now) in changes.items() if was is None and await self._add(row, now)
        ]
        old = {row: (was, now) for row, (was, now) in changes.items() if was is not None}
        updates = [
            UpdateOne(where(_id=_id(row), node=was.node, term=was.term), {"$set": now._asdict()})
            for row, (was, now) in old.items()
        ]
        if updates:
            result = await self._leases.bulk_write(updates, ordered=False)
            if result.matched_count < len(updates):
                return self.read_from(await self._leases.find({}).to_list(None))
        return {row: changes[row][1] for row in (*new, *old)}

    async def _add(self, row: int, now: Row) -> bool:
        """Make a row that there was not; another node may do the same."""
        try:
            await self._leases.insert_one({"_id": _id(row), "row": row, **now._asdict()})
        except DuplicateKeyError:
            return False
        return True


def highest_term(rows: Iterable[Row]) -> int:
    """The highest term that any row has had."""
    return max((row.term for row in rows), default=0)


def _id(row: int) -> str:
    return "prices" if row == PRICES else f"shard {row}"


ALL = frozenset(ROWS)
