"""``vyomo-rt backup`` and ``vyomo-rt restore``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import structs

from vyomo_rt import config
from vyomo_rt.app import (
    database_name,
    opened_store,
    require_data,
    wall_clock_ms,
    while_kept,
)
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import CannotStart, VyomoError
from vyomo_rt.domain.moment import iso
from vyomo_rt.store.backup import back_up, survey
from vyomo_rt.store.backup import restore as fill
from vyomo_rt.store.backup_file import read_head
from vyomo_rt.store.client import connect, database_of
from vyomo_rt.store.embedded import EmbeddedServer, uri_of_running
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.verification import verify
from vyomo_rt.version import version

Say = Callable[[str], None]


async def backup(settings: Settings, path: Path, say: Say) -> bool:
    """Write a backup, also while a server runs; whether it holds what its events say.

    Raises CannotStart.
    """
    async with _store_to_read(settings) as store:
        head = {
            "version": version(),
            "madeAt": iso(wall_clock_ms()),
            "database": store.database.name,
            "prices": _prices(settings),
        }
        await store.require_readable()
        verdict = await back_up(store, path, head, say)
        hint = "" if verdict.sessions else " (--feed and --demo choose the database)"
        say(f"database {store.database.name} in {path}: {verdict}{hint}")
    return not verdict.differences


async def restore(settings: Settings, path: Path, say: Say) -> bool:
    """Fill an empty store with a backup; whether it then holds what its events say.

    Raises CannotStart, also while a server runs on the store.
    """
    _require_same_prices(settings, path)
    found = survey(path)
    async with opened_store(structs.replace(settings, take_over=False)) as (store, keeping):
        await while_kept(keeping, fill(store, path, found))
        verdict = await while_kept(keeping, verify(store, say))
        say(f"database {store.database.name}: {verdict}")
    return not verdict.differences


@asynccontextmanager
async def _store_to_read(settings: Settings) -> AsyncIterator[MongoStore]:
    """The configured store, of which another server may be the owner. Raises CannotStart."""
    require_data(settings)
    uri = settings.mongo_uri or uri_of_running(settings.data_dir)
    embedded = EmbeddedServer(settings.data_dir) if uri is None else None
    uri = uri or (await embedded.start() if embedded else "")
    client = connect(uri)
    store = MongoStore(client, database_name(settings, database_of(client)))
    try:
        yield store
    except VyomoError as error:
        where = config.hide_password(uri)
        raise CannotStart(f"the store at {where} cannot be used: {error}") from error
    finally:
        await store.close()
        if embedded is not None:
            await embedded.stop()


def _require_same_prices(settings: Settings, path: Path) -> None:
    made_of = read_head(path).get("prices")
    if made_of != _prices(settings):
        raise CannotStart(f"{path} is of {made_of} prices: choose the same by --feed or --demo")


def _prices(settings: Settings) -> str:
    """What the prices of a database are: those of one are never mixed with those of another."""
    return "demo" if settings.demo else {"ingest": "pushed", "sim": "simulated"}[settings.feed]
