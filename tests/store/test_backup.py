"""A backup holds what was acknowledged, and a store made of it is as the one it was made of."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import aiohttp
import pymongo
import pytest

from tests.kit.forking import start_program
from tests.kit.history import make_store
from tests.kit.proxy import proxy_before
from tests.kit.rest import API, Rest
from tests.kit.server import ServerProcess
from tests.kit.store import new_database
from tests.kit.waiting import PATIENCE_S, until
from vyomo_rt.domain.bars import Bar, SymbolHour, SymbolMinute
from vyomo_rt.domain.curve import CurveRow
from vyomo_rt.domain.moment import HOUR_MS, day_of
from vyomo_rt.domain.session import Session
from vyomo_rt.store import indexes
from vyomo_rt.store.backup import back_up, restore, survey
from vyomo_rt.store.backup_file import read
from vyomo_rt.store.bars import SavedBars
from vyomo_rt.store.client import connect, database_of
from vyomo_rt.store.curves import SavedCurves
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.lease import Lease
from vyomo_rt.store.verification import verify

if TYPE_CHECKING:
    from vyomo_rt.domain.event import TradeEvent

    MakeServer = Callable[..., ServerProcess]
    MakeOpening = Callable[..., TradeEvent]


async def run(*arguments: object) -> tuple[int, list[str], str]:
    """Exit code, what was said, and the complaint."""
    process = await start_program(*arguments, "--log-level", "error")
    said, complaint = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode().splitlines(), complaint.decode()


async def trade_until(done: asyncio.Event, rest: Rest, session_id: int) -> list[dict[str, Any]]:
    """Open trades and close each second one; returns what was acknowledged, in order."""
    acknowledged = []
    while not done.is_set():
        trade = await rest.open_trade(session_id, symbol="N")
        acknowledged.append(trade)
        if trade["tradeId"] % 2:
            acknowledged.append(await rest.close_trade(trade["tradeId"], 196))
    return acknowledged


async def seq_of_several(rest: Rest, session_id: int) -> int | None:
    """The number of a session's newest event, once there are some."""
    _, session = await rest.call("GET", f"/sessions/{session_id}")
    return session["seq"] if session["seq"] > 3 else None


async def raw_events(rest: Rest, session_id: int) -> bytes:
    async with rest.http.get(f"{rest.url}{API}/sessions/{session_id}/events") as response:
        return await response.read()


def stored_messages(path: Path, session_id: int) -> list[str]:
    return [
        document["message"]
        for collection, document in read(path)
        if collection == "events" and document["sessionId"] == session_id
    ]


