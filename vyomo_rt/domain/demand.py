"""Which symbols need a price, because somebody watches them or trades in them are open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator


class Demand:
    """Counts how many users need each symbol's price.

    ``listeners`` are told when a symbol gets its first user (True) and when it loses its last
    one (False).
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.listeners: list[Callable[[str, bool], None]] = []

    def wanted(self, symbols: Iterable[str]) -> None:
        """Count one more user for each of the symbols."""
        for symbol in symbols:
            count = self._counts[symbol] = self._counts.get(symbol, 0) + 1
            if count == 1:
                self._tell(symbol, wanted=True)

    def released(self, symbols: Iterable[str]) -> None:
        """Count one user fewer; each call undoes one of ``wanted``."""
        for symbol in symbols:
            count = self._counts[symbol] = self._counts[symbol] - 1
            if not count:
                del self._counts[symbol]
                self._tell(symbol, wanted=False)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._counts

    def __iter__(self) -> Iterator[str]:
        """The wanted symbols, each once."""
        return iter(self._counts)

    def _tell(self, symbol: str, *, wanted: bool) -> None:
        for listener in self.listeners:
            listener(symbol, wanted)
