"""Only one server writes to a database: a document says which, and for how long."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from pymongo.errors import DuplicateKeyError, PyMongoError

from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.store.documents import Document
from vyomo_rt.store.mongo import where

if TYPE_CHECKING:
    from vyomo_rt.store.mongo import Collection, MongoStore

_ID = "writer"
LEASE_MS = 15_000
RENEW_S = 3.0
_LOOK_S = 0.2
_STOP_S = 3.0
"""What a server needs to stop, once it knows that it lost the lease."""


log = logging.getLogger(__name__)


class LeaseError(Exception):
    """Another server has the database; one line for the person who started this one."""


class Lease:
    """This server's right to write to a database, renewed while it runs.

    It keeps out a second server by mistake. What holds if both clocks and the
    network lie is the unique number of each event. ``epoch`` in its document
    counts the owners there have been.
    """

    def __init__(self, store: MongoStore) -> None:
        self._leases: Collection = store.leases
        self._met_another_writer = store.met_another_writer
        self._owner = token_hex(8)

    async def acquire(self, *, take_over: bool = False) -> None:
        """Take the lease as soon as it is free. Raises LeaseError, or Unavailable.

        With ``take_over`` a living owner loses it and stops.

        It is free if nobody has it, if its time is over, or if its owner was a
        process of this machine that no longer runs: after a crash nobody waits.
        Of any other owner nothing is known but that a living one renews its
        lease: so this waits until the lease is renewed, or runs out.
        """
        holder = seen = await self._try()
        if holder and take_over:
            await self._take_over(holder)
            return
        if holder:
            log.info("%s: waiting whether it is still there", _describe(holder))
        while holder and seen:
            if (holder["owner"], holder["untilMs"]) != (seen["owner"], seen["untilMs"]):
                raise LeaseError(
                    f"another server writes to this database ({_describe(holder)}): stop it first"
                )
            await asyncio.sleep(_LOOK_S)
            holder = await self._try()

    async def keep(self) -> None:
        """Renew the lease until cancelled. Raises LeaseError once another server has it."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEW_S):
                    await self._met_another_writer.wait()
            self._met_another_writer.clear()
            try:
                result = await self._leases.update_one(
                    where(_id=_ID, owner=self._owner), {"$set": {"untilMs": _later_ms()}}
                )
                holder = None if result.matched_count else await self._holder()
            except PyMongoError:
                continue
            if not result.matched_count:
                who = _describe(holder) if holder else "another server"
                raise LeaseError(f"{who} has taken this database over: only one may write to it")

    async def release(self) -> None:
        """Let the next server have it at once; without an answer it simply runs out."""
        try:
            await self._leases.update_one(
                where(_id=_ID, owner=self._owner), {"$set": {"untilMs": 0}}
            )
            await self._leases.update_one(
                where(_id=_ID, previous=self._owner), {"$set": {"previous": ""}}
            )
        except PyMongoError:
            return

    async def _take_over(self, holder: Document) -> None:
        """Take the lease from a living owner, and wait until that has written its last."""
        who = _describe(holder)
        try:
            await self._take(where(_id=_ID, owner=holder["owner"]), previous=holder["owner"])
            log.warning("taking the database over from %s, which has to stop", who)
            deadline = time.monotonic() + RENEW_S + _STOP_S
            while time.monotonic() < deadline:
                now = await self._holder()
                if now is None or now["owner"] != self._owner:
                    raise LeaseError("a third server has taken the database at the same moment")
                if not now["previous"]:
                    log.info("%s has stopped", who)
                    return
                await asyncio.sleep(_LOOK_S)
        except PyMongoError as error:
            raise Unavailable(f"the database cannot be used: {error}") from error
        # If it is only hung, its next write meets a number that is taken, and it stops then.
        log.warning("%s has not answered; going on without it", who)

    async def _try(self) -> Document | None:
        """Take the lease; returns who has it if that fails."""
        try:
            if await self._take(where(_id=_ID, untilMs={"$lt": _now_ms()}), upsert=True):
                return None
            holder = await self._holder()
            if holder and _is_dead(holder):
                await self._take(where(_id=_ID, owner=holder["owner"]))
                holder = await self._holder()
        except PyMongoError as error:
            raise Unavailable(f"the database cannot be used: {error}") from error
        return None if holder and holder["owner"] == self._owner else holder

    async def _holder(self) -> Document | None:
        return await self._leases.find_one(where(_id=_ID))

    async def _take(self, filter_: Document, *, previous: str = "", upsert: bool = False) -> bool:
        mine = {
            "owner": self._owner,
            "previous": previous,
            "host": socket.gethostname(),
            "machine": _MACHINE,
            "pid": os.getpid(),
            "process": _PROCESS,
            "untilMs": _later_ms(),
        }
        try:
            result = await self._leases.update_one(
                filter_, {"$set": mine, "$inc": {"epoch": 1}}, upsert=upsert
            )
        except DuplicateKeyError:  # it is there, and the filter does not fit
            return False
        return bool(result.matched_count or result.upserted_id)


def _is_dead(holder: Document) -> bool:
    """Whether the owner was a process that could be seen from here, and cannot be."""
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
    return f"process {holder['pid']} on {holder['host']}"


def _machine() -> str:
    """Names this boot of this machine and, as containers have their own, its process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


_MACHINE = _machine()
_PROCESS = token_hex(8)


def _now_ms() -> int:
    # An int, because the embedded server turns a date that is $set into a string.
    return time.time_ns() // 1_000_000


def _later_ms() -> int:
    return _now_ms() + LEASE_MS