@pytest.mark.parametrize("target", ["a folder", "a MongoDB"])
async def test_what_is_acknowledged_before_a_backup_is_served_by_a_store_made_of_it(
    target: str, server_process: MakeServer, embedded_uri: str, tmp_path: Path
) -> None:
    file = tmp_path / "backup.gz"
    server = server_process("--feed", "ingest")
    done = asyncio.Event()
    async with aiohttp.ClientSession() as http:
        rest = Rest(await server.start(), http)
        await rest.tick("N", 195.5)
        sessions = [await rest.new_session() for _ in range(2)]
        await rest.call("PATCH", f"/sessions/{sessions[1]}", {"status": "PAUSED"})
        await rest.call("PATCH", f"/sessions/{sessions[1]}", {"status": "ACTIVE"})
        trading = [asyncio.create_task(trade_until(done, rest, id_)) for id_ in sessions]
        ready = [await until(partial(seq_of_several, rest, id_)) for id_ in sessions]
        code, said, complaint = await run("backup", file, "--data-dir", tmp_path / "data")
        assert (code, complaint) == (0, "")
        assert "2 sessions" in said[-1]
        assert said[-1].endswith(": no differences")
        assert file.stat().st_mode & 0o077 == 0
        assert indexes.KNOWN not in {collection for collection, _ in read(file)}
        done.set()
        acknowledged = await asyncio.gather(*trading)
        assert all(acknowledged)
        before = [(await rest.call("GET", f"/sessions/{id_}"))[1] for id_ in sessions]
        events = [await raw_events(rest, id_) for id_ in sessions]
    assert await server.stop() == 0

    where = ["--data-dir", str(tmp_path / "other")]
    if target == "a MongoDB":
        where = ["--mongo-uri", new_database(embedded_uri)]
    code, said, complaint = await run("restore", file, *where)
    assert (code, complaint) == (0, "")
    assert said[-1].endswith(": no differences")

    restored = server_process("--feed", "ingest", *where)
    async with aiohttp.ClientSession() as http:
        rest = Rest(await restored.start(), http)
        for id_, session, history, seq in zip(sessions, before, events, ready, strict=True):
            _, now = await rest.call("GET", f"/sessions/{id_}")
            assert now["seq"] >= seq
            assert (now["epoch"], now["name"]) == (session["epoch"], session["name"])
            messages = stored_messages(file, id_)
            assert len(messages) == now["seq"]
            head = f'{{"events":[{",".join(messages)}]'.encode()
            assert (await raw_events(rest, id_)).startswith(head)
            assert history.startswith(head[:-1])
        await resumes(rest, sessions[0], before[0]["epoch"])
        trade = await rest.open_trade(sessions[0], symbol="N")
        assert trade["tradeId"] > max(json.loads(each)["data"]["tradeId"] for each in messages[2:])
    assert await restored.stop() == 0
    code, said, complaint = await run("restore", file, *where)
    assert (code, said) == (1, [])
    assert complaint.endswith(" is not empty: restore into an empty one\n")


async def resumes(rest: Rest, session_id: int, epoch: str) -> None:
    """A client that has seen the first event gets the second one next."""
    async with rest.http.ws_connect(f"{rest.url}/ws/auto-trader") as ws:
        place = {"sessionId": session_id, "since": 1, "epoch": epoch}
        await ws.send_json({"type": "subscribe_session", **place})
        async with asyncio.timeout(PATIENCE_S):
            async for message in ws:
                told = message.json()
                assert told.get("recovered") is not False
                if "seq" in told:
                    assert told["seq"] == 2
                    return


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def without_line(number: int) -> Callable[[bytes], bytes]:
    def tear(whole: bytes) -> bytes:
        lines = gzip.decompress(whole).splitlines(keepends=True)
        del lines[number]
        return gzip.compress(b"".join(lines))

    return tear


TORN: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda whole: whole[: len(whole) // 2],
    "without its last byte": lambda whole: whole[:-1],
    "empty": lambda _: b"",
    "another file": lambda _: b"%PDF-1.7",
    "of another program": lambda _: gzip.compress(b'{"_id": 1}\n'),
    "no JSON": lambda whole: gzip.compress(gzip.decompress(whole).replace(b'"document"', b"")),
    "without its last line": without_line(-1),
    "without a line": without_line(2),
}


@pytest.fixture
async def full(embedded_uri: str, opening: MakeOpening) -> MongoStore:
    """A store with a session of some events."""
    return await filled(embedded_uri, opening)


async def filled(embedded_uri: str, opening: MakeOpening, count: int = 3) -> MongoStore:
    client = connect(new_database(embedded_uri))
    store = MongoStore(client, database_of(client) or "")
    await store.prepare()
    session = Session(
        session_id=6,
        name="Six",
        starting_capital_paise=50_000_00,
        created_at_ms=1_785_200_000_000,
        epoch="5f5f",
    )
    await store.create_session(session, "operation", "")
    for seq in range(1, count + 1):
        await store.append([opening(seq)])
    return store


