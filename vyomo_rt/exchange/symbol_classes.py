"""Classes of symbols, decided by name, and how far a price of each may jump at once."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources

from msgspec import Struct, json


class SymbolClass(Struct, frozen=True, forbid_unknown_fields=True):
    """The symbols that end with ``pattern`` and are in none of the classes before.

    One tick may move a price down to ``falls_to_percent`` and up to
    ``rises_to_percent`` of the last one without being confirmed. Exchanges stop
    trading in a stock or an index at 20 % (NSE's widest band); an option's premium
    may well double, so only a factor of 5 is a jump.
    """

    name: str
    pattern: str
    falls_to_percent: int
    rises_to_percent: int

    def allows(self, last_e4: int, price_e4: int) -> bool:
        """Whether a price may follow the last one without being confirmed."""
        percent_e4 = price_e4 * 100
        return last_e4 * self.falls_to_percent <= percent_e4 <= last_e4 * self.rises_to_percent


@cache
def _classes() -> tuple[SymbolClass, ...]:
    text = resources.files("vyomo_rt.exchange").joinpath("symbol_classes.json").read_bytes()
    return json.decode(text, type=tuple[SymbolClass, ...])


@lru_cache(maxsize=20_000)
def class_of(symbol: str) -> SymbolClass:
    """The class of a symbol."""
    return next(one for one in _classes() if re.search(f"(?:{one.pattern})$", symbol))
