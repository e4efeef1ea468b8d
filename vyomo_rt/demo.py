"""A small strategy that trades the demo's session, so that every kind of message appears."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import cycle
from typing import NamedTuple

from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.domain.moment import Clock
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.trade import Trade
from vyomo_rt.trading.desk import Desk, Operation
from vyomo_rt.wire.numbers import PriceE4
from vyomo_rt.wire.rest import NewTrade

log = logging.getLogger(__name__)

SESSION_ID = 6
CAPITAL_PAISE = 50_000 * 100
_STEP_S = 5.0
_MAX_OPEN = 3
_MAX_AGE_MS = 25_000
_LEVEL_PARTS = 16_000
"""Stop and target stand 1/16000 (0.006 %) away: reached within seconds."""


class _Order(NamedTuple):
    symbol: str
    side: Side
    quantity: int
    with_levels: bool


_ORDERS = (
    _Order("NIFTY", Side.BUY, 65, with_levels=True),
    _Order("BANKNIFTY", Side.SELL, 30, with_levels=True),
    _Order("RELIANCE", Side.BUY, 50, with_levels=False),
    _Order("NIFTY", Side.SELL, 65, with_levels=True),
    _Order("BANKNIFTY", Side.BUY, 30, with_levels=False),
)


class DemoTrader:
    """Opens a trade every few seconds; stops, targets or, after a while, its hand close it."""

    def __init__(self, desk: Desk, *, quote: Callable[[str], Quote | None], now: Clock) -> None:
        self._desk = desk
        self._quote = quote
        self._now = now
        self._orders = cycle(_ORDERS)

    async def run(self) -> None:
        """Trade until cancelled."""
        while True:
            await asyncio.sleep(_STEP_S)
            try:
                await self._close_old()
                await self._open_next()
            except VyomoError as error:
                log.info("the demo pauses: %s", error)

    async def _close_old(self) -> None:
        for trade in self._own_trades():
            if self._now() - trade.opened_at_ms > _MAX_AGE_MS:
                await self._desk.close_trade(trade.trade_id, Operation(None, ""), lambda: None)

    async def _open_next(self) -> None:
        if len(self._own_trades()) < _MAX_OPEN:
            order = next(self._orders)
            quote = self._quote(order.symbol)
            if quote is not None and not quote.stale:
                new_trade = _new_trade(order, quote.price_e4)
                await self._desk.open_trade(SESSION_ID, Operation(None, ""), lambda: new_trade)

    def _own_trades(self) -> list[Trade]:
        """The open trades of the strategy's symbols and sizes; a visitor's stay alone."""
        sizes = {(order.symbol, order.quantity) for order in _ORDERS}
        trades = self._desk.state(SESSION_ID).open_trades.values()
        return [trade for trade in trades if (trade.symbol, trade.quantity) in sizes]


def _new_trade(order: _Order, price_e4: int) -> NewTrade:
    new_trade = NewTrade(symbol=order.symbol, quantity=order.quantity, side=order.side)
    new_trade.entry_price = PriceE4(price_e4)
    if order.with_levels:
        # Whole paise, at least one tick of any of these symbols away.
        away_e4 = max(price_e4 // _LEVEL_PARTS // 1000 * 1000, 1000) * order.side.sign
        new_trade.stop_loss = PriceE4(price_e4 - away_e4)
        new_trade.target = PriceE4(price_e4 + away_e4)
    return new_trade
