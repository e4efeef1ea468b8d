"""``vyomo-rt verify`` as a command."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.kit.forking import start_program
from tests.kit.rest import Rest
from tests.kit.server import MakeServer
from vyomo_rt.ending import end
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.lease import Lease


async def run(*flags: str) -> tuple[int | None, list[str], str]:
    """Exit code, lines of standard output, and standard error of ``vyomo-rt verify``."""
    process = await start_program("verify", "--log-level", "warning", *flags)
    out, err = await process.communicate()
    return process.returncode, out.decode().splitlines(), err.decode()


async def test_the_data_of_a_killed_server_are_well_until_somebody_touches_them(
    server_process: MakeServer, tmp_path: Path
) -> None:
    server = server_process()
    async with aiohttp.ClientSession() as http:
        rest = Rest(await server.start(), http)
        session_id = await rest.new_session()
        trade = await rest.open_trade(session_id)
        await rest.close_trade(trade["tradeId"], 200)
        folder = str(tmp_path / "data")
        refused = await run("--data-dir", folder)
        assert refused == (
            1,
            [],
            f"vyomo-rt: another server is using the data folder {folder}\n",
        )
    await server.kill()
    assert await run("--data-dir", folder) == (
        0,
        [
            "session 1 'Session 1': 2 events, 1 trade (0 open), 237.50 realised: no differences",
            "database vyomo: 1 session, 2 events, 1 trade: no differences",
        ],
        "",
    )

    embedded = EmbeddedServer(tmp_path / "data")
    store = MongoStore(connect(await embedded.start()), "vyomo")
    await store.database["trades"].update_one({"_id": 1}, {"$set": {"exitPriceE4": 1}})
    await store.close()
    await embedded.stop()
    code, said, _ = await run("--data-dir", folder)
    assert code == 1
    assert said[0] == "  trade 1: exitPriceE4: stored 1, computed 2000000"
    assert said[-1] == "database vyomo: 1 session, 2 events, 1 trade: 1 difference"


async def test_a_mongodb_that_a_server_writes_to_is_not_verified(
    embedded_uri: str, tmp_path: Path
) -> None:
    uri = f"{embedded_uri}verify_test"
    store = MongoStore(connect(uri), "verify_test")
    lease = Lease(store, "here")
    await lease.acquire()
    keeping = asyncio.create_task(lease.keep())
    code, said, complaint = await run("--mongo-uri", uri)
    await end(keeping)
    await store.close()
    assert (code, said) == (1, [])
    assert "another server writes to this database (process" in complaint


async def test_verify_takes_nothing_over_whatever_the_environment_says(
    embedded_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VYOMO_RT_TAKE_OVER", "1")
    uri = f"{embedded_uri}verify_no_take_over"
    store = MongoStore(connect(uri), "verify_no_take_over")
    lease = Lease(store, "here")
    await lease.acquire()
    keeping = asyncio.create_task(lease.keep())
    code, said, complaint = await run("--mongo-uri", uri)
    assert not keeping.done()
    await end(keeping)
    await store.close()
    assert (code, said) == (1, [])
    assert "another server writes to this database (process" in complaint


async def test_a_folder_without_data_is_named_and_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "mistyped"
    code, said, complaint = await run("--data-dir", str(folder))
    assert (code, said) == (1, [])
    assert complaint == f"vyomo-rt: there is no store in the data folder {folder}\n"
    assert not folder.exists()
