"""Classes of symbols, told by their names, and how far a price of each may jump at once."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources

from msgspec import Struct, json


class SymbolClass(Struct, frozen=True, forbid_unknown_fields=True):
    """The symbols that end with ``pattern`` and are in none of the classes before.

    ``jump_limit_percent`` of the last price is what one tick may move it by
    without being confirmed; None is any: an option's premium may well double.
    Exchanges stop trading in a stock or an index at 20 % (NSE's widest band).
    """

    name: str
    pattern: str
    jump_limit_percent: int | None


@cache
def _classes() -> tuple[SymbolClass, ...]:
    text = resources.files("vyomo_rt.market").joinpath("classes.json").read_bytes()
    return json.decode(text, type=tuple[SymbolClass, ...])


@lru_cache(maxsize=20_000)
def class_of(symbol: str) -> SymbolClass:
    """The class of a symbol."""
    return next(one for one in _classes() if re.search(f"(?:{one.pattern})$", symbol))
