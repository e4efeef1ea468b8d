"""Logging to standard error: one fact per line, with the time in UTC to the millisecond.

Nothing ever waits for the reader, and no line repeats a client's header, query or token, or
anything from it that was not understood.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from logging import _SysExcInfoType

MAX_WAITING = 1000
"""Lines that may wait for the reader of standard error; further ones are dropped."""

_AT_ONCE = 100
PAUSE_S = 0.05
"""Between writes, unless many lines wait: each waking of the thread interrupts the server."""

_LAST_LINES_S = 0.3


class OneLine(logging.Formatter):
    """``2026-11-22T10:00:00.123Z INFO  vyomo_rt.web.connection  message``.

    Unprintable characters are escaped, so that no client can forge a line or control a
    terminal. Only the traceback of an unexpected error takes more lines, which are
    indented.
    """

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname:<5} {name}  {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (its name in logging)
        """Format all but the traceback."""
        return _printable(super().formatMessage(record))

    def formatException(self, ei: _SysExcInfoType) -> str:  # noqa: N802 (its name in logging)
        """Format the traceback."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {_printable(line)}" for line in lines)


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


class PatientHandler(logging.Handler):
    """Writes to a file descriptor in its own thread, however long that takes.

    Otherwise a pipe that nobody reads would hold up the whole server. Beyond `MAX_WAITING`
    lines it drops new ones, and reports how many once lines are read again. A line by itself is
    written at once; those that follow closely, together.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._waiting: SimpleQueue[str | Event] = SimpleQueue()
        self._many_wait = Event()
        self._dropped = 0
        Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over; never waits."""
        if self._waiting.qsize() >= MAX_WAITING:
            self._dropped += 1
            return
        try:
            line = self.format(record)
        except Exception:  # as all of logging's handlers do: a bad line must not end its writer
            line = self.format(_record("a line of %s cannot be formatted", record.name))
        self._tell_dropped()
        self._waiting.put(line)
        if self._waiting.qsize() >= _AT_ONCE:
            self._many_wait.set()

    def flush(self) -> None:
        """Wait until everything is written, but not for long."""
        written = Event()
        self._waiting.put(written)
        self._many_wait.set()
        written.wait(_LAST_LINES_S)

    def _tell_dropped(self) -> None:
        count, self._dropped = self._dropped, 0
        if count:
            text = "%d log lines were dropped: standard error was not read"
            self._waiting.put(self.format(_record(text, count)))

    def _write_all(self) -> None:
        while True:
            entries = [self._waiting.get()]
            while len(entries) < _AT_ONCE and not self._waiting.empty():
                entries.append(self._waiting.get())
            lines = [entry for entry in entries if isinstance(entry, str)]
            _write(self._descriptor, "".join(f"{line}\n" for line in lines))
            for entry in entries:
                if isinstance(entry, Event):
                    entry.set()
            if self._waiting.empty():
                self.acquire()  # as emit has it, whose count this is, too
                try:
                    self._tell_dropped()
                finally:
                    self.release()
                self._many_wait.wait(PAUSE_S)
                self._many_wait.clear()


def say(text: str, stream: TextIO | None, wait_s: float = 0) -> None:
    """Print a line for the person who started the program, without waiting for its reader.

    ``wait_s`` is for a last line: how long the program may wait for it to be read.
    """
    if stream is not None:
        arguments = (stream.fileno(), f"{text}\n")
        writer = Thread(target=_write, args=arguments, name="say", daemon=True)
        writer.start()
        writer.join(wait_s)


def configure(level: str) -> None:
    """Log this package from `level` up, and libraries from warnings up."""
    if sys.stderr is None:  # closed by whoever started the program: there may be another file now
        logging.disable()
        return
    own_level = logging.getLevelNamesMapping()[level.upper()]
    handler = PatientHandler(sys.stderr.fileno())
    handler.setFormatter(OneLine())
    # No line shows them, and looking them up is a third of a line's cost.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 (as its manual says)
    logging.basicConfig(
        level=max(own_level, logging.WARNING),  # pymongo would log every command at debug
        handlers=[handler],
        force=True,
    )
    logging.captureWarnings(True)  # or they would be printed, and wait
    logging.getLogger("vyomo_rt").setLevel(own_level)
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL + 1)
    # Its warnings repeat the subprotocols that a client offers, and one may be a token.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)


def _record(text: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.WARNING, "", 0, text, values, None)


def _write(descriptor: int, text: str) -> None:
    """Write a whole text; if the reader is gone, the rest is lost."""
    data = text.encode(errors="backslashreplace")
    with suppress(OSError):
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:  # who shares the terminal may have set it to that
                select.select((), (descriptor,), ())
