"""Only one server writes to a database: a document says which, and for how long."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from pymongo.errors import DuplicateKeyError, PyMongoError

from vyomo_rt.domain.errors import CannotStart, Unavailable
from vyomo_rt.store.client import where
from vyomo_rt.store.documents import Document
from vyomo_rt.store.shards import Shards, highest_term

if TYPE_CHECKING:
    from vyomo_rt.store.client import Collection
    from vyomo_rt.store.database import Database
    from vyomo_rt.store.fence import Moment

ID = "writer"
NODES = "nodes"
"""The owner of a database that nodes share."""
LEASE_MS = 15_000
"""A lease whose document has not changed for this long is dead."""
RENEW_S = 3.0
_RETRY_S = 0.25
_SURE_PART = 0.85
"""How long its owner relies on a lease: the rest is for a write on its way."""
_LOOK_S = 0.2

log = logging.getLogger(__name__)


class Lease:
    """This server's right to write to a database, renewed while it runs.

    No two clocks are compared. The owner counts from the moment at which it asked for the lease,
    on its own clock (`Fence`). Another server takes the lease once the document has not changed
    for ``LEASE_MS`` of *that* server's clock. ``epoch`` in the document counts the owners; its
    value for an owner is that owner's term.
    """

    def __init__(self, store: Database, at: str) -> None:
        """``at`` says in messages where the database is."""
        self._at = at
        self._leases: Collection = store.leases
        self._fence = store.fence
        self._met_another_writer = store.met_another_writer
        self._owner = self._name()

    @staticmethod
    def _name() -> str:
        return token_hex(8)

    async def acquire(self, *, take_over: bool = False) -> None:
        """Take the lease as soon as it is free. Raises CannotStart or Unavailable.

        With ``take_over`` a living owner loses it and stops.

        It is free if nobody has it, or if its owner was a process of this machine that no
        longer runs: after a crash nobody waits. All that is known of any other owner is that
        a living one renews its lease, so this waits until the lease is renewed, or dead.
        """
        try:
            holder = await self._take_free()
            if holder and take_over:
                await self._take_over(holder)
            elif holder:
                await self._outlive(holder)
        except PyMongoError as error:
            raise Unavailable(f"the database cannot be used: {error}") from error

    async def keep(self) -> None:
        """Renew the lease until cancelled. Raises CannotStart once another server has it."""
        pause_s = 0.0
        while True:
            await self._wait(pause_s)
            try:
                await self._renew()
                pause_s = RENEW_S
            except PyMongoError:
                pause_s = _RETRY_S

    async def release(self) -> None:
        """Free the lease for the next server; if the store does not answer, it simply dies."""
        self._fence.close()
        try:
            await self._leases.update_one(
                where(_id=ID, owner=self._owner), {"$set": {"untilMs": 0}}
            )
            await self._leases.update_one(
                where(_id=ID, previous=self._owner), {"$set": {"previous": ""}}
            )
        except PyMongoError:
            return

    async def _wait(self, pause_s: float) -> None:
        """Wait until it is time to renew, or until the lease is in doubt."""
        doubts = [self._met_another_writer, self._fence.met_closed]
        waiting = [asyncio.ensure_future(doubt.wait()) for doubt in doubts]
        try:
            await asyncio.wait(waiting, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        for doubt in doubts:
            doubt.clear()

    async def _renew(self) -> Document:
        asked_at = self._fence.now()
        result = await self._leases.update_one(
            where(_id=ID, owner=self._owner),
            {"$set": {"untilMs": _later_ms()}, "$inc": {"renewals": 1}},
        )
        holder = await self._holder()
        if not result.matched_count or holder is None or holder["owner"] != self._owner:
            self._fence.close()
            who = _describe(holder) if holder else "another server"
            raise CannotStart(
                f"{self._at}: {who} has taken this database over: only one may write to it"
            )
        self._fence.extend(asked_at, _sure_s())
        return holder

    async def _take_free(self) -> Document | None:
        """Take the lease if no living server can have it; otherwise return who has it."""
        if await self._take(where(_id=ID, untilMs=0), upsert=True):
            return None
        holder = await self._holder()
        if holder and self._may_join(holder):
            return None
        if holder and await self._is_over(holder) and await self._take(_as_seen(holder)):
            return None
        return holder

    async def _is_over(self, holder: Document) -> bool:
        """Whether its owner is certainly gone: no longer runs, or was nodes that all have left.

        A node that joins now renews after that, and finds that the lease is taken.
        """
        if holder["owner"] != NODES:
            return _is_dead(holder)
        return not any(map(is_of_a_node, await self._leases.find({}).to_list(None)))

    def _may_join(self, holder: Document) -> bool:
        """Whether it is held for this server, too."""
        del holder
        return False

    async def _outlive(self, holder: Document) -> None:
        """Take the lease once it is dead. Raises CannotStart if it is renewed meanwhile."""
        log.info("%s: waiting to see whether it is still alive", _describe(holder))
        dead_at = time.monotonic() + _lasts_s(holder)
        while (seen := await self._take_free()) is not None:
            if _as_seen(seen) != _as_seen(holder):
                raise CannotStart(
                    f"{self._at}: another server writes to this database ({_describe(seen)}): "
                    "stop it first"
                )
            if time.monotonic() >= dead_at and await self._take(_as_seen(holder)):
                log.info("%s is dead: taking its place", _describe(holder))
                return
            await asyncio.sleep(_LOOK_S)

    async def _take_over(self, holder: Document) -> None:
        """Take the lease from a living owner, and wait for its last write."""
        who = _describe(holder)
        # If two lost it one after the other, the first cannot report that it has stopped.
        previous = f"{holder['previous']} {holder['owner']}".strip()
        if not await self._take(where(_id=ID, owner=holder["owner"]), previous=previous):
            raise CannotStart(
                f"{self._at}: another server has taken the database over at the same time"
            )
        log.warning("taking the database over from %s, which has to stop", who)
        # By then the fence of a server that hangs has closed.
        deadline = time.monotonic() + _lasts_s(holder)
        while time.monotonic() < deadline:
            if not (await self._renew())["previous"]:
                log.info("%s has stopped", who)
                return
            await asyncio.sleep(_LOOK_S)
        log.warning("%s has not answered; its right to write has run out", who)

    async def _holder(self) -> Document | None:
        return await self._leases.find_one(where(_id=ID))

    async def _take(self, filter_: Document, *, previous: str = "", upsert: bool = False) -> bool:
        mine = {"owner": self._owner, "previous": previous, "untilMs": _later_ms(), **self._about()}
        asked_at = self._fence.now()
        try:
            await self._leases.update_one(
                filter_, {"$set": mine, "$inc": {"epoch": 1, "renewals": 1}}, upsert=upsert
            )
        except DuplicateKeyError:  # it exists, but the filter does not match
            return False
        holder = await self._holder()
        if holder is None or holder["owner"] != self._owner:
            return False
        await self._begin(holder, asked_at)
        return True

    def _about(self) -> Document:
        """What the document says of its owner."""
        return {**this_process(), "durationMs": LEASE_MS, "nodesMs": None}

    async def _begin(self, holder: Document, asked_at: Moment) -> None:
        """It was taken by a request sent at ``asked_at``: from now on this server may write."""
        highest = highest_term(Shards.read_from(await self._leases.find({}).to_list(None)).values())
        if holder["epoch"] <= highest:  # nodes had the database in between
            await self._leases.update_one(where(_id=ID), {"$max": {"epoch": highest + 1}})
        self._fence.term = max(holder["epoch"], highest + 1)
        self._fence.extend(asked_at, _sure_s())


def _as_seen(holder: Document) -> Document:
    """A filter for a lease that has not been renewed, released or taken since it was read.

    Older versions count no renewals, but their ``untilMs`` changes with each.
    """
    names = ("owner", "untilMs", "renewals")
    return where(_id=ID, **{name: holder[name] for name in names if name in holder})


def is_of_a_node(document: Document) -> bool:
    """Whether this is the lease of one of several nodes, and not one of their shards."""
    return "node" in document and "renewals" in document


async def raise_term(store: Database, at_least: int) -> None:
    """Make the terms of all later owners higher than that of existing events."""
    await store.leases.update_one(where(_id=ID), {"$max": {"epoch": at_least}})


def _is_dead(holder: Document) -> bool:
    """Whether the owner was a process visible from here that no longer runs."""
    if holder["machine"] != _MACHINE:
        return False
    if holder["pid"] == os.getpid():
        return bool(holder["process"] != _PROCESS)
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _describe(holder: Document) -> str:
    if holder["owner"] == NODES:
        return "several nodes"
    return f"process {holder['pid']} on {holder['host']}"


def _machine() -> str:
    """Names this boot of this machine, and its process numbers, as containers have their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _lasts_s(holder: Document) -> float:
    """How long a lease lives after its last renewal; nodes that share it say how long theirs do."""
    return float(holder.get("nodesMs") or holder.get("durationMs", LEASE_MS)) / 1000


def this_process() -> Document:
    """Which process of which machine this is, for messages and for others on the machine."""
    return {
        "host": socket.gethostname(),
        "machine": _MACHINE,
        "pid": os.getpid(),
        "process": _PROCESS,
    }


_MACHINE = _machine()
_PROCESS = token_hex(8)


def _sure_s() -> float:
    return LEASE_MS / 1000 * _SURE_PART


def _later_ms() -> int:
    """When the lease would end by this server's clock: only version 0.1 uses it.

    An int, because the embedded server turns a date that is $set into a string.
    """
    return time.time_ns() // 1_000_000 + LEASE_MS
