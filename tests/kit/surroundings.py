"""What decisions ask for, as a test gives it."""

from __future__ import annotations

from collections.abc import Callable

from vyomo_rt.domain.decisions import Moment, Surroundings
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.state import Priced, SessionState
from vyomo_rt.domain.trade import Trade
from vyomo_rt.exchange.charges import shipped_tariff
from vyomo_rt.exchange.market_hours import next_midnight_ms, next_minute_ms


class Around(Surroundings):
    """Day and night, charged as the package says; entries become the trades that a test makes."""

    def __init__(self, make_trade: Callable[[PendingEntry, Moment], Trade] | None = None) -> None:
        self.charge = shipped_tariff().order_charges
        self.square_off_ms = next_minute_ms
        self.new_day_ms = lambda at_ms: next_midnight_ms("", at_ms)
        self.prices: dict[str, Priced] = {}
        self.last_price = self.prices.get
        self._make_trade = make_trade

    def open_entry(self, _state: SessionState, entry: PendingEntry, moment: Moment) -> Trade:
        assert self._make_trade is not None
        return self._make_trade(entry, moment)


ALONE = Around()
