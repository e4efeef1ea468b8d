"""In which sessions a price brings the result of the day to where a rule acts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from vyomo_rt.domain.decisions import LastPrice
from vyomo_rt.domain.moment import MarketClock, trading_day
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.ruling import quiet_results
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import Priced
from vyomo_rt.trading.ledger import Ledger


@dataclass(slots=True, eq=False)
class _Watch:
    """A session's result in ₹0.0001; strictly between the two its rules do nothing."""

    ledger: Ledger
    symbols: tuple[str, ...]
    low_e4: float = 0
    high_e4: float = 0
    result_e4: int = 0

    @property
    def is_quiet(self) -> bool:
        return self.low_e4 < self.result_e4 < self.high_e4


@dataclass(slots=True)
class _Place:
    """A symbol's last price, None if it has none, and what each session holds of it."""

    price_e4: int | None
    quantities: dict[_Watch, int] = field(default_factory=dict)


class Results:
    """Keeps up the results of sessions with rules: a price costs each of them one addition.

    Every fresh price asks the rules of every session. Those whose result is quiet need no asking;
    those whose result is not, although no price of theirs came, are asked by the next one of all.
    """

    def __init__(self, quote: Callable[[str], Quote | None], now: MarketClock) -> None:
        self._quote = quote
        self._day = trading_day(now())
        self._places: dict[str, _Place] = {}
        self._watches: dict[Ledger, _Watch] = {}
        self._unasked: dict[Ledger, None] = {}
        """Where a rule may act since something else than a fresh price of theirs."""

    def follow(self, ledger: Ledger) -> None:
        """A session's rules or trades have changed."""
        self.forget(ledger)
        state = ledger.state
        if not state.session.rules.judge_results or state.session.status is SessionStatus.STOPPED:
            return
        watch = _Watch(ledger, tuple(state.exposures))
        if state.exposures:
            self._watches[ledger] = watch
        for symbol, exposure in state.exposures.items():
            self._place(symbol).quantities[watch] = exposure.quantity
        self._count(watch)

    def on_price(self, quote: Quote) -> Collection[Ledger]:
        """Take a price; if it is fresh, returns the sessions in which a rule may act now."""
        place = self._places.get(quote.symbol)
        if place is not None:
            is_first, moved_e4 = place.price_e4 is None, quote.price_e4 - (place.price_e4 or 0)
            place.price_e4 = quote.price_e4
            for watch, quantity in place.quantities.items():
                if is_first:
                    self._count(watch)
                else:
                    watch.result_e4 += quantity * moved_e4
                if not watch.is_quiet:
                    self._unasked[watch.ledger] = None
        if quote.stale:
            return ()
        day = trading_day(quote.as_of_ms)
        if day != self._day:
            self._day = day
            for watch in self._watches.values():
                self._count(watch)
        if not self._unasked:
            return ()
        asked, self._unasked = self._unasked, {}
        return asked

    def forget(self, ledger: Ledger) -> None:
        """A session has no rules or trades any more, or leaves memory."""
        self._unasked.pop(ledger, None)
        watch = self._watches.pop(ledger, None)
        if watch is None:
            return
        for symbol in watch.symbols:
            place = self._places[symbol]
            del place.quantities[watch]
            if not place.quantities:
                del self._places[symbol]

    def _count(self, watch: _Watch) -> None:
        """Find a session's result, and where its rules act, from its state."""
        state, day = watch.ledger.state, self._day
        quiet = quiet_results(state.session, day, state.figures.tally(day))
        watch.low_e4, watch.high_e4 = quiet
        watch.result_e4 = state.result_e4(day, self._price)
        if not watch.is_quiet:
            self._unasked[watch.ledger] = None

    def _place(self, symbol: str) -> _Place:
        if symbol not in self._places:
            quote = self._quote(symbol)
            self._places[symbol] = _Place(None if quote is None else quote.price_e4)
        return self._places[symbol]

    def _price(self, symbol: str) -> Priced | None:
        price_e4 = self._places[symbol].price_e4
        return None if price_e4 is None else LastPrice(price_e4, stale=False)
