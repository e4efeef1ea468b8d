"""The symbols that ship with the simulator."""

from __future__ import annotations

import pytest

from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.market.feeds.sim.symbols import SimSymbol, load_symbols

SYMBOLS = load_symbols()

# The NSE's tick sizes for stocks: (price below which it holds, tick), in units of 0.0001.
BANDS_E4 = [
    (250_0000, 100),
    (1_000_0000, 500),
    (5_000_0000, 1_000),
    (10_000_0000, 5_000),
    (20_000_0000, 10_000),
]


def exchange_tick_e4(symbol: SimSymbol) -> int:
    if symbol.kind == "equity":
        return next((tick for below, tick in BANDS_E4 if symbol.base_price_e4 < below), 50_000)
    return {"index": 100, "currency": 25, "option": 500}[symbol.kind]


def test_names_are_valid_and_stand_once() -> None:
    names = [symbol.symbol for symbol in SYMBOLS]
    assert names == [parse_symbol(name) for name in names]
    assert len(set(names)) == len(names) >= 12


@pytest.mark.parametrize("symbol", SYMBOLS, ids=lambda symbol: symbol.symbol)
def test_a_symbol_has_the_tick_size_of_its_exchange_and_a_price_on_it(symbol: SimSymbol) -> None:
    assert symbol.tick_e4 == exchange_tick_e4(symbol)
    assert symbol.base_price_e4 > 0
    assert symbol.base_price_e4 % symbol.tick_e4 == 0
    assert 1 <= symbol.annual_volatility_percent <= (450 if symbol.kind == "option" else 100)
