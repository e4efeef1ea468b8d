"""Which symbols there is room for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from vyomo_rt.domain.demand import Demand

MAX_SYMBOLS = 10_000
"""A source that names ever more symbols must not fill the memory."""


class Places:
    """A place for each symbol, as long as there is room.

    When there are ``MAX_SYMBOLS``, a new one takes the place of the symbol that has gone
    longest without a tick and without anybody to want it; what ``demand`` wants stays.
    ``forget`` is told which symbol lost its place.
    """

    def __init__(self, demand: Demand, forget: Callable[[str], None]) -> None:
        self._demand = demand
        self._forget = forget
        self._symbols: dict[str, None] = {}
        self.idle: OrderedDict[str, None] = OrderedDict()
        """The symbols that nobody wants; the first is forgotten next."""
        demand.listeners.append(self._on_demand)

    def take(self, symbol: str) -> bool:
        """Give a symbol a place, if it has none; False if all are in use."""
        if symbol in self._symbols:
            return True
        if not self.left:
            if not self.idle:
                return False
            forgotten, _ = self.idle.popitem(last=False)
            del self._symbols[forgotten]
            self._forget(forgotten)
        self._symbols[symbol] = None
        if symbol not in self._demand:
            self.idle[symbol] = None
        return True

    def touch(self, symbol: str) -> None:
        """A tick of an idle symbol was accepted."""
        self.idle.move_to_end(symbol)

    @property
    def left(self) -> int:
        """How many places nobody has had."""
        return max(0, MAX_SYMBOLS - len(self._symbols))

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._symbols

    def __iter__(self) -> Iterator[str]:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)

    def _on_demand(self, symbol: str, wanted: bool) -> None:
        if wanted:
            self.idle.pop(symbol, None)
        elif symbol in self._symbols:
            self.idle[symbol] = None
