"""A board with a clock that is set by hand, and what it told the trading side."""

from __future__ import annotations

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.domain.quote import Quote, Tick
from vyomo_rt.market.board import Board
from vyomo_rt.market.book import Book, InSession

START_MS = 1_770_000_000_000
FRESH_FOR_MS = 15_000


class Market:
    """``arrived_ms`` is as of when ticks without a moment count, if that is not now.

    Its only source is named ``source``.
    """

    def __init__(
        self,
        fresh_for_ms: int = FRESH_FOR_MS,
        *,
        trade_on_delayed: bool = False,
        in_session: InSession = lambda *_: True,
        source: str = "ingest",
    ) -> None:
        self.now_ms = START_MS
        self.arrived_ms: int | None = None
        self.heard: list[Quote] = []
        self.demand = Demand()
        self.book = Book(
            source,
            fresh_for_ms,
            demand=self.demand,
            arrived=lambda: MarketMs(self.now_ms if self.arrived_ms is None else self.arrived_ms),
            trade_on_delayed=trade_on_delayed,
            in_session=in_session,
        )
        self.board = Board([self.book], self.now, self.heard.append, demand=self.demand)

    def now(self) -> MarketMs:
        return MarketMs(self.now_ms)

    def tick(self, price_e4: int, symbol: str = "NIFTY", *, as_of_ms: int | None = None) -> None:
        """A tick that must be accepted."""
        assert self.accept(symbol, price_e4, as_of_ms) is None

    def accept(self, symbol: str, price_e4: int, as_of_ms: int | None = None) -> str | None:
        """A tick, and why it was refused, if it was."""
        return self.board.accept(Tick(symbol, price_e4, as_of_ms, self.book.source))

    def shown(self, symbol: str = "NIFTY") -> Quote:
        quote = self.board.quote(symbol)
        assert quote is not None
        return quote

    def confirmed(self, symbol: str = "NIFTY") -> Quote:
        quote = self.board.confirmed(symbol)
        assert quote is not None
        return quote

    @property
    def told(self) -> list[int]:
        """The prices that the trading side heard of."""
        return [quote.price_e4 for quote in self.heard]
