"""Which trades of a session somebody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.trade import Trade, TradeStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFilter:
    """What a trade must be; None for what does not matter.

    The days, in Asia/Kolkata and both included, are those of its exit; of its opening while
    it is open.
    """

    status: TradeStatus | None = None
    symbol: str | None = None
    side: Side | None = None
    tag: str | None = None
    first_day: date | None = None
    last_day: date | None = None

    @property
    def has_days(self) -> bool:
        """Whether the day matters."""
        return self.first_day is not None or self.last_day is not None

    def accepts(self, trade: Trade) -> bool:
        """Whether a trade is one of those."""
        moment_ms = trade.opened_at_ms if trade.exit is None else trade.exit.at_ms
        day = trading_day(moment_ms)
        return (
            self.status in (None, trade.status)
            and self.symbol in (None, trade.symbol)
            and self.side in (None, trade.side)
            and (self.tag is None or self.tag in trade.tags)
            and (self.first_day is None or self.first_day <= day)
            and (self.last_day is None or day <= self.last_day)
        )


EVERY_TRADE = TradeFilter()
