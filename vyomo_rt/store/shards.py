"""Which node owns which shard: a row for each, changed only by compare-and-set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pymongo import UpdateMany

from vyomo_rt.domain.shard import PRICES
from vyomo_rt.store.client import where
from vyomo_rt.store.database import insert_in_order
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

        All go together: a node that is the first takes all, and one that leaves gives many.
        Raises PyMongoError; then any of them may have changed.
        """
        new = [
            {"_id": _id(row), "row": row, **now._asdict()}
            for row, (was, now) in changes.items()
            if was is None
        ]
        alike: dict[tuple[Row, Row], list[str]] = defaultdict(list)
        for row, (was, now) in changes.items():
            if was is not None:
                alike[was, now].append(_id(row))
        # A store that is asked for each of them by itself takes several times as long.
        updates = [
            UpdateMany(where(_id={"$in": ids}, **was._asdict()), {"$set": now._asdict()})
            for (was, now), ids in alike.items()
        ]
        changed = await insert_in_order(self._leases, new) if new else 0
        if updates:
            changed += (await self._leases.bulk_write(updates, ordered=False)).matched_count
        if changed < len(changes):  # another node was first
            return self.read_from(await self._leases.find({}).to_list(None))
        return {row: now for row, (_, now) in changes.items()}


def highest_term(rows: Iterable[Row]) -> int:
    """The highest term that any row has had."""
    return max((row.term for row in rows), default=0)


def _id(row: int) -> str:
    return "prices" if row == PRICES else f"shard {row}"
