"""Matter one node decides about rights, and others have to act on."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Matter(Enum):
    """Matter happened; ``value`` says to whom."""

    REVOKED = "revoked"
    """Tokens: the list of revocations has them."""
    ENDED = "ended"
    """A ticket or a sign-in, by its hash."""
    USED = "used"
    """A ticket for one stream at a time, by its hash: an earlier stream ends."""


class Item(NamedTuple):
    id: str
    what: Matter
    value: str
    at_ms: int
