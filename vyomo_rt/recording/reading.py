"""Reads the lines of a record, as far as they were written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.recording.packing import Packing, packing_of

_READ_BYTES = 128 * 1024
_READ_PACKED_BYTES = 16 * 1024
"""They become ten times as many, and are not to be held at once."""


class LineReader:
    """The whole lines of a file, in blocks of many.

    What a crash has left of a last line stays in ``rest``. A packed file may consist of several
    parts, and the last may lack its end. Raises CannotStart for a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._packing = packing_of(path)
        self.rest = b""
        self.is_whole = True
        """Whether the file, once it is read, ended as it should."""

    def __iter__(self) -> Iterator[bytes]:
        self.rest = b""
        for text in self._texts():
            head, newline, tail = text.rpartition(b"\n")
            if newline:
                yield self.rest + head + newline
                self.rest = tail
            else:
                self.rest += tail
        self.is_whole &= not self.rest

    def _texts(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                size = _READ_BYTES if self._packing is None else _READ_PACKED_BYTES
                chunks = iter(lambda: file.read(size), b"")
                if self._packing is None:
                    yield from chunks
                else:
                    yield from self._unpacked(chunks, self._packing)
        except OSError as error:
            raise CannotStart(
                f"the record {self._path} cannot be read: {error.strerror}"
            ) from error

    def _unpacked(self, chunks: Iterator[bytes], packing: Packing) -> Iterator[bytes]:
        unpacker = packing.unpacker()
        self.is_whole = False
        for chunk in chunks:
            data = chunk
            while data:
                if unpacker.eof:
                    unpacker = packing.unpacker()
                try:
                    text = unpacker.decompress(data)
                except packing.failure as error:
                    raise CannotStart(
                        f"the record {self._path} is damaged, or not packed as its name says: "
                        f"{error}"
                    ) from error
                if text:
                    yield text
                data = unpacker.unused_data if unpacker.eof else b""
        self.is_whole = unpacker.eof
