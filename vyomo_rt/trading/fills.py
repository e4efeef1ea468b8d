"""The port through which a session's writes ask what its decisions need to know."""

from __future__ import annotations

from typing import Protocol

from vyomo_rt.domain.decisions import Surroundings


class Fills(Surroundings, Protocol):
    """What opens the trades of pending entries, and knows charges and hours."""

    async def get_ready(self, count: int) -> None:
        """Be ready to open so many, until something is awaited. Raises Unavailable."""
