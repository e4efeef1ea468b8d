"""Which vyomo-rt this is."""

from __future__ import annotations

import importlib.metadata
from functools import cache


@cache
def version() -> str:
    """The installed version."""
    try:
        return importlib.metadata.version("vyomo-rt")
    except importlib.metadata.PackageNotFoundError:
        return "(version unknown: not installed)"
