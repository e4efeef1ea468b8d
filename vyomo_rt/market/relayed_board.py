"""A board of prices that is the same on all nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import MarketClock, MarketMs
from vyomo_rt.domain.quote import Quote, Tick
from vyomo_rt.market.board import Board
from vyomo_rt.market.book import Book, Row


class Moments:
    """The moments by which ticks are judged: now, or those of the node that took them first."""

    def __init__(self, now: MarketClock, arrived: MarketClock) -> None:
        self._now, self._arrived = now, arrived
        self._now_ms: MarketMs | None = None
        self._arrived_ms: MarketMs | None = None
        """Few ticks need it, and it costs as much to know as all else about them."""

    def now(self) -> MarketMs:
        held_ms = self._now_ms
        return self._now() if held_ms is None else held_ms

    def arrived(self) -> MarketMs:
        arrived_ms = self._arrived() if self._arrived_ms is None else self._arrived_ms
        if self._now_ms is not None:
            self._arrived_ms = arrived_ms
        return arrived_ms

    def stand_still(self) -> MarketMs:
        """Stay at the present moments until ``go_on``; returns now."""
        self._now_ms = now_ms = self._now()
        return now_ms

    def go_to(self, now_ms: int, arrived_ms: int) -> None:
        """Stand still at these moments, until ``go_on``."""
        self._now_ms, self._arrived_ms = MarketMs(now_ms), MarketMs(arrived_ms)

    def go_on(self) -> MarketMs | None:
        """Returns the moment of arrival, if it was asked for."""
        arrived_ms = self._arrived_ms
        self._now_ms = self._arrived_ms = None
        return arrived_ms


Note = Callable[[Tick, int, int], None]


class RelayedBoard(Board):
    """Takes ticks as a board does, and those of another node by the moments of that.

    ``note`` hears of each accepted tick. While ``is_doubtful`` something may be missing: all
    prices are stale.
    """

    def __init__(
        self,
        books: Sequence[Book],
        moments: Moments,
        on_price: Callable[[Quote], None],
        *,
        demand: Demand,
        on_moment: Callable[[int], None],
    ) -> None:
        super().__init__(books, moments.now, self._tell, demand=demand, on_moment=on_moment)
        self.note: Note = _nothing
        self.hear_price: Callable[[Quote, int], None] = lambda _quote, _at_ms: None
        """Hears of each price that counts, with the moment at which it was accepted."""
        self._act = on_price
        self.is_doubtful: Callable[[], bool] = lambda: False
        self._moments = moments

    def accept(self, tick: Tick) -> str | None:
        now_ms = self._moments.stand_still()
        try:
            reason = super().accept(tick)
        finally:
            arrived_ms = self._moments.go_on()
        if reason is None:
            self.note(tick, now_ms, now_ms if arrived_ms is None else arrived_ms)
        return reason

    def repeat(self, tick: Tick, now_ms: int, arrived_ms: int) -> None:
        """Take a tick that another node has accepted."""
        self._moments.go_to(now_ms, arrived_ms)
        try:
            super().accept(tick)
        finally:
            self._moments.go_on()

    def _tell(self, quote: Quote) -> None:
        self.hear_price(quote, self._moments.now())
        self._act(quote)

    # -- reading ---------------------------------------------------------------

    def quote(self, symbol: str) -> Quote | None:
        return self._doubted(super().quote(symbol))

    def confirmed(self, symbol: str) -> Quote | None:
        return self._doubted(super().confirmed(symbol))

    def quotes(self) -> list[Quote]:
        return [doubted for quote in super().quotes() if (doubted := self._doubted(quote))]

    def _doubted(self, quote: Quote | None) -> Quote | None:
        if quote is None or quote.stale or not self.is_doubtful():
            return quote
        return replace(quote, stale=True)

    # -- the whole of it -------------------------------------------------------

    def rows(self) -> dict[str, list[Row]]:
        """All that the books hold, by source."""
        return {source: book.rows() for source, book in self._books.items()}

    def take_over(self, rows: dict[str, list[Row]]) -> None:
        """Hold what another node holds, as far as it is newer; prices that came meanwhile act."""
        now_ms = self._now()
        before: dict[str, Quote | None] = {}
        for source, of_book in rows.items():
            book = self._books.get(source)
            if book is None:
                continue
            for row in of_book:
                if self._places.take(row.symbol):
                    before.setdefault(row.symbol, super().confirmed(row.symbol))
                    book.take_over(row)
                    if self._only is None:
                        self._ranking.restore(book, row.symbol, now_ms)
        for symbol, known in before.items():
            quote = super().confirmed(symbol)
            if quote is not None and (known is None or _is_other(quote, known)):
                self._on_price(quote)


def _is_other(one: Quote, other: Quote) -> bool:
    return (one.price_e4, one.as_of_ms) != (other.price_e4, other.as_of_ms)


def _nothing(_tick: Tick, _now_ms: int, _arrived_ms: int) -> None:
    """For a node that does not own the prices."""
