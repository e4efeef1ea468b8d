"""A board with two sources and a clock that is set by hand."""

from __future__ import annotations

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.domain.quote import Quote, Tick
from vyomo_rt.market.board import Board
from vyomo_rt.market.book import Book

START_MS = 1_770_000_000_000
FRESH_FOR_MS = {"first": 15_000, "second": 30_000}


class Rivals:
    """``first`` ranks above ``second``; what the trading side heard is in ``acted``."""

    def __init__(self, *names: str) -> None:
        self.now_ms = START_MS
        self.demand = Demand()
        self.acted: list[Quote] = []
        self.books = {
            name: Book(name, FRESH_FOR_MS.get(name, 15_000), demand=self.demand, arrived=self._now)
            for name in names or ("first", "second")
        }
        self.board = Board([*self.books.values()], self._now, self.acted.append, demand=self.demand)

    def _now(self) -> MarketMs:
        return MarketMs(self.now_ms)

    def after(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)

    def says(
        self, source: str, price_e4: int, symbol: str = "NIFTY", *, age_s: float = 0
    ) -> str | None:
        """A source says a price that was true so long ago; returns why it was refused."""
        as_of_ms = self.now_ms - round(age_s * 1000)
        return self.board.accept(Tick(symbol, price_e4, as_of_ms, source))

    def keeps_saying(self, source: str, price_e4: int, seconds: float) -> None:
        """A source ticks once a second for so long."""
        for _ in range(round(seconds)):
            self.after(1)
            self.says(source, price_e4)

    @property
    def quote(self) -> Quote:
        quote = self.board.quote("NIFTY")
        assert quote is not None
        return quote

    @property
    def shown(self) -> tuple[str, int, bool]:
        """The source, the price, and whether it is stale."""
        return self.quote.source, self.quote.price_e4, self.quote.stale

    @property
    def counts(self) -> tuple[str, int, bool]:
        quote = self.board.confirmed("NIFTY")
        assert quote is not None
        return quote.source, quote.price_e4, quote.stale

    @property
    def told(self) -> list[tuple[str, int]]:
        """What the trading side heard since it was last asked, stale prices left out."""
        told = [(quote.source, quote.price_e4) for quote in self.acted if not quote.stale]
        self.acted.clear()
        return told
