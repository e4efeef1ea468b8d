"""Which vyomo-rt this is."""

from __future__ import annotations

import importlib.metadata


def version() -> str:
    """The installed version."""
    try:
        return importlib.metadata.version("vyomo-rt")
    except importlib.metadata.PackageNotFoundError:
        return "(version unknown: not installed)"
