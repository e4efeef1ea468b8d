"""Who of several sources speaks for a symbol, and whose price counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vyomo_rt.domain.quote import Quote, Tick
from vyomo_rt.market.book import NEVER_MS, Book, Place

RETURN_AFTER_MS = 30_000
"""So long must a source that was away be fresh again before it takes the floor back."""

NEWER_MS = 60_000
"""Among prices that are all stale, one that is newer by more than this is the last one."""


class _Counted(NamedTuple):
    """A price that goes on counting while another source is shown."""

    book: Book
    quote: Quote
    fresh_since_ms: int

    def judged(self, now_ms: int) -> Quote:
        return self.book.judged(self.quote, self.fresh_since_ms, now_ms)


@dataclass(slots=True)
class _Change:
    """A source that has the floor and has said one price with it."""

    first: Quote
    until_then: _Counted | None
    """None if the new price counts at once: one that is stale triggers nothing anyway."""

    def is_over(self, quote: Quote) -> bool:
        """Whether a price is another word than the first; a repetition is none."""
        return (quote.price_e4, quote.as_of_ms) != (self.first.price_e4, self.first.as_of_ms)


@dataclass(slots=True)
class _Floor:
    """Who speaks for one symbol."""

    book: Book
    heard_ms: int
    """When it said its newest price, or took the floor."""
    change: _Change | None = None
    fresh_from_ms: dict[Book, int] = field(default_factory=dict)
    """Of others: from when on they have been fresh without a break; long ago if for ever."""


class Ranking:
    """Gives the floor to one of several sources for each symbol, the best first in ``books``.

    Only the speaker's prices are shown, and only they count. When its price becomes stale, the
    first of the others that is fresh at that moment takes the floor. A better one takes it from
    a fresh speaker once it has been fresh for ``RETURN_AFTER_MS``, or at once if it has never
    been away. If none is fresh, the last price stands.

    A change is a discontinuity: the new price is shown at once, but what counted goes on
    counting until the new speaker has said a second price, which is the first to act.
    """

    def __init__(self, books: Sequence[Book]) -> None:
        self._books = books
        self._rank = {book: rank for rank, book in enumerate(books)}
        self._floors: dict[str, _Floor] = {}

    # -- ticks -----------------------------------------------------------------

    def take(self, book: Book, tick: Tick, now_ms: int, place: Place) -> Quote | None:
        """Let a book take a tick; returns the price if it counts. Raises TickRefused."""
        symbol = tick.symbol
        floor = self._current(symbol, now_ms)
        if floor is None or floor.book is book:
            if (quote := book.take(tick, now_ms, place)) is not None:
                return self._spoken(symbol, floor, book, quote, now_ms)
            return None
        before = book.confirmed(symbol, now_ms)
        quote = book.take(tick, now_ms, place)
        if quote is not None:
            if not quote.stale and (before is None or before.stale):
                floor.fresh_from_ms[book] = NEVER_MS if before is None else now_ms
            if self._takes_floor(floor, book, quote, now_ms):
                _hand_over(floor, quote, book, now_ms)
                return quote if quote.stale else None
        return None

    def _spoken(
        self, symbol: str, floor: _Floor | None, book: Book, quote: Quote, now_ms: int
    ) -> Quote | None:
        """The speaker, or the first source of a symbol, has said a price."""
        if floor is None:
            self._floors[symbol] = _Floor(book, now_ms)
            return quote
        floor.heard_ms = now_ms
        if floor.change is not None:
            if not floor.change.is_over(quote):
                return None
            floor.change = None
        return quote

    def _takes_floor(self, floor: _Floor, book: Book, quote: Quote, now_ms: int) -> bool:
        """Whether a source that has just spoken takes the floor."""
        current = floor.book.confirmed(quote.symbol, now_ms)
        assert current is not None
        if quote.stale:
            return current.stale and quote.as_of_ms - current.as_of_ms > NEWER_MS
        if current.stale:
            return True
        if self._rank[book] > self._rank[floor.book]:
            return False
        # A clock that is set back must not keep it waiting.
        return not 0 <= now_ms - floor.fresh_from_ms.setdefault(book, now_ms) < RETURN_AFTER_MS

    def _current(self, symbol: str, now_ms: int) -> _Floor | None:
        """The floor of a symbol, once whoever lost it has been followed by the next."""
        floor = self._floors.get(symbol)
        if floor is not None:
            while (lost_ms := _loses_at_ms(floor, symbol)) <= now_ms:
                heir = self._first_fresh(symbol, lost_ms)
                if heir is None:
                    break
                _hand_over(floor, *heir, lost_ms)
        return floor

    def _first_fresh(self, symbol: str, at_ms: int) -> tuple[Quote, Book] | None:
        for book in self._books:
            quote = book.confirmed(symbol, at_ms)
            if quote is not None and not quote.stale:
                return quote, book
        return None

    # -- reading ---------------------------------------------------------------

    def speaks(self, book: Book, symbol: str) -> bool:
        """Whether a source has the floor for a symbol."""
        floor = self._floors.get(symbol)
        return floor is not None and floor.book is book

    def shown(self, symbol: str, now_ms: int) -> Quote | None:
        """The price of a symbol to show, stale or not at a moment."""
        floor = self._current(symbol, now_ms)
        return None if floor is None else floor.book.shown(symbol, now_ms)

    def confirmed(self, symbol: str, now_ms: int) -> Quote | None:
        """The price of a symbol that counts, stale or not at a moment."""
        floor = self._current(symbol, now_ms)
        if floor is None:
            return None
        if floor.change is not None and floor.change.until_then is not None:
            return floor.change.until_then.judged(now_ms)
        return floor.book.confirmed(symbol, now_ms)

    # -- what is held ----------------------------------------------------------

    def restore(self, book: Book, symbol: str, now_ms: int) -> None:
        """A book was given a symbol's price of a former start."""
        self._floors.setdefault(symbol, _Floor(book, now_ms))

    def forget(self, symbol: str) -> None:
        """There is no room for the symbol any more."""
        self._floors.pop(symbol, None)


def _loses_at_ms(floor: _Floor, symbol: str) -> int:
    """The first moment at which the speaker's price is too old."""
    fresh_until_ms = floor.book.fresh_since_ms(symbol) + floor.book.fresh_for_ms
    return max(fresh_until_ms + 1, floor.heard_ms)


def _hand_over(floor: _Floor, first: Quote, heir: Book, at_ms: int) -> None:
    """Give the floor to another source, which has said a price."""
    counted = _counted(floor, first.symbol, at_ms)
    floor.change = _Change(first, None if first.stale else counted)
    floor.book, floor.heard_ms = heir, at_ms


def _counted(floor: _Floor, symbol: str, at_ms: int) -> _Counted:
    """The price that counts before a change."""
    if floor.change is not None and floor.change.until_then is not None:
        return floor.change.until_then
    quote = floor.book.confirmed(symbol, at_ms)
    assert quote is not None
    return _Counted(floor.book, quote, floor.book.fresh_since_ms(symbol))