@pytest.mark.parametrize("tear", TORN.values(), ids=TORN)
async def test_a_file_that_is_not_a_whole_backup_is_refused_in_one_line_and_nothing_is_made(
    tear: Callable[[bytes], bytes], full: MongoStore, tmp_path: Path
) -> None:
    file = tmp_path / "backup.gz"
    await back_up(full, file, {"prices": "real"}, lambda _: None)
    await full.close()
    file.write_bytes(tear(file.read_bytes()))
    code, said, complaint = await run("restore", file, "--data-dir", tmp_path / "new")
    assert (code, said) == (1, [])
    assert complaint.startswith(f"vyomo-rt: {file} is not a complete backup: ")
    assert complaint.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
async def test_a_backup_that_is_told_to_stop_leaves_no_half_file_and_the_older_one_as_it_was(
    tmp_path: Path, signal_: int
) -> None:
    await make_store(tmp_path / "data", 3000)
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "backup.gz").write_bytes(b"older")
    process = await start_program("backup", folder / "backup.gz", "--data-dir", tmp_path / "data")
    await until(lambda: len(files_in(folder)) == 2)
    process.send_signal(signal_)
    assert await process.wait() == 130
    assert files_in(folder) == ["backup.gz"]
    assert (folder / "backup.gz").read_bytes() == b"older"


async def test_a_restore_that_does_not_come_to_its_end_leaves_the_store_empty(
    embedded_uri: str, opening: MakeOpening, tmp_path: Path
) -> None:
    store = await filled(embedded_uri, opening, 450)
    file = tmp_path / "backup.gz"
    await back_up(store, file, {}, lambda _: None)
    await store.close()
    client = connect(new_database(embedded_uri))
    target = MongoStore(client, database_of(client) or "")
    restoring = asyncio.create_task(restore(target, file, survey(file)))

    async def has_begun() -> bool:
        with pymongo.timeout(30):
            return await target.database["events"].find_one({}) is not None

    await until(has_begun, within_s=30)
    restoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await restoring
    for name in ("sessions", "events", "trades"):
        assert await target.database[name].find_one({}) is None
    await target.close()


async def test_what_a_killed_restore_leaves_is_refused_by_a_server_and_removed_by_the_next_restore(
    embedded_uri: str, opening: MakeOpening, tmp_path: Path
) -> None:
    full = await filled(embedded_uri, opening, 450)
    file = tmp_path / "backup.gz"
    await back_up(full, file, {"prices": "real"}, lambda _: None)
    await full.close()
    uri = new_database(embedded_uri)
    socket, _, name = uri.removeprefix("mongodb://").partition("/")
    async with proxy_before(unquote(socket)) as proxy:
        proxy.hold_from(b"insert", b"events", b"6-401")
        through = f"mongodb://127.0.0.1:{proxy.port}/{name}?directConnection=true"
        restoring = await start_program("restore", file, "--mongo-uri", through)
        await until(lambda: proxy.holds)
        restoring.kill()
        await restoring.wait()

    code, _, complaint = await run("serve", "--port", "0", "--mongo-uri", uri)
    assert code == 1
    assert "run vyomo-rt restore again" in complaint
    _, said, complaint = await run("restore", file, "--mongo-uri", uri)
    assert complaint == ""
    assert "450 events" in said[-1]


async def test_the_terms_go_on_above_those_of_the_events_that_were_restored(
    full: MongoStore, embedded_uri: str, tmp_path: Path
) -> None:
    await full.database["events"].update_one({"_id": "6-2"}, {"$set": {"term": 7}})
    file = tmp_path / "backup.gz"
    await back_up(full, file, {}, lambda _: None)
    await full.close()
    client = connect(new_database(embedded_uri))
    target = MongoStore(client, database_of(client) or "")
    restoring = Lease(target, "here")
    await restoring.acquire()
    await restore(target, file, survey(file))
    await restoring.release()
    await Lease(target, "here").acquire()
    assert target.term == 8
    await target.close()


