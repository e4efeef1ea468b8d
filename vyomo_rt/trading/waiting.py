"""The moments that wait in a session to be decided, and the prices known before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

from vyomo_rt.domain.decisions import LastPrice, Moment
from vyomo_rt.domain.state import Priced


class Waiting(deque[Moment]):
    """A queue. It may be long while the store is away, so a moment holds only its own price.

    It is a deque, because each price asks each session whether anything waits.
    """

    def __init__(self, last_prices: Callable[[], dict[str, Priced]]) -> None:
        super().__init__()
        self.prices: dict[str, Priced] = {}
        """Those known before the first that waits."""
        self._last_prices = last_prices

    def add(self, moment: Moment) -> None:
        if not self:
            self.prices = self._last_prices()
        self.append(moment)

    def first(self, count: int) -> list[Moment]:
        """The first of them, at most so many."""
        return list(islice(self, count))

    def remove_first(self, count: int) -> None:
        """The first of them are decided."""
        for _ in range(count):
            moment = self.popleft()
            if moment.symbol is not None:
                self.prices[moment.symbol] = LastPrice(moment.price_e4, moment.is_stale)
