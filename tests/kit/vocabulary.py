"""The words of the protocol that stand in the code."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import vyomo_rt
from vyomo_rt.domain.errors import VyomoError


def subclasses(root: Any) -> Iterator[Any]:
    for child in root.__subclasses__():
        yield child
        yield from subclasses(child)


def error_codes() -> set[str]:
    """The codes of all errors that there are."""
    return {error.code for error in subclasses(VyomoError)}


def close_codes() -> dict[str, int]:
    """The server's own close codes, by the constants' names."""
    codes = {
        name: value
        for name, value in _constants()
        if name.startswith("CLOSE_") and isinstance(value, int)
    }
    assert len(codes) >= 6
    return codes


def _constants() -> Iterator[tuple[str, Any]]:
    for info in pkgutil.walk_packages(vyomo_rt.__path__, "vyomo_rt."):
        if not info.name.endswith(("__main__", "embedded_child")):
            yield from vars(importlib.import_module(info.name)).items()
