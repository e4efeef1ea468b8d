"""The file of a record, one a trading day: today's under its own name, older ones with their date.

What it holds can be read at any moment: a crash leaves a torn last line at most.
"""

from __future__ import annotations

import fcntl
import os
from datetime import date
from itertools import count
from pathlib import Path

import msgspec

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import trading_day
from vyomo_rt.recording.packing import Packer, packing_of
from vyomo_rt.recording.reading import LineReader
from vyomo_rt.wire.record import RecordHeader, header_line, moment_of, read_header

_OF_LINES = {".ndjson", ".jsonl", ".json", ".txt"}


class RecordFile:
    """The file to which lines of a day are added."""

    def __init__(self, path: Path, header: RecordHeader) -> None:
        """``header`` is what stands in the first line, but for the date. Raises CannotStart."""
        self._path = path
        self._header = header
        self._packing = packing_of(path)
        self._packer: Packer | None = None
        self._fd = -1
        self._size = 0
        self._unwritten = b""

    def begin(self, day: date) -> None:
        """Open a day's file: go on with it, or begin it and set an older one aside.

        Raises CannotStart, also while another process records into it.
        """
        try:
            self._open()
            if self._size:
                self._take_up(day)
            if not self._size:
                self.add(header_line(msgspec.structs.replace(self._header, date=str(day))))
                self.flush()
        except OSError as error:
            raise CannotStart(
                f"the record {self._path} cannot be written: {error.strerror}"
            ) from error

    def add(self, text: bytes) -> None:
        """Add whole lines; `flush` writes them."""
        if self._packing is None:
            self._unwritten += text
            return
        if self._packer is None:
            self._packer = self._packing.packer()
        self._unwritten += self._packer.pack(text)

    def flush(self) -> None:
        """Write what was added; after an OSError, call it again."""
        while self._unwritten:
            written = os.pwrite(self._fd, self._unwritten, self._size)
            self._size += written
            self._unwritten = self._unwritten[written:]

    def end(self) -> None:
        """Write the end, and close the file. Raises OSError; then some of it may be missing."""
        try:
            if self._packer is not None:
                self._unwritten += self._packer.end()
            self.flush()
        finally:
            self._packer, self._unwritten = None, b""
            os.close(self._fd)

    def change_day(self, before: date, day: date) -> None:
        """Set the file aside under its date, and begin the next. Raises CannotStart, OSError."""
        self.end()
        _set_aside(self._path, before)
        self.begin(day)

    # -- what is there already -------------------------------------------------

    def _open(self) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise CannotStart(
                f"the record {self._path} is being written by another process: choose another file"
            ) from error
        self._fd, self._size = fd, os.fstat(fd).st_size

    def _take_up(self, day: date) -> None:
        """Go on behind what is there, if it is of this day."""
        reader = LineReader(self._path)
        found = _day_of(self._path, reader) or day
        if found != day:
            os.close(self._fd)
            _set_aside(self._path, found)
            self._open()
        elif not reader.is_whole:
            self._cut_off(reader)

    def _cut_off(self, reader: LineReader) -> None:
        """Leave out what a crash has torn."""
        if self._packing is None:
            self._size -= len(reader.rest)
            os.ftruncate(self._fd, self._size)
            return
        copy = RecordFile(self._path.with_name(f".{self._path.name}"), self._header)
        copy._path.unlink(missing_ok=True)
        copy._open()
        for block in reader:
            copy.add(block)
            copy.flush()
        copy.end()
        os.close(self._fd)
        copy._path.replace(self._path)
        self._open()


def _day_of(path: Path, reader: LineReader) -> date | None:
    """The trading day of what a file holds; reads it to its end. Raises CannotStart."""
    found: date | None = None
    is_first = True
    for block in reader:
        if is_first:
            found = _read_day(path, block)
            is_first = False
    return found


def _read_day(path: Path, block: bytes) -> date | None:
    first, *others = block.split(b"\n", 2)
    try:
        header = read_header(first)
        if header is not None and header.date:
            return date.fromisoformat(header.date)
        moment_ms = moment_of(first if header is None else others[0])
    except ValueError as error:
        raise CannotStart(f"{path} is no record ({error}): choose another file") from error
    return None if moment_ms is None else trading_day(moment_ms)


def _set_aside(path: Path, day: date) -> None:
    """Give a file its date: NAME.2026-11-26.ENDING."""
    end = path.suffix
    name = path.name.removesuffix(end)
    inner = Path(name).suffix
    if end in {".gz", ".zst"} and inner in _OF_LINES:
        name, end = name.removesuffix(inner), inner + end
    for number in count(1):
        again = "" if number == 1 else f"-{number}"
        target = path.with_name(f"{name}.{day}{again}{end}")
        if not target.exists():
            path.rename(target)
            return
