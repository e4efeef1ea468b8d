"""The words of the protocol that stand in the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vyomo_rt.domain.errors import VyomoError


def subclasses(root: Any) -> Iterator[Any]:
    for child in root.__subclasses__():
        yield child
        yield from subclasses(child)


def error_codes() -> set[str]:
    """The codes of all errors that there are."""
    return {error.code for error in subclasses(VyomoError)}
