"""What kind of prices a database is about: trades of different kinds never meet in one."""

from __future__ import annotations

from pymongo.errors import PyMongoError

from vyomo_rt.domain.errors import CannotStart, Unavailable
from vyomo_rt.store.client import where
from vyomo_rt.store.database import Database, reading

REAL, SIMULATED, DEMO, REPLAYED = "real", "simulated", "demo", "replayed"
_ID = "prices"
_WORDS = {
    REAL: "real prices",
    SIMULATED: "simulated prices",
    DEMO: "the demo's prices",
    REPLAYED: "the prices of a recorded day",
}
_KEPT = "leases"
"""What says who owns the database outlives what it holds."""


async def require_kind(store: Database, kind: str) -> None:
    """Raise CannotStart if a database holds trades on prices of another kind, or Unavailable."""
    with reading():
        found = await store.database["meta"].find_one(where(_id=_ID))
    if found is not None and found["kind"] != kind:
        there = _WORDS.get(found["kind"], found["kind"])
        raise CannotStart(
            f"the database {store.database.name} is about {there}, and this server has "
            f"{_WORDS[kind]}: choose another --feed, or another database"
        )


async def claim(store: Database, kind: str) -> None:
    """Note of which kind a database is, once and for all; only its owner may call it.

    A replay begins with an empty one each time. Raises CannotStart and Unavailable.
    """
    await require_kind(store, kind)
    try:
        if kind == REPLAYED:
            await _empty(store)
        await store.database["meta"].update_one(
            where(_id=_ID), {"$set": {"kind": kind}}, upsert=True
        )
    except PyMongoError as error:
        raise Unavailable(f"the database cannot be used: {error}") from error


async def _empty(store: Database) -> None:
    """Remove everything, unless it is not known to be a replay's."""
    db = store.database
    if await db["meta"].find_one(where(_id=_ID)) is None and await db["events"].find_one({}):
        raise CannotStart(
            f"the database {db.name} holds trades, and a replay begins by emptying its own: "
            "choose another database"
        )
    for name in await db.list_collection_names():
        if name != _KEPT:
            await db.drop_collection(name)
