"""What the simulator needs to know of a symbol; the figures are in ``symbols.json``."""

from __future__ import annotations

from importlib import resources
from typing import Literal

from msgspec import Struct, json


class SimSymbol(Struct, frozen=True, forbid_unknown_fields=True):
    """A symbol that can be simulated.

    Prices are round figures near those of 2026. Tick sizes are the exchange's:
    for a stock the NSE's band for its price, for an index the two decimals in
    which it is published. Volatility is per cent a year: NIFTY's is the realised one,
    the others are assumed in proportion. An option's premium moves by itself, as
    far as premiums near the money do: it does not follow its index or expire.
    """

    symbol: str
    kind: Literal["index", "equity", "currency", "option"]
    base_price_e4: int
    tick_e4: int
    annual_volatility_percent: float


def load_symbols() -> tuple[SimSymbol, ...]:
    """The symbols that ship with the package."""
    text = resources.files("vyomo_rt.market.feeds.sim").joinpath("symbols.json").read_bytes()
    return json.decode(text, type=tuple[SimSymbol, ...])
