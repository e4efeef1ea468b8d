"""This process among the nodes that share a database: its lease, and the shards that it owns."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError, PyMongoError

from vyomo_rt.domain.errors import CannotStart, NewerData, Unavailable, VyomoError
from vyomo_rt.domain.event import SHAPE
from vyomo_rt.domain.shard import PRICES, SHARDS, even_split
from vyomo_rt.store.client import where
from vyomo_rt.store.documents import Document
from vyomo_rt.store.lease import ID, NODES, Lease, is_of_a_node, this_process
from vyomo_rt.store.shards import Change, Row, Shards
from vyomo_rt.store.store_clock import StoreClock
from vyomo_rt.version import version

if TYPE_CHECKING:
    from vyomo_rt.store.database import Database
    from vyomo_rt.store.fence import Moment

log = logging.getLogger(__name__)

_FOR_EVER_MS = 315_360_000_000
"""A server without nodes never finds the shared lease dead."""

LEASE_MS = 5000
"""A node whose lease has not changed for this long is dead."""
RENEW_S, LOOK_S = 1.0, 0.5
SURE_S = 3.5
"""How long a node relies on its lease: the rest is for a write on its way."""
_BLIND_S = 1.5
"""After so long without a look at the leases, none of them is known to stand still."""


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class SharedLease(Lease):
    """The lease of the database, held by all nodes together."""

    @staticmethod
    def _name() -> str:
        return NODES

    def _may_join(self, holder: Document) -> bool:
        return bool(holder["owner"] == NODES)

    def _about(self) -> Document:
        about = dict.fromkeys(this_process(), "") | {"host": "several nodes", "pid": 0}
        return {**about, "durationMs": _FOR_EVER_MS, "nodesMs": LEASE_MS}

    async def _begin(self, holder: Document, asked_at: Moment) -> None:
        """The right to write comes with a node's own lease."""


