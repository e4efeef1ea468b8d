"""The embedded database server, kept running as one child process.

It stands in for MongoDB when none is configured: the same protocol over SQLite
files, for getting started on one machine. It listens on a Unix socket that only
the user of this process can open, because the protocol asks for no password here.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from socket import AF_UNIX, socket
from urllib.parse import quote_plus

from vyomo_rt.domain.errors import CannotStart

log = logging.getLogger(__name__)

LOCK_WAIT_S = 3.0
READY_WAIT_S = 15.0
STOP_WAIT_S = 1.0
BACK_OFF_S = (0.1, 10.0)
"""The pause before a restart: it doubles with every death, from the first to the second."""
STEADY_S = 30.0
"""A child that lived this long has earned the shortest pause again."""

_SOCKET = "store.sock"
_LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
"""In bytes: what the system takes as the address of a Unix socket."""

_CHILD = Path(__file__).with_name("embedded_child.py")


class EmbeddedServer:
    """A MongoDB in a folder, running from ``start`` to ``stop``.

    If its process dies, it is restarted on the same socket, so the URI stays valid and
    the driver reconnects by itself.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir.absolute()
        self._lock: int | None = None
        self._socket: Path | None = None
        self._child: Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process of the server, if it has been started."""
        return None if self._child is None else self._child.pid

    async def start(self) -> str:
        """Run the server and return its URI; raises CannotStart if it cannot."""
        try:
            self._lock = _open_lock_file(self._folder)
            await _lock(self._lock, self._folder)
            self._socket = _place_for_socket(self._folder)
            await self._spawn(self._lock, self._socket)
            self._keeper = asyncio.create_task(self._keep(self._lock, self._socket))
        except BaseException:
            await self.stop()
            raise
        return _uri(self._socket)

    async def stop(self) -> None:
        """End the server: politely, then for good. May be called again."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        if self._child is not None:
            await _end(self._child)
            self._child = None
        if self._socket is not None:
            with suppress(OSError):  # the next start removes it
                _remove_socket(self._folder / _SOCKET)
            self._socket = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _keep(self, lock: int, path: Path) -> None:
        now = asyncio.get_running_loop().time
        pause_s = BACK_OFF_S[0]
        why = ""
        while True:
            if not why:
                assert self._child is not None
                began = now()
                why = f"the embedded database ended ({_reason(await self._child.wait())})"
                if now() - began > STEADY_S:
                    pause_s = BACK_OFF_S[0]
            log.warning("%s; it restarts in %s s", why, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, BACK_OFF_S[1])
            try:
                await self._spawn(lock, path)
                why = ""
            except CannotStart as error:
                why = str(error)

    async def _spawn(self, lock: int, path: Path) -> None:
        """Start a child and wait until it listens."""
        try:
            self._child = child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # nothing in the current folder may stand in for a library
                str(_CHILD),
                str(self._folder),
                str(path),
                stdin=PIPE,  # its end, at the latest with this process, tells the child to end
                stdout=PIPE,
                start_new_session=True,  # Ctrl-C must not end the child before the last write
                pass_fds=(lock,),  # the folder stays locked until the child, too, is gone
            )
        except OSError as error:
            raise CannotStart(f"the embedded database did not start: {error}") from error
        assert child.stdout is not None
        line = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_WAIT_S):
                line = await child.stdout.readline()
        if line != b"ready\n":
            await _end(child)
            reason = line.decode(errors="replace").strip() or _reason(child.returncode)
            raise CannotStart(f"the embedded database in {self._folder} did not start: {reason}")


def uri_of_running(data_dir: Path) -> str | None:
    """The URI of the embedded server that runs on a folder, in any process; None without one."""
    path = (data_dir.absolute() / _SOCKET).resolve()
    with socket(AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return None
    return _uri(path)


def _uri(path: Path) -> str:
    return f"mongodb://{quote_plus(str(path))}/"


def _open_lock_file(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotStart(f"cannot write to the data folder {folder}: {error.strerror}") from error


async def _lock(lock: int, folder: Path) -> None:
    now = asyncio.get_running_loop().time
    # Right after a kill -9 the killed server's child still needs a moment to end.
    deadline = now() + LOCK_WAIT_S
    while True:
        if _try_lock(lock):
            return
        if now() > deadline:
            raise CannotStart(f"another server is using the data folder {folder}")
        await asyncio.sleep(0.05)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _place_for_socket(folder: Path) -> Path:
    """Where the child should make its socket, in place of one that a crash left behind.

    It is ``store.sock`` in the data folder or, if the driver cannot use that path, a link
    to a socket in a new private folder.
    """
    path = folder / _SOCKET
    try:
        _remove_socket(path)
        if _is_usable(path):
            return path
        moved = Path(tempfile.mkdtemp(prefix="vyomo-rt-")) / _SOCKET
        path.symlink_to(moved)
    except OSError as error:
        raise CannotStart(f"cannot make a socket at {path}: {error.strerror}") from error
    return moved


def _is_usable(path: Path) -> bool:
    # The driver splits a list of hosts at commas, even at those in a path.
    is_text = str(path).isprintable() and "," not in str(path)
    return is_text and len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH


def _remove_socket(path: Path) -> None:
    """Remove the socket of a data folder, wherever it is; no process listens on it now."""
    if path.is_symlink():
        moved = path.readlink()
        with suppress(OSError):  # who clears the temporary folder was here before
            moved.unlink(missing_ok=True)
            moved.parent.rmdir()
    path.unlink(missing_ok=True)


async def _end(child: Process) -> None:
    # Not by a signal: a Popen that signals a dead child reaps it behind asyncio's back.
    assert child.stdin is not None
    child.stdin.close()
    try:
        async with asyncio.timeout(STOP_WAIT_S):
            await child.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _reason(status: int | None) -> str:
    if status is None:
        return "no answer"
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
