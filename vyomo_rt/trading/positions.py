"""Which sessions a price may concern."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count

from vyomo_rt.domain.decisions import SECOND_MS, Moment, quiet_bands
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.event import Event, TradeEvent
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trailing import Band
from vyomo_rt.trading.ledger import Ledger


class Positions:
    """Passes each price to the sessions in which it may decide something.

    For each symbol and session it knows the band of prices that do nothing, so that a price
    looks at no trade as long as it stays there.
    """

    def __init__(self, now: MarketClock, demand: Demand) -> None:
        self._now = now
        self._demand = demand
        self._bands: dict[str, dict[Ledger, Band | None]] = {}
        """None: to be found anew."""
        self._due: list[tuple[int, int, Ledger]] = []
        """When moves that wait may be stored: a heap."""
        self._count = count()

    def add(self, state: SessionState, ledger: Ledger) -> None:
        """A session is in memory from now on."""
        for trade in state.open_trades.values():
            self._demand.wanted([trade.symbol], held=True)
        for symbol in state.exposures:
            self.expect(symbol, ledger)

    def expect(self, symbol: str, ledger: Ledger) -> None:
        """Something in a symbol may begin in a session: every price counts for it from now on."""
        self._bands.setdefault(symbol, {})[ledger] = None

    def follow(self, events: Sequence[Event], ledger: Ledger) -> None:
        """Events were applied."""
        for event in events:
            if isinstance(event, TradeEvent):
                symbol = event.trade.symbol
                if event.trade.exit is not None:
                    self._demand.released([symbol], held=True)
                elif event.is_opening:
                    self._demand.wanted([symbol], held=True)
                self.expect(symbol, ledger)

    def wait(self, ledger: Ledger) -> None:
        """What waits in a session has changed."""
        for symbol in ledger.state.exposures:
            self.expect(symbol, ledger)
        if (due_ms := ledger.pace.due_ms) is not None:
            # Late prices are of seconds long past; for their moves the clock's next one counts.
            next_ms = (self._now() // SECOND_MS + 1) * SECOND_MS
            due_ms = due_ms if due_ms > self._now() else next_ms
            heappush(self._due, (due_ms, next(self._count), ledger))

    def pass_time(self, at_ms: int) -> None:
        """The market has come to a moment: what waited for it is stored."""
        while self._due and self._due[0][0] <= at_ms:
            _, _, ledger = heappop(self._due)
            ledger.take(Moment(at_ms))

    def on_quote(self, quote: Quote) -> None:
        """Let an accepted price decide what it may; a stale price decides nothing."""
        if quote.stale:
            return
        self.pass_time(quote.as_of_ms)
        bands = self._bands.get(quote.symbol)
        if not bands:
            return
        price_e4 = quote.price_e4
        moment = Moment(quote.as_of_ms, quote.symbol, price_e4)
        for ledger, known in list(bands.items()):
            if ledger.is_busy:
                ledger.take(moment)
                continue
            band = known or quiet_bands(ledger.state, ledger.pace, quote.symbol)
            if band is None:
                del bands[ledger]
            elif band.low < price_e4 < band.high:
                bands[ledger] = band
            else:
                ledger.take(moment)
        if not bands:
            del self._bands[quote.symbol]

    def forget(self, ledger: Ledger) -> None:
        """A session without open trades leaves memory."""
        for bands in self._bands.values():
            bands.pop(ledger, None)
