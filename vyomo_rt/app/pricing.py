"""Wires the sources of prices: for each its feed, book, health and supervisor."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import UNSET

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.market import PreviousClose
from vyomo_rt.domain.moment import Clocks, MarketClock
from vyomo_rt.domain.quote import Quote
from vyomo_rt.exchange.market_hours import (
    MarketHours,
    midnight_ms,
    next_midnight_ms,
    next_minute_ms,
)
from vyomo_rt.market.board import Board
from vyomo_rt.market.book import Book, day_and_night
from vyomo_rt.market.choice import make_feeds
from vyomo_rt.market.feed import Feed, FeedContext
from vyomo_rt.market.health import SourceHealth
from vyomo_rt.market.keeping import KeptPrices, PriceKeeper
from vyomo_rt.market.monitor import FeedMonitor
from vyomo_rt.market.relayed_board import Moments, RelayedBoard
from vyomo_rt.market.supervisor import Supervisor
from vyomo_rt.market.wanted import Wanted
from vyomo_rt.recording.files import RecordFile
from vyomo_rt.recording.recorder import Recorder
from vyomo_rt.wire.record import RecordHeader


class Pricing:
    """Where prices come from; nothing runs yet.

    ``arrived`` is when a tick that comes in now arrived.
    """

    def __init__(
        self,
        context: FeedContext,
        demand: Demand,
        on_price: Callable[[Quote], None],
        clocks: Clocks,
        *,
        on_moment: Callable[[int], None],
        arrived: MarketClock,
        kept: KeptPrices,
        moments: Moments | None = None,
    ) -> None:
        """With ``moments`` the board can follow another node's."""
        self._context = context
        self._demand = demand
        self._arrived = arrived if moments is None else moments.arrived
        self._feeds = make_feeds(context.settings.feed, context)
        hours = {feed: self._hours(feed) for feed in self._feeds}
        self._first_hours = hours[self._feeds[0]]
        books = {feed: self._book(feed, hours[feed]) for feed in self._feeds}
        self.board = _board([*books.values()], context.now, on_price, on_moment, demand, moments)
        sources = [SourceHealth(feed, books[feed], self.board, hours[feed]) for feed in self._feeds]
        self.monitor = FeedMonitor(sources, demand, clocks)
        self._supervisors = [Supervisor(one, Wanted(demand), self.board) for one in sources]
        self.best = self._feeds[0]
        posted = next((feed for feed in self._feeds if feed.takes_posts), None)
        self.posted_source = None if posted is None else posted.source
        """The source of posted ticks; None if none may be posted."""
        self.closes_elsewhere: Mapping[str, PreviousClose] = {}
        """What the sources have told another node, which runs them."""
        self.keeper = PriceKeeper(self.board, None if posted is None else books[posted], kept)

    def sources(self) -> list[Coroutine[Any, Any, None]]:
        """What runs the sources of prices: each until it is cancelled."""
        return [supervisor.run() for supervisor in self._supervisors]

    def knows(self, symbol: str) -> bool:
        """Whether any source might price a symbol at all."""
        return any(feed.knows(symbol) for feed in self._feeds)

    def previous_close(self, symbol: str) -> PreviousClose | None:
        """The close of the session before, from the best source that knows it."""
        told = (feed.previous_close(symbol) for feed in self._feeds)
        own = next((close for close in told if close is not None), None)
        return self.closes_elsewhere.get(symbol, own)

    def session_end_ms(self, symbol: str, moment_ms: int) -> int:
        """When a symbol's next session after a moment ends, by the hours of the first source."""
        hours = self._first_hours
        find = next_midnight_ms if hours is None else hours.session_end_ms
        return find(symbol, moment_ms)

    def recorder(self, path: Path | None) -> Recorder | None:
        """What records the ticks that the board accepts. Raises CannotStart."""
        if path is None:
            return None
        settings = self._context.settings
        header = RecordHeader(
            source=",".join(feed.source for feed in self._feeds),
            fresh_for_ms=max(feed.fresh_for_ms for feed in self._feeds),
            keeps_hours=self._feeds[0].keeps_hours or UNSET,
            market_hours=settings.market_hours or UNSET,
            trade_on_delayed=settings.trade_on_delayed or UNSET,
        )
        recorder = Recorder(RecordFile(path, header), self._context.now())
        self.board.keep = recorder.take_tick
        return recorder

    def opening_ms(self, symbol: str, moment_ms: int) -> int:
        """When a symbol's session opens on the date of a moment, by the same hours."""
        hours = self._first_hours
        return (midnight_ms if hours is None else hours.opening_ms)(symbol, moment_ms)

    def is_open(self, symbol: str, moment_ms: int) -> bool:
        """Whether prices of a symbol count at a moment, by the same hours."""
        hours = self._first_hours
        return hours is None or hours.in_session(symbol, moment_ms, moment_ms)

    def square_off_ms(self, symbol: str, minute: int, after_ms: int) -> int:
        """When the trades in a symbol are squared off after a moment, by the same hours."""
        hours = self._first_hours
        find = next_minute_ms if hours is None else hours.square_off_ms
        return find(symbol, minute, after_ms)

    def new_day_ms(self, moment_ms: int) -> int:
        """When the next trading date after a moment begins; day and night, each date is one."""
        hours = self._first_hours
        return next_midnight_ms("", moment_ms) if hours is None else hours.new_day_ms(moment_ms)

    def _hours(self, feed: Feed) -> MarketHours | None:
        if not (feed.keeps_hours or self._context.settings.market_hours):
            return None
        return MarketHours(self._context.calendar, all_symbols=feed.keeps_hours)

    def _book(self, feed: Feed, hours: MarketHours | None) -> Book:
        return Book(
            feed.source,
            feed.fresh_for_ms,
            demand=self._demand,
            arrived=self._arrived,
            trade_on_delayed=self._context.settings.trade_on_delayed,
            in_session=day_and_night if hours is None else hours.in_session,
        )


def _board(  # noqa: PLR0917 - those of a board
    books: Sequence[Book],
    now: MarketClock,
    on_price: Callable[[Quote], None],
    on_moment: Callable[[int], None],
    demand: Demand,
    moments: Moments | None,
) -> Board:
    if moments is None:
        return Board(books, now, on_price, demand=demand, on_moment=on_moment)
    return RelayedBoard(books, moments, on_price, demand=demand, on_moment=on_moment)
