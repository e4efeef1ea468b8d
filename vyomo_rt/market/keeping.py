"""Keeps over a restart the prices that their source would not send again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.domain.quote import Quote
from vyomo_rt.market.board import Board
from vyomo_rt.market.book import Book

_SAVE_PAUSE_S = 0.1


class KeptPrices(Protocol):
    """What the market needs of a store; ``vyomo_rt.store`` has the implementation."""

    async def load(self) -> Iterable[Quote]:
        """The prices of the last save. Raises Unavailable."""

    async def save(
        self,
        changed: Iterable[str],
        confirmed: Callable[[str], Quote | None],
        /,
        *,
        pause_s: float,
    ) -> None:
        """Keep the prices of these symbols, or forget one that has none any more.

        In pieces, with a pause after each.

        Raises Unavailable or OutcomeUnknown; the next call then does what is left.
        """


class PriceKeeper:
    """Keeps posted prices, which nobody posts again; other feeds tick by themselves.

    ``book`` is that of the feed that takes posts, if there is one. What it said is kept, even
    while another source speaks.
    """

    def __init__(self, board: Board, book: Book | None, kept: KeptPrices) -> None:
        self._board = board
        self._book = book
        self._kept = kept

    async def restore(self) -> None:
        """Load the prices that were kept. Raises Unavailable."""
        if self._book is not None:
            self._board.restore(self._book, await self._kept.load())

    async def look(self) -> None:
        """Look at what another node has kept, before this one goes on. Raises Unavailable."""
        if self._book is not None:
            await self._kept.load()

    async def keep(self, pause_s: float = _SAVE_PAUSE_S) -> None:
        """Keep the changed prices for the next start, if the store is there.

        Slowly, since trades come first.
        """
        if (book := self._book) is not None:
            changed, book.changed = book.changed, set()
            with suppress(VyomoError):
                await self._kept.save(changed, book.last, pause_s=pause_s)
