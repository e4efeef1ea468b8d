"""Which node owns which shard: a row for each, changed only by compare-and-set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

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

    async def change(self, row: int, was: Row | None, node: str, term: int) -> Row | None:
        """Give a row a new owner if it still is as it was; returns it as it is then, or None.

        Raises PyMongoError; then it may or may not have changed.
        """
        id_, now = _id(row), Row(node, term)
        if was is None:
            try:
                await self._leases.insert_one({"_id": id_, "row": row, "node": node, "term": term})
            except DuplicateKeyError:
                return None
            return now
        result = await self._leases.update_one(
            where(_id=id_, node=was.node, term=was.term), {"$set": {"node": node, "term": term}}
        )
        return now if result.matched_count else None


def highest_term(rows: Iterable[Row]) -> int:
    """The highest term that any row has had."""
    return max((row.term for row in rows), default=0)


def _id(row: int) -> str:
    return "prices" if row == PRICES else f"shard {row}"


ALL = frozenset(ROWS)
