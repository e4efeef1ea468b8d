"""An embedded store that tests share, each in a database of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vyomo_rt.store.client import connect
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.verification import verify

_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 1 << 29


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder on no disk, if the machine has one with room, so that no write waits for a disk."""
    fits = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES
    with tempfile.TemporaryDirectory(prefix="vyomo-rt-", dir=_MEMORY if fits else None) as folder:
        yield Path(folder)


def new_database(store_uri: str) -> str:
    """The address of a database in a store that nobody else uses."""
    return f"{store_uri}test_{uuid.uuid4().hex}"


async def assert_sound(store_uri: str, database: str) -> None:
    """What the store holds is what its events say."""
    store = MongoStore(connect(store_uri), database)
    said: list[str] = []
    verdict = await verify(store, said.append)
    await store.close()
    assert verdict.differences == 0, said
