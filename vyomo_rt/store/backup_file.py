"""A backup as a file: gzipped lines of JSON, one per document, complete or refused.

The first line says what it is, the last one how many documents are in between.
"""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from gzip import GzipFile
from pathlib import Path
from typing import Any

from bson import json_util

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.store.documents import Document

FORMAT = 1
_NAME = "vyomo-rt backup"
_JSON = json_util.RELAXED_JSON_OPTIONS.with_options(tz_aware=True)


class BackupWriter:
    """Writes documents, each with the name of its collection, after a first line."""

    def __init__(self, file: GzipFile, head: Mapping[str, Any]) -> None:
        self._file = file
        self._documents = 0
        self._write({_NAME: FORMAT, **head})

    def add(self, collection: str, document: Document) -> None:
        self._write({"collection": collection, "document": document})
        self._documents += 1

    def end(self) -> None:
        """Write the last line; without it the file is not complete."""
        self._write({"documents": self._documents})

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json_util.dumps(line, json_options=_JSON).encode() + b"\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file, readable by this user alone, that replaces ``path`` if the block succeeds.

    Otherwise nothing of it is left. Raises CannotStart.
    """
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(number)
        part = Path(name)
        try:
            yield part
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise CannotStart(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def writing(path: Path, head: Mapping[str, Any]) -> Iterator[BackupWriter]:
    """Write a backup. Raises OSError."""
    with gzip.open(path, "wb") as file:
        writer = BackupWriter(file, head)
        yield writer
        writer.end()


def read_head(path: Path) -> Document:
    """What the first line says. Raises CannotStart."""
    with _reading(path) as lines:
        return _head(lines)


def read(path: Path) -> Iterator[tuple[str, Document]]:
    """The documents with the names of their collections, as they were added.

    Raises CannotStart, at the latest at the end, if the file is not complete.
    """
    documents = 0
    with _reading(path) as lines:
        _head(lines)
        for line in lines:
            if "documents" in line:
                if line["documents"] != documents or next(lines, None) is not None:
                    raise ValueError("its last line gives another number of documents")
                return
            documents += 1
            yield line["collection"], line["document"]
    raise CannotStart(f"{path} is not a complete backup: its end is missing")


def _head(lines: Iterator[Document]) -> Document:
    head = next(lines, None)
    if head is None or _NAME not in head:
        raise ValueError("its first line is not that of a backup")
    if head[_NAME] != FORMAT:
        raise ValueError(
            f"a newer vyomo-rt wrote it (format {head[_NAME]}, this one reads {FORMAT})"
        )
    return head


@contextmanager
def _reading(path: Path) -> Iterator[Iterator[Document]]:
    try:
        with gzip.open(path, "rb") as file:
            yield _lines(file)
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, KeyError) as error:
        reason = "a line is not JSON" if isinstance(error, json.JSONDecodeError) else error
        raise CannotStart(f"{path} is not a complete backup: {reason}") from error
    except OSError as error:
        raise CannotStart(f"cannot read {path}: {error.strerror or error}") from error


def _lines(file: GzipFile) -> Iterator[Document]:
    for line in file:
        found = json_util.loads(line, json_options=_JSON)
        if not isinstance(found, dict):
            raise ValueError("a line is not an object")
        yield found
