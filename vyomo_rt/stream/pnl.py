"""The P&L of a session's open trades as ready frames, each remade only when it changes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping
from typing import NamedTuple

from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.trade import Trade
from vyomo_rt.wire.frame import Frame
from vyomo_rt.wire.trade import pnl_update

PAGE = 128
"""Trades looked at before the loop may run."""

BEGIN = 0
"""Before the first trade id."""

View = tuple[int, bool]
"""What a P&L shows of a quote: price and staleness."""


class _KeptFrame(NamedTuple):
    trade: Trade
    view: View
    frame: Frame


class Page(NamedTuple):
    """The P&L of the trades with ``after < id <= upto``, as of ``views`` of their symbols."""

    after: int
    upto: int
    frames: list[Frame]
    views: Mapping[str, View | None]
    is_last: bool


NO_PAGE = Page(BEGIN, BEGIN, [], {}, is_last=True)


class PnlFrames:
    """Frames by trade id, with a gap for the timestamp."""

    def __init__(
        self, open_trades: Mapping[int, Trade], quote: Callable[[str], Quote | None]
    ) -> None:
        self._quote = quote
        self._ids = sorted(open_trades)
        self._kept: dict[int, _KeptFrame] = {}

    def follow(self, trade_id: int, open_trades: Mapping[int, Trade]) -> None:
        """Add or remove a trade after an event."""
        index = bisect_left(self._ids, trade_id)
        is_here = index < len(self._ids) and self._ids[index] == trade_id
        if trade_id in open_trades:
            if not is_here:
                insort(self._ids, trade_id)
        elif is_here:
            del self._ids[index]
            self._kept.pop(trade_id, None)

    def page(self, open_trades: Mapping[int, Trade], after: int, upto: int | None = None) -> Page:
        """The next trades after an id: at most ``PAGE`` of them, or those up to another id."""
        start = bisect_right(self._ids, after)
        end = start + PAGE if upto is None else bisect_right(self._ids, upto)
        ids = self._ids[start:end]
        quotes: dict[str, Quote | None] = {}
        views: dict[str, View | None] = {}
        frames = []
        for trade_id in ids:
            trade = open_trades[trade_id]
            symbol = trade.symbol
            if symbol not in views:
                quotes[symbol] = quote = self._quote(symbol)
                views[symbol] = _view(quote)
            view, kept = views[symbol], self._kept.get(trade_id)
            if view is None:
                continue
            if kept is None or kept.trade is not trade or kept.view != view:
                quote = quotes[symbol]
                assert quote is not None
                kept = _KeptFrame(trade, view, pnl_update(trade, quote))
                self._kept[trade_id] = kept
            frames.append(kept.frame)
        last = upto if upto is not None else ids[-1] if ids else after
        return Page(after, last, frames, views, end >= len(self._ids))

    def is_current(self, page: Page) -> bool:
        """Whether the page's prices are still the newest."""
        return all(_view(self._quote(symbol)) == view for symbol, view in page.views.items())


def _view(quote: Quote | None) -> View | None:
    return None if quote is None else (quote.price_e4, quote.stale)
