"""The process of the embedded database server: ``python embedded_child.py FOLDER SOCKET``.

It serves the MongoDB protocol on a Unix socket from SQLite files in ``FOLDER/db``, one
per database, all of them for its own user alone. Once it listens it prints ``ready``;
if it cannot, it prints why. It ends when its standard input closes: the parent holds the
other end, so a killed parent leaves no orphan.

It imports nothing of ``vyomo_rt``: it is started by its path, from anywhere.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sqlite3
import sys
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nx_27017 import NeoSQLiteHandler  # type: ignore[import-untyped]
from nx_27017.server import handle_client  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from logging import _SysExcInfoType

LOG_BYTES = 1_000_000
BACKLOG = 4096
"""While this process is stopped, each attempt of the driver stays in the queue; at a full queue
the driver blocks."""
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until told to end."""
    folder, path = Path(sys.argv[1]), sys.argv[2]
    _die_with_parent()
    os.umask(0o077)
    try:
        _log_to(folder / "embedded.log")
        asyncio.run(_serve(folder / "db", path))
    except (OSError, sqlite3.Error) as error:
        _tell_parent(str(error))
        sys.exit(1)


def _die_with_parent() -> None:
    """The end of standard input is enough, but a stopped process does not see it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _OneLine(logging.Formatter):
    """nx-27017 logs a failed write with a traceback, and a full disk causes many of them."""

    def formatException(self, ei: _SysExcInfoType) -> str:  # noqa: N802 (its name in logging)
        return repr(ei[1])

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", " ")


def _log_to(path: Path) -> None:
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    # nx-27017 writes a line at INFO for every command.
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # On a full disk no line can be written either, and logging would report that at length.
    logging.raiseExceptions = False


class Handler(NeoSQLiteHandler):  # type: ignore[misc]
    """Commits the documents of an insert together: it would flush the disk for each of them."""

    def handle_insert(self, msg: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Insert documents up to the first that is refused; what precedes that one is stored."""
        command = next(section for kind, section in msg["sections"] if kind == "body")
        name = command["$db"]
        with self._lock_for(name):
            database = self.get_database(name)
            # SQLite refuses to change within a transaction when it flushes the disk.
            self._apply_write_concern(database, name, command.get("writeConcern"))
            with database.transaction():
                answer: tuple[int, dict[str, Any]] = super().handle_insert(msg)
                return answer


async def _serve(folder: Path, path: str) -> None:
    # systemd sends SIGTERM to parent and child at once, and the parent has a last write to do.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(partial(_EndWithParent, end), sys.stdin)

    # The package's own main() is not used: it insists on a pid file, which a crash leaves
    # behind to stop the next start, and on a log file that grows for ever.
    handler = Handler(data_dir=str(folder))
    # Replaces the socket of a child that was killed.
    await asyncio.start_unix_server(
        lambda reader, writer: handle_client(reader, writer, handler), path, backlog=BACKLOG
    )
    # Standard error is the parent's: only a failed start may write there, since a reader that
    # does not read would hold up the database.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _tell_parent("ready")
    await end.wait()


def _tell_parent(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class _EndWithParent(asyncio.Protocol):
    """Standard input: nothing is ever written to it, its end is the parent's end."""

    def __init__(self, end: asyncio.Event) -> None:
        self._end = end

    def connection_lost(self, _: Exception | None) -> None:
        self._end.set()


if __name__ == "__main__":
    main()
