"""How the lines of a file are packed, by its ending: not at all, with gzip or with Zstandard."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from vyomo_rt.domain.errors import CannotStart

_GZIP = 16 + zlib.MAX_WBITS


class Packer(Protocol):
    """Packs one part of a file; parts may follow each other."""

    def pack(self, text: bytes) -> bytes:
        """What is to be written of a text, so that it can be read at once."""

    def end(self) -> bytes:
        """What ends the part."""


class Unpacker(Protocol):
    """Unpacks one part of a file."""

    @property
    def eof(self) -> bool:
        """Whether the part ended as it should."""

    @property
    def unused_data(self) -> bytes:
        """What came after it."""

    def decompress(self, data: bytes, /) -> bytes:
        """Unpacks what follows."""


class Packing(NamedTuple):
    """One way to pack."""

    packer: Callable[[], Packer]
    unpacker: Callable[[], Unpacker]
    failure: type[Exception]
    """What an unpacker raises for what was not packed like this."""


def packing_of(path: Path) -> Packing | None:
    """How a file of this name is packed; None: not at all. Raises CannotStart."""
    if path.suffix == ".gz":
        return Packing(_Gzip, lambda: zlib.decompressobj(_GZIP), zlib.error)
    return _zstandard(path) if path.suffix == ".zst" else None


class _Gzip:
    def __init__(self) -> None:
        self._zip = zlib.compressobj(wbits=_GZIP)

    def pack(self, text: bytes) -> bytes:
        return self._zip.compress(text) + self._zip.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._zip.flush()


def _zstandard(path: Path) -> Packing:
    try:
        import zstandard  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise CannotStart(
            f"{path}: .zst needs the package zstandard: install vyomo-rt[zstd], or write .gz"
        ) from error

    class Zstandard:
        def __init__(self) -> None:
            self._zip = zstandard.ZstdCompressor().compressobj()

        def pack(self, text: bytes) -> bytes:
            packed = self._zip.compress(text)
            return packed + self._zip.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

        def end(self) -> bytes:
            return self._zip.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)

    return Packing(
        Zstandard, lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError
    )
