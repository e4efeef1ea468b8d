"""Which symbols need a price, because somebody watches them or trades in them are open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator


class Demand:
    """Counts how many users need each symbol's price, and how many of these are open trades.

    ``listeners`` are told when a symbol gets its first user (True) and when it loses its last
    one (False).
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self.listeners: list[Callable[[str, bool], None]] = []

    def wanted(self, symbols: Iterable[str], *, held: bool = False) -> None:
        """Count one more user for each of the symbols; ``held`` where it is an open trade."""
        for symbol in symbols:
            if held:
                self._held[symbol] += 1
            self._counts[symbol] += 1
            if self._counts[symbol] == 1:
                self._tell(symbol, wanted=True)

    def released(self, symbols: Iterable[str], *, held: bool = False) -> None:
        """Count one user fewer; each call undoes one of ``wanted``, of the same kind."""
        for symbol in symbols:
            if held:
                _count_down(self._held, symbol)
            if not _count_down(self._counts, symbol):
                self._tell(symbol, wanted=False)

    def count(self, symbol: str) -> int:
        """How many users need a symbol's price."""
        return self._counts[symbol]

    def held(self) -> Collection[str]:
        """The symbols whose price an open trade needs."""
        return self._held.keys()

    def is_held(self, symbol: str) -> bool:
        """Whether an open trade needs the symbol's price."""
        return symbol in self._held

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._counts

    def __iter__(self) -> Iterator[str]:
        """The wanted symbols, each once, those that were wanted longest first."""
        return iter(self._counts)

    def _tell(self, symbol: str, *, wanted: bool) -> None:
        for listener in self.listeners:
            listener(symbol, wanted)


def _count_down(counts: Counter[str], symbol: str) -> int:
    counts[symbol] -= 1
    if not counts[symbol]:
        del counts[symbol]
        return 0
    return counts[symbol]
