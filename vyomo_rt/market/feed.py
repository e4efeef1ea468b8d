"""A price source as the rest of the server sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from vyomo_rt.domain.quote import Tick


class Feed(Protocol):
    """A source of prices. `Supervisor` keeps it running."""

    @property
    def source(self) -> str:
        """The name on each of its ticks."""

    @property
    def fresh_for_ms(self) -> int:
        """How old a price may be before it is stale."""

    @property
    def takes_posts(self) -> bool:
        """Whether its prices come from outside, over HTTP."""

    def knows(self, symbol: str, /) -> bool:
        """Whether it can price the symbol at all."""

    def ticks(self) -> AsyncGenerator[Tick, None]:
        """Its ticks, as they come; ends at once if all of them are posted.

        Any exception means that the source failed; another call starts it again.
        """