class Node:
    """One of the nodes: renews its lease, watches the others', takes and gives shards.

    ``give_up`` is called with shards that another node is to have, and returns once nothing
    more is written to them. ``changed`` is set when any row has another owner.
    """

    def __init__(
        self,
        store: Database,
        at: str,
        wall_ms: Callable[[], int] = _wall_ms,
        *,
        reads: int = SHAPE,
    ) -> None:
        """``reads`` is the newest shape of events that this build can read, and write."""
        self.id = token_hex(8)
        self.changed = asyncio.Event()
        self.give_up: Callable[[Collection[int]], Awaitable[None]] = _gives_up_nothing
        self.rows: Mapping[int, Row] = {}
        self.nodes: Mapping[str, Document] = {}
        """The living ones, by their ids."""
        self.bus_name = ""
        """By which nodes of one database know each other among those of others."""
        self.clock = StoreClock(store, wall_ms)
        self._at = at
        self._store = store
        self._leases = store.leases
        self._shards = Shards(store.leases)
        self._shared = SharedLease(store, at)
        self._is_ready = self._is_leaving = False
        self._epoch = 0
        self._wake = asyncio.Event()
        self._rounds = asyncio.Lock()
        self.looked_s = 0.0
        """When the rows were last read, by the monotonic clock."""
        self._renewed_at = 0.0
        self._giving: set[int] = set()
        self._seen: dict[str, tuple[int, float]] = {}
        """The renewals of each lease, and since when they are known."""
        self._reads = reads
        self._declared = 0
        """Of events up to this shape the store says that there may be some."""
        self._has_read = False
        store.terms = {}
        store.shape = 0  # until the nodes agree: before that, none decides about anything

    @property
    def owned(self) -> dict[int, int]:
        """The term of each shard that is this node's and stays so; of the prices, too."""
        return {row: term for row, term in self._held.items() if row not in self._giving}

    @property
    def _held(self) -> dict[int, int]:
        return {number: row.term for number, row in self.rows.items() if row.node == self.id}

    def owner(self, row: int) -> str | None:
        """The living node that owns a shard or the prices."""
        found = self.rows.get(row)
        return found.node if found is not None and found.node in self.nodes else None

    async def join(self, *, take_over: bool = False) -> None:
        """Become one of the nodes, without any shard. Raises CannotStart or Unavailable."""
        await self._shared.acquire(take_over=take_over)
        try:
            self.bus_name = await self._find_bus_name()
            await self.clock.compare()
            await self._insert()
            await self._round()
        except PyMongoError as error:
            raise Unavailable(f"the database cannot be used: {error}") from error
        except VyomoError:
            await self.leave()
            raise

    async def keep(self) -> None:
        """Keep the lease until cancelled. Raises CannotStart if the database was taken over."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S * random.uniform(0.8, 1.0)):  # noqa: S311
                    await self._wait()
            try:
                await self._round()
            except (PyMongoError, Unavailable):
                await asyncio.sleep(0.2)

    def look(self) -> None:
        """Look at the rows now: another node says that it has changed some."""
        self._wake.set()

    def get_ready(self) -> None:
        """From now on this node takes shards."""
        self._is_ready = True
        self._renewed_at = 0.0
        self.look()

    async def hand_over(self) -> None:
        """Give everything to the others, as far as there are any. The node takes nothing more."""
        self._is_ready, self._is_leaving = False, True
        self._renewed_at = 0.0
        with suppress(PyMongoError, VyomoError):  # then there is nothing to give
            await self._round()

    async def leave(self) -> None:
        """Give up the lease; what was not handed over is free at once."""
        self._store.fence.close()
        with suppress(PyMongoError):
            await self._leases.delete_one(where(_id=_id(self.id)))

    async def take_prices(self) -> None:
        """Become the owner of the prices in place of one that is not heard any more."""
        row = self.rows.get(PRICES)
        if self._is_ready and row is not None and self.clock.confirms:
            with suppress(PyMongoError):
                await self._set_rows({PRICES: self.id})

    async def _wait(self) -> None:
        doubts = [self._wake, self._store.met_another_writer, self._store.fence.met_closed]
        waiting = [asyncio.ensure_future(doubt.wait()) for doubt in doubts]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
            for doubt in doubts:
                doubt.clear()

    # -- a round ---------------------------------------------------------------

    async def _round(self) -> None:
        """Renew, look, bury, take, give."""
        async with self._rounds:
            asked_at = self._store.fence.now()
            is_renewed = await self._renew()
            dead = await self._look()
            await self._agree()
            if is_renewed:
                self._store.fence.extend(asked_at, SURE_S)
            for node in dead:
                await self._condemn(node)
            if self._is_ready:
                await self._take()
            await self._give()
            if self.clock.is_due:
                await self.clock.compare()

    async def _renew(self) -> bool:
        """Renew once a second; a closed fence cannot wait."""
        if time.monotonic() - self._renewed_at < RENEW_S and self._store.fence.is_open:
            return False
        began = time.monotonic()
        said = {"ready": self._is_ready, "clock": self.clock.confirms}
        renewal = {"$inc": {"renewals": 1}, "$set": said}
        shared = where(_id=ID, owner=NODES)
        both = [
            UpdateOne(where(_id=_id(self.id)), renewal),
            UpdateOne(shared, {"$inc": {"renewals": 1}}),
        ]
        result = await self._leases.bulk_write(both, ordered=False)
        if result.matched_count < len(both):
            if await self._leases.find_one(shared) is None:
                self._store.fence.close()
                raise CannotStart(
                    f"{self._at}: a server without nodes has taken this database over"
                )
            log.warning("this node stood still too long, and was taken for dead: it joins anew")
            # Under another name: others may be about to take what the former one still has.
            self.id = token_hex(8)
            self._set({}, self.nodes)
            await self._insert()
        if not self._has_read:
            await self._require_readable()
        self._renewed_at = began
        return True

    async def _agree(self) -> None:
        """Write events as all living nodes can read them.

        A new shape is declared before it is written: a build that cannot read it has either
        joined before, so the next look shows it, or finds the declaration when it starts.
        """
        lowest = min([self._reads, *(lease["reads"] for lease in self.nodes.values())])
        self._store.shape = min(lowest, self._declared)
        if lowest > self._declared:
            await self._store.declare_shape(lowest)
            self._declared = lowest

    async def _require_readable(self) -> None:
        """Once the others see this node: before that they may have begun to write a newer shape."""
        try:
            await self._store.require_readable()
        except NewerData as error:
            raise CannotStart(f"the store at {self._at} cannot be used: {error}") from error
        self._has_read = True

    async def _find_bus_name(self) -> str:
        with suppress(DuplicateKeyError):
            await self._leases.insert_one({"_id": "bus", "name": token_hex(8)})
        found = await self._leases.find_one(where(_id="bus"))
        assert found is not None
        return str(found["name"])

    async def _insert(self) -> None:
        about = {"node": self.id, "durationMs": LEASE_MS, "renewals": 0}
        about |= {"ready": self._is_ready, "clock": self.clock.confirms}
        about |= {"reads": self._reads, "version": version()}
        await self._leases.insert_one({"_id": _id(self.id), **this_process(), **about})
        self._has_read = False

    async def _look(self) -> list[Document]:
        """Read all leases and rows; returns the leases of nodes that are dead."""
        documents = await self._leases.find({}).to_list(None)
        now = time.monotonic()
        if now - self.looked_s > _BLIND_S:
            self._seen.clear()
        self.looked_s = now
        nodes = {each["node"]: each for each in documents if is_of_a_node(each)}
        self._seen = {node: self._seen_now(node, each, now) for node, each in nodes.items()}
        dead = [
            each
            for node, each in nodes.items()
            if node != self.id and now - self._seen[node][1] >= each["durationMs"] / 1000
        ]
        self._epoch = next((each["epoch"] for each in documents if each["_id"] == ID), 0)
        self._set(Shards.read_from(documents), nodes)
        return dead

    def _seen_now(self, node: str, lease: Document, now: float) -> tuple[int, float]:
        renewals, since = self._seen.get(node, (-1, now))
        return (renewals, since) if renewals == lease["renewals"] else (lease["renewals"], now)

    def _set(self, rows: Mapping[int, Row], nodes: Mapping[str, Document]) -> None:
        if rows != self.rows or nodes.keys() != self.nodes.keys():
            self.changed.set()
        self.rows, self.nodes = rows, nodes
        # What has begun may be finished before a shard is given.
        self._store.terms = self._held
        self._store.fence.term = self._held.get(PRICES, 0)

    async def _condemn(self, lease: Document) -> None:
        """Remove a dead node's lease, unless it has been renewed meanwhile: then it lives."""
        result = await self._leases.delete_one(where(_id=lease["_id"], renewals=lease["renewals"]))
        nodes = {node: each for node, each in self.nodes.items() if node != lease["node"]}
        if result.deleted_count:
            log.warning("node %s (process %d on %s) is dead", *_named(lease))
        self._set(self.rows, nodes)

    async def _take(self) -> None:
        """Take what is free and falls to this node by the even split."""
        split = even_split(self._owners(), self._ready())
        free = [
            shard
            for shard in range(SHARDS)
            if split.get(shard) == self.id and self.owner(shard) is None
        ]
        if self.owner(PRICES) is None and self.clock.confirms:
            free.append(PRICES)
        await self._set_rows(dict.fromkeys(free, self.id))

    async def _give(self) -> None:
        """Give what this node has too much of: everything, if it leaves."""
        ready = self._ready()
        split = even_split(self._owners(), ready)
        mine = [shard for shard, row in self.rows.items() if row.node == self.id]
        giving = {
            shard: split.get(shard, "")
            for shard in mine
            if shard != PRICES and split.get(shard) not in (None, self.id)
        }
        heirs = sorted(node for node in ready if self.nodes.get(node, {}).get("clock"))
        heirs = [node for node in heirs if node != self.id]
        if (self._is_leaving or not self.clock.confirms) and PRICES in mine and heirs:
            giving[PRICES] = heirs[0]
        if not giving:
            return
        self._giving = set(giving)
        try:
            await self.give_up(giving.keys())
            await self._set_rows(giving)
        finally:
            self._giving = set()
            self.changed.set()  # what could not be given is this node's as before

    async def _set_rows(self, owners: Mapping[int, str]) -> None:
        changes: dict[int, Change] = {}
        for row, node in owners.items():
            was = self.rows.get(row)
            changes[row] = was, Row(node, max(self._epoch, 0 if was is None else was.term) + 1)
        if changes:
            self._set({**self.rows, **await self._shards.change(changes)}, self.nodes)

    def _owners(self) -> dict[int, str]:
        return {shard: row.node for shard, row in self.rows.items() if shard != PRICES}

    def _ready(self) -> Iterable[str]:
        others = {node for node, lease in self.nodes.items() if lease["ready"] and node != self.id}
        return others | ({self.id} if self._is_ready else set())


async def _gives_up_nothing(_: Collection[int]) -> None:
    """For a node that decides nothing yet."""


def _id(node: str) -> str:
    return f"node {node}"


def _named(lease: Document) -> tuple[str, int, str]:
    return lease["node"], lease["pid"], lease["host"]
