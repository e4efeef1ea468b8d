"""The open trades that a price may close."""

from __future__ import annotations

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.event import Event, TradeEvent
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.trade import Exit, Trade
from vyomo_rt.trading.ledger import Ledger


class Positions:
    """Finds open trades by symbol, and latches the exits that prices trigger."""

    def __init__(self, now: MarketClock, demand: Demand) -> None:
        self._now = now
        self._demand = demand
        self._by_symbol: dict[str, dict[int, tuple[Trade, Ledger]]] = {}
        self._opening: set[Ledger] = set()

    def add(self, trade: Trade, ledger: Ledger) -> None:
        """A trade is open from now on."""
        of_symbol = self._by_symbol.setdefault(trade.symbol, {})
        if trade.trade_id not in of_symbol:
            self._demand.wanted([trade.symbol], held=True)
        of_symbol[trade.trade_id] = trade, ledger

    def add_opening(self, ledger: Ledger) -> None:
        """The ledger begins to store an opening; prices count for it at once."""
        self._opening.add(ledger)

    def follow(self, event: Event, ledger: Ledger) -> None:
        """An event was applied."""
        if isinstance(event, TradeEvent):
            if event.trade.exit is None:
                self.add(event.trade, ledger)
            else:
                self._remove(event.trade)

    def _remove(self, trade: Trade) -> None:
        of_symbol = self._by_symbol.get(trade.symbol, {})
        if of_symbol.pop(trade.trade_id, None) is not None:
            self._demand.released([trade.symbol], held=True)
        if not of_symbol:
            self._by_symbol.pop(trade.symbol, None)

    def on_quote(self, quote: Quote) -> None:
        """Latch the exits that an accepted price triggers; a stale price triggers none."""
        if quote.stale:
            return
        for trade, ledger in self._by_symbol.get(quote.symbol, {}).values():
            self._latch_if_due(ledger, trade, quote.price_e4)
        for ledger in list(self._opening):
            if ledger.opening is None:
                self._opening.discard(ledger)
            elif ledger.opening.symbol == quote.symbol:
                self._latch_if_due(ledger, ledger.opening, quote.price_e4)

    def _latch_if_due(self, ledger: Ledger, trade: Trade, price_e4: int) -> None:
        reason = trade.exit_due(price_e4)
        if reason is not None and trade.trade_id not in ledger.latched:
            ledger.latched[trade.trade_id] = Exit(price_e4, reason, self._now())
            ledger.wake()
