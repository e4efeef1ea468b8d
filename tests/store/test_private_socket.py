"""Nobody but its own user reaches the embedded store, wherever its folder lies."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import pytest

from tests.kit.forking import start_program
from tests.kit.waiting import until
from vyomo_rt import config
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.journal import MongoStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from vyomo_rt.domain.event import TradeEvent

    MakeOpening = Callable[..., TradeEvent]

NOBODY = 65534
CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A data folder that all users may enter, also the one above it."""
    above = Path(tempfile.mkdtemp())
    folder = above / "data"
    folder.mkdir()
    for each in (above, folder):
        each.chmod(0o755)
    yield folder
    shutil.rmtree(above)


def path_of(uri: str) -> Path:
    match = re.fullmatch(r"mongodb://([^/]+)/", uri)
    assert match
    return Path(unquote_plus(match[1]))


def made_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def is_stored(store: MongoStore, event: TradeEvent) -> bool:
    """Append an event; right after a kill the driver may still hold a dead connection."""
    with suppress(Unavailable):
        await store.append([event])
        return True
    return False


def listening_ports(pid: int) -> list[str]:
    """The TCP addresses on which a process listens, as the kernel writes them."""
    links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]


async def test_it_listens_on_a_socket_of_the_data_folder_and_on_no_port(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    assert path_of(await server.start()) == tmp_path / "data" / "store.sock"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert server.pid is not None
    assert listening_ports(server.pid) == []


async def test_all_that_it_makes_is_for_its_user_alone_even_in_an_open_folder(
    open_folder: Path,
) -> None:
    server = EmbeddedServer(open_folder)
    try:
        store = MongoStore(connect(await server.start()), "vyomo")
        await store.prepare()
        assert "vyomo.db" in {path.name for path in made_in(open_folder)}
        assert not any(path.stat().st_mode & 0o077 for path in made_in(open_folder))
        await store.close()
    finally:
        await server.stop()


@pytest.mark.skipif(
    os.getuid() != 0 or not Path("/usr/bin/python3").exists(),
    reason="needs root, to become another user, and a Python that everybody may run",
)
async def test_another_user_of_the_machine_cannot_connect(open_folder: Path) -> None:
    server = EmbeddedServer(open_folder)
    path = str(path_of(await server.start()))
    try:
        for user, code in ((0, 0), (NOBODY, 1)):
            done = await asyncio.to_thread(
                subprocess.run,
                ["/usr/bin/python3", "-c", CONNECT, path],
                user=user,
                group=user,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == code, done.stderr
            assert ("PermissionError" in done.stderr) == bool(code)
    finally:
        await server.stop()


@pytest.mark.parametrize("name", ["a folder, 100 % ours@home:1+1 ₹", "deep/" * 30 + "end"])
async def test_a_folder_with_any_name_serves_again_after_kill_9_and_leaves_nothing_behind(
    name: str, tmp_path: Path, opening: MakeOpening, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    folder = tmp_path / name
    server = EmbeddedServer(folder)
    uri = await server.start()
    try:
        assert path_of(uri).stat().st_mode & 0o077 == 0
        assert path_of(uri).parent.stat().st_mode & 0o077 == 0
        assert (folder / "store.sock").resolve() == path_of(uri)
        store = MongoStore(connect(uri), "vyomo")
        await store.prepare()
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: server.pid != pid)
        await until(lambda: is_stored(store, opening(1)))
        await store.close()
    finally:
        await server.stop()
    assert not (folder / "store.sock").is_symlink()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["data", "deep/" * 30 + "end"])
async def test_the_socket_that_a_killed_server_left_is_replaced(name: str, tmp_path: Path) -> None:
    process, uri = await run_alone(tmp_path / name)
    process.kill()
    await process.wait()
    assert [path.name for path in made_in(tmp_path / name) if path.name == "store.sock"]
    server = EmbeddedServer(tmp_path / name)
    again = path_of(await server.start())
    try:
        assert again.is_socket()
        assert (again == path_of(uri)) == (name == "data")
        assert name == "data" or not path_of(uri).parent.exists()
    finally:
        await server.stop()


async def test_the_store_alone_says_its_uri_locks_its_folder_and_runs_until_stopped(
    tmp_path: Path, opening: MakeOpening
) -> None:
    process, uri = await run_alone(tmp_path / "data")
    store = MongoStore(connect(uri), "vyomo")
    await store.prepare()
    await store.append([opening(1)])
    await store.close()
    second = await start_program("store", "--data-dir", tmp_path / "data")
    said, complaint = await second.communicate()
    assert (second.returncode, said) == (1, b"")
    wanted = f"vyomo-rt: another server is using the data folder {tmp_path / 'data'}\n"
    assert complaint.decode() == wanted
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    assert not (tmp_path / "data" / "store.sock").exists()


def test_the_uri_of_a_socket_is_shown_as_it_is() -> None:
    uri = "mongodb://%2Fsrv%2Fa%40b%3A1%2Fstore.sock/"
    assert config.hide_password(uri) == uri


async def run_alone(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    """`vyomo-rt store` as a process of its own, and the URI that it prints."""
    process = await start_program("store", "--data-dir", folder)
    assert process.stdout is not None
    return process, (await process.stdout.readline()).decode().strip()
