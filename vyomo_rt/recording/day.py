"""A recorded day as it is played: its header, when it begins, its lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.recording.reading import LineReader
from vyomo_rt.wire.record import (
    VERSION,
    RecordHeader,
    RecordLine,
    line_moment,
    read_header,
    read_lines,
)

log = logging.getLogger(__name__)

_TOLD = 5
"""Lines that cannot be read are told one by one up to here."""


class RecordedDay:
    """A record that can be played. Raises CannotStart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        reader = LineReader(path)
        first = next(iter(reader), b"") or reader.rest
        head, _, rest = first.partition(b"\n")
        try:
            header = read_header(head)
        except ValueError as error:
            raise CannotStart(f"the record {path} cannot be played: {error}") from error
        self.header = header or RecordHeader()
        self._has_header = header is not None
        if self.header.v > VERSION:
            raise CannotStart(f"the record {path} was made by a newer vyomo-rt: update this one")
        moments = (line_moment(line) for line in read_lines(rest if header else first) if line)
        begin_ms = next((moment for moment in moments if moment is not None), None)
        if begin_ms is None:
            raise CannotStart(f"the record {path} has no tick and no call: nothing can be played")
        self.begin_ms = begin_ms
        """The moment of its first line."""

    def __iter__(self) -> Iterator[list[RecordLine]]:
        """Its lines, some thousands at a time; those that cannot be read are passed over."""
        number = bad = 0
        reader = LineReader(self.path)
        for block in self._blocks(reader):
            lines = read_lines(block)
            readable = [line for line in lines if line is not None]
            if len(readable) < len(lines):
                for at, line in enumerate(lines, number + 1):
                    if line is None:
                        bad += 1
                        if bad <= _TOLD:
                            log.warning("line %d of %s is passed over", at, self.path)
            number += len(lines)
            yield readable
        if bad > _TOLD:
            log.warning("%d lines of %s were passed over", bad, self.path)

    def _blocks(self, reader: LineReader) -> Iterator[bytes]:
        is_first = self._has_header
        for block in reader:
            yield block.partition(b"\n")[2] if is_first else block
            is_first = False
        if reader.rest.strip():
            yield reader.rest  # whole, or what a crash has left
