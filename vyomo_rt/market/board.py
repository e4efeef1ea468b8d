"""The board of prices: the one entrance for ticks, and the one price of each symbol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import Counter

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import Quote, Tick
from vyomo_rt.market import places
from vyomo_rt.market.book import Book, TickRefused
from vyomo_rt.market.places import Places
from vyomo_rt.market.ranking import Ranking

Keep = Callable[[str, int, int, int], None]
"""Takes a symbol, its price, the moment that its source names, and the present one."""


class Board:
    """The last prices of each symbol, of the books of all sources; the first ranks highest.

    ``confirmed`` is the price that counts: trades are valued, filled and closed at
    it. ``quote`` is the price to show, which differs while a jump or a change of source
    is in doubt.

    ``on_price`` is called with each tick's confirmed price, even if the tick only
    renews freshness: a stop that a stale price was not allowed to trigger must trigger
    once a tick says that the price still holds. A tick of a source that does not speak for
    its symbol is not told. ``on_moment`` is called before, with the moment of each tick that is
    accepted: the prices on the board are then still those before it.
    """

    def __init__(
        self,
        books: Sequence[Book],
        now: MarketClock,
        on_price: Callable[[Quote], None],
        *,
        demand: Demand,
        on_moment: Callable[[int], None] | None = None,
    ) -> None:
        for book in books:
            book.on_moment = on_moment or book.on_moment
        self._books = {book.source: book for book in books}
        self._only = books[0] if len(books) == 1 else None
        """The book of the only source: then there is nothing to choose."""
        self._ranking = Ranking(books)
        self._now = now
        self._on_price = on_price
        self.keep: Keep | None = None
        """Is given each accepted tick that may count, held ones too: to record it."""
        self._demand = demand
        self._places = Places(demand, self._forget)
        self.ticks = Counter(
            "vyomo_rt_ticks", "Ticks that came in, by outcome", ["outcome"], registry=None
        )
        self._accepted = self.ticks.labels("accepted")
        self._held = self.ticks.labels("held")
        self._refused = self.ticks.labels("refused")

    # -- ticks -----------------------------------------------------------------

    def accept(self, tick: Tick) -> str | None:
        """Take a tick; returns None, or the reason for refusing it, for a person.

        A held jump counts as taken. Raises LookupError for a source that has no book.
        """
        symbol, book = tick.symbol, self._only
        now_ms = self._now()
        try:
            if book is not None and book.source == tick.source:
                quote = book.take(tick, now_ms, self._place)
                is_held = quote is None
            else:
                book = self._book(tick.source)
                quote = self._ranking.take(book, tick, now_ms, self._place)
                is_held = book.is_held(symbol)
        except TickRefused as refusal:
            reason = str(refusal)
            self.refuse(tick.source, symbol, reason)
            return reason
        if symbol in self._places.idle:
            self._places.touch(symbol)
        book.refusals.forget(symbol)
        if self.keep is not None and (
            quote is not None or (is_held and self._speaks(book, symbol))
        ):
            self.keep(symbol, tick.price_e4, book.newest_ms(symbol), now_ms)
        (self._held if is_held else self._accepted).inc()
        if quote is not None:
            self._on_price(quote)
        return None

    def refuse(self, source: str, symbol: str | None, reason: str) -> None:
        """Count a tick that was refused, here or before it became one."""
        self._refused.inc()
        self._book(source).refusals.note(symbol, reason, self._now())

    def is_held(self, symbol: str, source: str) -> bool:
        """Whether a source's newest tick of a symbol is a jump that waits to be confirmed."""
        return self._book(source).is_held(symbol)

    def refusal(self, symbol: str) -> str | None:
        """Why the last tick of a wanted symbol was refused by a book; None if none was."""
        reasons = (book.refusals.reason(symbol) for book in self._books.values())
        return next(filter(None, reasons), None)

    def _speaks(self, book: Book, symbol: str) -> bool:
        return book is self._only or self._ranking.speaks(book, symbol)

    def _book(self, source: str) -> Book:
        book = self._books.get(source)
        if book is None:
            named = ", ".join(self._books)
            raise LookupError(f"a tick is of {source!r}, the sources here are {named}")
        return book

    # -- reading ---------------------------------------------------------------

    def quote(self, symbol: str) -> Quote | None:
        """The price of a symbol to show, stale or not as of this call."""
        return (self._only or self._ranking).shown(symbol, self._now())

    def confirmed(self, symbol: str) -> Quote | None:
        """The price of a symbol that counts, stale or not as of this call."""
        return (self._only or self._ranking).confirmed(symbol, self._now())

    def quotes(self) -> list[Quote]:
        """The price of every symbol to show, stale or not as of this call."""
        now_ms, source = self._now(), self._only or self._ranking
        shown = (source.shown(symbol, now_ms) for symbol in self._places)
        return [quote for quote in shown if quote is not None]

    # -- what is held ----------------------------------------------------------

    def __iter__(self) -> Iterator[str]:
        """The symbols that have a place."""
        return iter(self._places)

    def __len__(self) -> int:
        """How many symbols have a place."""
        return len(self._places)

    def reserve(self, symbol: str) -> bool:
        """Keep a place for a symbol whose price a trade will need; False if none is free."""
        return self._places.take(symbol)

    def restore(self, book: Book, quotes: Iterable[Quote]) -> None:
        """Put back a book's prices, kept over a restart, stale until a tick renews them.

        Call it before the first tick, once ``demand`` knows what open trades need: these
        symbols get their places first, then the newest prices. A symbol that already has a
        price keeps it.
        """
        for symbol in self._demand:
            self.reserve(symbol)
        newest_first = sorted(quotes, key=lambda quote: quote.as_of_ms, reverse=True)
        others = [quote for quote in newest_first if quote.symbol not in self._places]
        for quote in reversed(others[: self._places.left]):
            self._places.take(quote.symbol)
        now_ms = self._now()
        for quote in newest_first:
            if quote.symbol in self._places:
                book.restore(quote)
                if self._only is None:
                    self._ranking.restore(book, quote.symbol, now_ms)
            else:
                book.changed.add(quote.symbol)

    def _place(self, symbol: str) -> None:
        if not self._places.take(symbol):
            held = f"the server holds {places.MAX_SYMBOLS} symbols that are in use"
            raise TickRefused(f"no room for {symbol}: {held}")

    def _forget(self, symbol: str) -> None:
        for book in self._books.values():
            book.forget(symbol)
        self._ranking.forget(symbol)
