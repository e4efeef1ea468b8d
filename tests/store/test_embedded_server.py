"""The embedded server under the faults that it must survive, injected for real."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import resource
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.errors import PyMongoError

from vyomo_rt.domain.errors import CannotStart, OutcomeUnknown, Unavailable
from vyomo_rt.store import embedded
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.embedded_child import Handler
from vyomo_rt.store.journal import MongoStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from vyomo_rt.domain.event import TradeEvent
    from vyomo_rt.store.client import Client

    MakeOpening = Callable[..., TradeEvent]
    OpenClient = Callable[[str], Client]

DEADLINE_S = 10.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - nothing to wait for but the state of a process
            await asyncio.sleep(0.01)


async def restarted(server: EmbeddedServer, dead_pid: int) -> None:
    await until(lambda: server.pid != dead_pid)


async def appended(store: MongoStore, event: TradeEvent) -> None:
    """Append an event, again and again until the outcome is known."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await store.append([event])
            except Unavailable:
                await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_available(store: MongoStore) -> bool:
    return store.available  # by a call, or mypy takes the first answer for the last


def pid_of(server: EmbeddedServer) -> int:
    assert server.pid is not None
    return server.pid


def standard_error_of(server: EmbeddedServer) -> Path:
    return Path(f"/proc/{pid_of(server)}/fd/2").readlink()


async def test_what_was_stored_is_there_at_the_next_start(
    server: EmbeddedServer, opening: MakeOpening
) -> None:
    for seq in (1, 2):
        store = MongoStore(connect(await server.start()), "vyomo")
        await store.prepare()
        await store.append([opening(seq)])
        assert [event.seq for event in await store.events(6, 0)] == [*range(1, seq + 1)]
        await store.close()
        await server.stop()


