"""What feeds of the exchange's prices have in common, however these come."""

from __future__ import annotations

from datetime import timedelta

from vyomo_rt.domain.market import PreviousClose
from vyomo_rt.domain.moment import MarketClock, trading_day
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.instruments import segment_of
from vyomo_rt.market.feed import Feed
from vyomo_rt.market.feeds.reading import Price

CLOSED = "outside market hours: the last prices stand"
UNWANTED = "nobody watches or holds anything that it has prices of"

_DAY = timedelta(days=1)
_YEAR_MS = 365 * 86_400_000
"""A moment further away than this is no moment."""


class ExchangeFeed(Feed):
    """Real prices, which follow the hours of the exchange."""

    keeps_hours = True

    def __init__(self, calendar: Calendar, now: MarketClock) -> None:
        self._calendar = calendar
        self._now = now
        self._told: dict[str, Price] = {}
        """The last price of each served symbol, also over a restart."""
        self._with_close: dict[str, Price] = {}
        """The last price of a symbol that came with the close before it."""

    def previous_close(self, symbol: str, /) -> PreviousClose | None:
        price = self._with_close.get(symbol)
        if price is None or price.previous_close_e4 is None:
            return None
        segment, now_ms = segment_of(symbol), self._now()
        moment_ms = now_ms if price.as_of_ms is None else price.as_of_ms
        if abs(now_ms - moment_ms) > _YEAR_MS:
            return None
        day = trading_day(moment_ms)
        of_price = self._calendar.last_trading_day(segment, day)
        before = self._calendar.last_trading_day(segment, of_price - _DAY)
        return PreviousClose(price.previous_close_e4, before)

    def _is_repeated(self, symbol: str, price: Price) -> bool:
        """Whether it is the price told last, of the same moment; it is the one told from now on."""
        told, self._told[symbol] = self._told.get(symbol), price
        if price.previous_close_e4 is not None:
            self._with_close[symbol] = price
        return told is not None and told[:2] == price[:2]
