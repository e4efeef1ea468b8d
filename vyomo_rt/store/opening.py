"""Opens the store that the settings name: a MongoDB, or the embedded server in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from vyomo_rt import config
from vyomo_rt.domain.errors import CannotStart, VyomoError
from vyomo_rt.ending import end
from vyomo_rt.store.client import connect, database_of
from vyomo_rt.store.embedded import EmbeddedServer, uri_of_running
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.lanes import EMBEDDED, MONGODB
from vyomo_rt.store.lease import Lease
from vyomo_rt.store.nodes import Node

if TYPE_CHECKING:
    from vyomo_rt.config import Settings

T = TypeVar("T")

_DATABASE = "vyomo"
_SUFFIXES = {"real": "", "simulated": "_sim", "demo": "_demo", "replayed": "_replay"}
LAST_WRITE_S = 0.3
"""For a write that is only a convenience: a store that hangs must not delay the end."""


@asynccontextmanager
async def owned_store(settings: Settings) -> AsyncIterator[tuple[MongoStore, asyncio.Task[None]]]:
    """The store, for this server alone. Raises CannotStart.

    The task keeps the ownership; it ends with a CannotStart once another server has the store.
    """
    async with _opened(settings, settings.mongo_uri) as (store, place):
        lease = Lease(store, place)
        await lease.acquire(take_over=settings.take_over)
        keeping = asyncio.create_task(lease.keep())
        try:
            yield store, keeping
        finally:
            await end(keeping)
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WRITE_S):
                    await lease.release()


@asynccontextmanager
async def shared_store(
    settings: Settings, wall_ms: Callable[[], int]
) -> AsyncIterator[tuple[MongoStore, Node, asyncio.Task[None]]]:
    """The store, shared with other nodes. Raises CannotStart.

    The task keeps the membership; it ends with a CannotStart once a server that is alone has
    taken the store over.
    """
    async with _opened(settings, settings.mongo_uri) as (store, place):
        node = Node(store, place, wall_ms)
        await node.join(take_over=settings.take_over)
        keeping = asyncio.create_task(node.keep())
        try:
            yield store, node, keeping
        finally:
            await end(keeping)
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WRITE_S):
                    await node.leave()


async def while_owned(keeping: asyncio.Task[None], work: Coroutine[Any, Any, T]) -> T:
    """Do something that only the store's owner may. Raises CannotStart once another owns it."""
    doing = asyncio.create_task(work)
    try:
        await asyncio.wait({doing, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        return await doing
    finally:
        doing.cancel()


@asynccontextmanager
async def store_to_read(settings: Settings) -> AsyncIterator[MongoStore]:
    """The store, which another server may own. Raises CannotStart."""
    require_data(settings)
    uri = settings.mongo_uri or uri_of_running(settings.data_dir)
    async with _opened(settings, uri) as (store, _):
        yield store


def require_data(settings: Settings) -> None:
    """Raise CannotStart if the settings mean the embedded store and its folder holds none."""
    if settings.mongo_uri is None and not (settings.data_dir / "db").is_dir():
        raise CannotStart(f"there is no store in the data folder {settings.data_dir.absolute()}")


@asynccontextmanager
async def _opened(settings: Settings, uri: str | None) -> AsyncIterator[tuple[MongoStore, str]]:
    """A store and where it is; without a URI, an embedded one of our own."""
    embedded = EmbeddedServer(settings.data_dir) if uri is None else None
    try:
        if embedded is not None:
            uri = await embedded.start()
        assert uri is not None
        client = connect(uri)
        pace = EMBEDDED if embedded else MONGODB
        name = _database_name(settings, database_of(client))
        store = MongoStore(client, name, pace=pace)
        place = config.hide_password(uri)
        try:
            yield store, place
        except VyomoError as error:
            raise CannotStart(f"the store at {place} cannot be used: {error}") from error
        finally:
            await store.close()
    finally:
        if embedded is not None:
            await embedded.stop()


def _database_name(settings: Settings, in_uri: str | None) -> str:
    """Separate databases: simulated prices never value or close a trade opened on real ones."""
    return (in_uri or _DATABASE) + _SUFFIXES[settings.kind_of_prices]
