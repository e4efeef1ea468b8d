"""The commands on what is stored: ``verify``, ``backup`` and ``restore``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import structs

from vyomo_rt.clockwork import wall_now
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import iso
from vyomo_rt.store.backup import back_up, survey
from vyomo_rt.store.backup import restore as fill
from vyomo_rt.store.backup_file import read_head
from vyomo_rt.store.kinds import require_kind
from vyomo_rt.store.opening import owned_store, require_data, store_to_read, while_owned
from vyomo_rt.store.verification import verify as check
from vyomo_rt.version import version

Say = Callable[[str], None]


async def verify(settings: Settings, say: Say) -> bool:
    """Whether the store holds what its events say; reports each difference in a line.

    Raises CannotStart, for example while a server runs on the store.
    """
    require_data(settings)
    # verify only reads: it never takes over, even if VYOMO_RT_TAKE_OVER is set.
    async with owned_store(structs.replace(settings, take_over=False)) as (store, keeping):
        await store.require_readable()
        await require_kind(store, settings.kind_of_prices)
        verdict = await while_owned(keeping, check(store, say))
    hint = "" if verdict.sessions else " (--feed and --demo choose the database)"
    say(f"database {store.database.name}: {verdict}{hint}")
    return not verdict.differences


async def backup(settings: Settings, path: Path, say: Say) -> bool:
    """Write a backup, even while a server runs; returns whether it holds what its events say.

    Raises CannotStart.
    """
    async with store_to_read(settings) as store:
        head = {
            "version": version(),
            "madeAt": iso(wall_now()),
            "database": store.database.name,
            "prices": settings.kind_of_prices,
        }
        await store.require_readable()
        await require_kind(store, settings.kind_of_prices)
        verdict = await back_up(store, path, head, say)
        hint = "" if verdict.sessions else " (--feed and --demo choose the database)"
        say(f"database {store.database.name} in {path}: {verdict}{hint}")
    return not verdict.differences


async def restore(settings: Settings, path: Path, say: Say) -> bool:
    """Fill an empty store with a backup; returns whether it then holds what its events say.

    Raises CannotStart, for example while a server runs on the store.
    """
    _require_same_prices(settings, path)
    found = survey(path)
    async with owned_store(structs.replace(settings, take_over=False)) as (store, keeping):
        await require_kind(store, settings.kind_of_prices)
        await while_owned(keeping, fill(store, path, found))
        verdict = await while_owned(keeping, check(store, say))
        say(f"database {store.database.name}: {verdict}")
    return not verdict.differences


def _require_same_prices(settings: Settings, path: Path) -> None:
    made_of = read_head(path).get("prices")
    if made_of != settings.kind_of_prices:
        raise CannotStart(f"{path} is of {made_of} prices: choose the same with --feed or --demo")
