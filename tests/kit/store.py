"""An embedded store that tests share, each in a database of its own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vyomo_rt.store.client import connect
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.verification import verify

_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 1 << 29
_PATTERN = "pattern"


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder on no disk, if the machine has one with room, so that no write waits for a disk."""
    fits = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES
    with tempfile.TemporaryDirectory(prefix="vyomo-rt-", dir=_MEMORY if fits else None) as folder:
        yield Path(folder)


def new_database(store_uri: str) -> str:
    """The address of a database in a store that nobody else uses."""
    return f"{store_uri}test_{uuid.uuid4().hex}"


async def prepare_pattern(store_uri: str) -> None:
    """Keep the file of an empty database with all indexes: making them takes a server 25 ms."""
    store = MongoStore(connect(store_uri), _PATTERN)
    await store.prepare()
    await store.close()
    folder = _folder_of(store_uri)
    with (
        closing(sqlite3.connect(folder / "db" / f"{_PATTERN}.db")) as made,
        closing(sqlite3.connect(folder / _PATTERN)) as copy,
    ):
        made.backup(copy)


def prepared_database(store_uri: str) -> str:
    """The same for a database that has its indexes, as a server's first start leaves it.

    In a store that is not the embedded one the first server makes them.
    """
    uri = new_database(store_uri)
    folder = _folder_of(store_uri)
    if not (folder / _PATTERN).exists():
        return uri
    shutil.copyfile(folder / _PATTERN, folder / "db" / f"{uri.removeprefix(store_uri)}.db")
    return uri


def _folder_of(store_uri: str) -> Path:
    return Path(unquote(urlsplit(store_uri).netloc)).parent


async def assert_sound(store_uri: str, database: str) -> None:
    """What the store holds is what its events say."""
    store = MongoStore(connect(store_uri), database)
    said: list[str] = []
    verdict = await verify(store, said.append)
    await store.close()
    assert verdict.differences == 0, said