async def test_a_backup_holds_the_curves_which_no_event_could_make_anew(
    full: MongoStore, embedded_uri: str, tmp_path: Path
) -> None:
    """They are in many pages, and are nothing that verify has to say something about."""
    before = (await verify(full, lambda _: None)).differences
    full.fence.term = 9
    curves = SavedCurves(full)
    rows = [CurveRow(hour * 60, hour, -1, hour - 1) for hour in range(230)]
    for row in rows:
        await full.database["curves"].insert_one(
            {"_id": f"6-{row.hour}-9", "sessionId": 6, "hour": row.hour, "term": 9, "rows": "[]"}
        )
        if row.hour % 50 == 0:
            await curves.save(6, row.hour, [row])
    saved = await curves.load(6, 0, 300)
    assert len(saved) == 4
    assert (await verify(full, lambda _: None)).differences == before
    file = tmp_path / "backup.gz"
    await back_up(full, file, {}, lambda _: None)
    await full.close()
    client = connect(new_database(embedded_uri))
    target = MongoStore(client, database_of(client) or "")
    await restore(target, file, found := survey(file))
    assert found.term == 9, "or the next server would write over them"
    assert await SavedCurves(target).load(6, 0, 300) == saved
    assert await target.database["curves"].count_documents({}) == len(rows)
    await target.close()


async def test_a_backup_says_what_contradicts_itself_in_the_store(
    full: MongoStore, tmp_path: Path
) -> None:
    await full.database["events"].update_one({"_id": "6-2"}, {"$set": {"message": "{}"}})
    said: list[str] = []
    verdict = await back_up(full, tmp_path / "backup.gz", {}, said.append)
    await full.close()
    assert verdict.differences == len(said) > 0
    assert any(line.startswith("  event 6-2: message: stored {}, computed") for line in said)


async def test_a_backup_of_simulated_prices_is_not_restored_among_real_ones(
    full: MongoStore, tmp_path: Path
) -> None:
    file = tmp_path / "backup.gz"
    await back_up(full, file, {"prices": "demo"}, lambda _: None)
    await full.close()
    code, _, complaint = await run("restore", file, "--data-dir", tmp_path / "new")
    assert code == 1
    assert complaint == (
        f"vyomo-rt: {file} is of demo prices: choose the same with --feed or --demo\n"
    )


async def test_a_folder_that_cannot_be_written_is_named(full: MongoStore, tmp_path: Path) -> None:
    await full.close()
    await make_store(tmp_path / "data", 20)
    file = tmp_path / "nowhere" / "backup.gz"
    code, said, complaint = await run("backup", file, "--data-dir", tmp_path / "data")
    assert (code, said) == (1, [])
    assert complaint == f"vyomo-rt: cannot write {file}: No such file or directory\n"


async def test_bars_come_back_with_a_backup_even_where_there_were_some(
    full: MongoStore, tmp_path: Path, embedded_uri: str
) -> None:
    first_ms = day_of(1_785_200_000_000)
    second_ms = first_ms + HOUR_MS
    hours = [SymbolHour("NIFTY", at, [Bar(at, 1, 2, 1, 2, 3)]) for at in (first_ms, second_ms)]
    saved = SavedBars(full)
    await saved.settle(hours)
    await saved.add_minutes([SymbolMinute("NIFTY", Bar(second_ms + HOUR_MS, 1, 2, 1, 2, 3))])
    path = tmp_path / "backup"
    await back_up(full, path, {"prices": "real"}, print)
    uri = new_database(embedded_uri)
    store = MongoStore(connect(uri), uri.rpartition("/")[2])
    restored = SavedBars(store)
    await restored.settle([SymbolHour("NIFTY", first_ms, [Bar(first_ms, 7, 7, 7, 7, 1)])])
    await restore(store, path, survey(path))
    assert [hour async for page in restored.hours("NIFTY", 0, 2**60) for hour in page] == hours
    days = [day async for page in restored.days("NIFTY", 0, 2**60) for day in page]
    assert [len(of_hours) for _, of_hours in days] == [2]
    assert (await restored.load()).minutes == (await saved.load()).minutes
    await full.close()
    await store.close()
