"""Matter was decided about rights on one node, for the others: the store has the list."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from secrets import token_hex
from typing import Protocol

from vyomo_rt.domain.moment import WallClock
from vyomo_rt.domain.news import Item, Matter

LOOKED_BACK_MS = 30_000
"""News come in late by less, even if a node's write was slow."""
_KNOWN = 10_000


class NewsBoard(Protocol):
    """Matter the news need of a store. Every method raises Unavailable."""

    async def put_up(self, item: Item) -> None: ...

    async def newer_than(self, at_ms: int) -> Sequence[Item]: ...


class News:
    """Tells other nodes, and acts on what they tell, each item once."""

    def __init__(
        self, board: NewsBoard, now: WallClock, act: Callable[[Item], Awaitable[None]]
    ) -> None:
        self.wake_others: Callable[[], None] = lambda: None
        self._board = board
        self._now = now
        self._act = act
        self._known: OrderedDict[str, None] = OrderedDict()

    async def tell(self, what: Matter, value: str) -> None:
        """Tell all others within a second. Raises Unavailable."""
        item = Item(token_hex(8), what, value, self._now())
        self._note(item)
        await self._board.put_up(item)
        self.wake_others()

    async def look(self) -> None:
        """Act on what is new. Raises Unavailable."""
        for item in await self._board.newer_than(self._now() - LOOKED_BACK_MS):
            if item.id not in self._known:
                await self._act(item)
                self._note(item)

    def _note(self, item: Item) -> None:
        self._known[item.id] = None
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)