async def test_a_failed_write_is_one_line_in_its_own_log_and_none_on_standard_error(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    store = MongoStore(connect(await server.start()), "vyomo")
    files_end_at = 64 * 1024  # as on a full disk; the log is shorter
    resource.prlimit(pid_of(server), resource.RLIMIT_FSIZE, (files_end_at, files_end_at))
    for number in range(20):
        with suppress(PyMongoError):
            await store.database[f"new{number}"].insert_one({"text": "x" * 10_000})
    lines = (tmp_path / "data" / "embedded.log").read_text().splitlines()
    assert lines
    assert all(re.match(r"\d{4}-\d\d-\d\d \S+ (WARNING|ERROR) \w+ ", line) for line in lines)
    assert standard_error_of(server) == Path(os.devnull)
    await store.close()


async def test_databases_do_not_mix(server: EmbeddedServer, opening: MakeOpening) -> None:
    client = connect(await server.start())
    store, simulated = MongoStore(client, "vyomo"), MongoStore(client, "vyomo_sim")
    for each, count in ((store, 1), (simulated, 2)):
        await each.prepare()
        for seq in range(1, count + 1):
            await each.append([opening(seq)])
            await each.reserve_ids("trades", 1)
    assert [len(await each.events(6, 0)) for each in (store, simulated)] == [1, 2]
    assert [await each.reserve_ids("trades", 1) for each in (store, simulated)] == [2, 3]
    await store.close()


async def test_killed_in_the_middle_of_writes_it_loses_nothing_and_comes_back(
    server: EmbeddedServer,
    opening: MakeOpening,
    open_client: OpenClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MongoStore(open_client(await server.start()), "vyomo")
    await store.prepare()
    acknowledged: set[int] = set()
    kills = 3

    async def write(session_id: int) -> None:
        for seq in range(1, 301):
            await appended(store, opening(seq, session_id=session_id))
            acknowledged.add(session_id * 1000 + seq)

    def reached(count: int) -> bool:
        return len(acknowledged) >= count

    async def kill() -> None:
        for nth in range(1, kills + 1):
            await until(partial(reached, nth * 200))
            pid = pid_of(server)
            os.kill(pid, signal.SIGKILL)
            await restarted(server, pid)

    with caplog.at_level(logging.WARNING, logger=embedded.__name__):
        await asyncio.gather(*(write(session_id) for session_id in range(1, 5)), kill())
    for session_id in range(1, 5):
        stored = await store.events(session_id, 0)
        assert [event.seq for event in stored] == [*range(1, 301)]
    await store.close()

    assert len([line for line in caplog.messages if "SIGKILL" in line]) == kills


async def test_a_write_to_a_frozen_server_is_in_doubt_and_settles_to_one_event(
    server: EmbeddedServer, opening: MakeOpening, open_client: OpenClient
) -> None:
    store = MongoStore(open_client(await server.start()), "vyomo")
    await store.prepare()
    await store.append([opening(1)])
    os.kill(pid_of(server), signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            await store.append([opening(2)])
        assert time.monotonic() - began < 4
        assert not is_available(store)
    finally:
        os.kill(pid_of(server), signal.SIGCONT)
    await appended(store, opening(2))
    assert await store.events(6, 0) == [opening(1), opening(2)]
    assert is_available(store)
    await store.close()


async def test_a_killed_parent_leaves_no_orphan_and_the_folder_to_the_next(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from vyomo_rt.store.embedded import EmbeddedServer\n"
        "async def main():\n"
        "    server = EmbeddedServer(pathlib.Path(sys.argv[1]))\n"
        "    await server.start()\n"
        "    print(server.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path / "data"), stdout=PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert is_running(child)
    assert os.getpgid(child) != os.getpgid(parent.pid)  # out of the reach of Ctrl-C
    parent.kill()

    await server.start()
    await until(lambda: not is_running(child))
    await parent.wait()


async def test_a_folder_in_use_is_refused_by_name(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LOCK_WAIT_S", 0.2)
    await server.start()
    second = EmbeddedServer(tmp_path / "data")
    with pytest.raises(CannotStart, match=f"another server .* {tmp_path / 'data'}"):
        await second.start()
    assert is_running(pid_of(server))


async def test_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"cannot write to .*file/data: Not a directory"):
        await EmbeddedServer(tmp_path / "file" / "data").start()


async def test_a_child_that_cannot_start_says_why(server: EmbeddedServer, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "db").touch()
    with pytest.raises(CannotStart, match=r"did not start: .*File exists"):
        await server.start()
    (tmp_path / "data" / "db").unlink()
    await server.start()


async def test_what_a_crash_left_behind_does_not_stop_the_start(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    for folder in (tmp_path / "data", tmp_path / "data" / "db"):
        folder.mkdir()
        for name in ("lock", "nx-27017.pid", "nx_27017.pid"):
            (folder / name).write_text(str(os.getpid()))
    await server.start()


async def test_stopping_ends_the_child_and_frees_the_socket_and_the_folder(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    await server.start()
    pid = pid_of(server)
    assert (tmp_path / "data" / "store.sock").is_socket()
    await server.stop()
    await server.stop()
    assert not is_running(pid)
    assert not (tmp_path / "data" / "store.sock").exists()
    await server.start()


async def test_a_sigterm_to_all_processes_leaves_the_child_to_its_parent(
    server: EmbeddedServer, opening: MakeOpening
) -> None:
    store = MongoStore(connect(await server.start()), "vyomo")
    await store.prepare()
    pid = pid_of(server)
    os.kill(pid, signal.SIGTERM)
    await store.append([opening(1)])
    await store.close()
    assert server.pid == pid


async def test_a_frozen_child_does_not_hold_up_the_stop(server: EmbeddedServer) -> None:
    await server.start()
    pid = pid_of(server)
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    await server.stop()
    assert time.monotonic() - began < 4
    assert not is_running(pid)


async def test_a_child_that_keeps_dying_is_started_less_and_less_often(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "BACK_OFF_S", (0.01, 0.05))
    await server.start()
    with caplog.at_level(logging.WARNING, logger=embedded.__name__):
        for _ in range(4):
            pid = pid_of(server)
            os.kill(pid, signal.SIGKILL)
            await restarted(server, pid)
    lines = [record.message for record in caplog.records if record.name == embedded.__name__]
    pauses = [line.rpartition(" in ")[2] for line in lines]
    assert pauses == ["0.01 s", "0.02 s", "0.04 s", "0.05 s"]


def test_a_journalled_write_is_synced_before_it_is_acknowledged(tmp_path: Path) -> None:
    handler = Handler(data_dir=str(tmp_path))
    for database in ("vyomo", "vyomo_sim"):
        command = {
            "insert": "events",
            "documents": [{"_id": "6-1"}],
            "$db": database,
            "writeConcern": {"w": "majority", "j": True},
        }
        handler.handle_insert({"request_id": 1, "sections": [("body", command)]})
        sqlite = handler.get_database(database).db
        assert sqlite.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    handler.close_all()


def test_the_events_of_one_write_are_committed_together_up_to_one_that_is_refused(
    tmp_path: Path,
) -> None:
    handler = Handler(data_dir=str(tmp_path))

    def insert(*ids: str) -> dict[str, Any]:
        command = {"insert": "events", "documents": [{"_id": id_} for id_ in ids], "$db": "vyomo"}
        answer: dict[str, Any]
        _, answer = handler.handle_insert({"request_id": 1, "sections": [("body", command)]})
        return answer

    def there() -> int:
        """As another process sees it."""
        with closing(sqlite3.connect(tmp_path / "vyomo.db")) as other:
            found: int = other.execute("SELECT count(*) FROM events").fetchone()[0]
        return found

    insert("6-5")
    statements: list[str] = []
    handler.get_database("vyomo").db.set_trace_callback(statements.append)
    assert insert("6-1", "6-2", "6-3")["n"] == 3
    assert there() == 4
    answer = insert("6-4", "6-5", "6-6")
    assert (answer["n"], answer["writeErrors"][0]["index"]) == (1, 1)
    assert there() == 5
    ends = [line for line in statements if line.startswith(("COMMIT", "ROLLBACK"))]
    assert ends == ["COMMIT", "COMMIT"]
    handler.close_all()
