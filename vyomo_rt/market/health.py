"""How one source is doing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vyomo_rt.domain.market import MarketState
from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.quote import FeedState, Quote
from vyomo_rt.exchange.market_hours import MarketHours
from vyomo_rt.market.board import Board
from vyomo_rt.market.book import DELAYED_MS, MAX_AHEAD_MS, Book
from vyomo_rt.market.feed import Feed

_NAMED = 5
"""A message names so many symbols; of more it tells the number."""


class Judgement(NamedTuple):
    """How a source is doing; a change of anything but the message is news.

    The message names the latest of many late ticks.
    """

    state: FeedState
    kind: str
    message: str
    is_quiet: bool = False
    """Whether it sends nothing, and need not."""


class SourceHealth:
    """Judges how a source is doing, by the age of the prices it sends.

    One whose ticks are all late or refused is not LIVE, however many it sends. With
    ``hours``, it need not send anything while none of the board's symbols is traded.
    """

    def __init__(
        self,
        feed: Feed,
        book: Book,
        board: Board,
        hours: MarketHours | None = None,
    ) -> None:
        self.feed = feed
        self.book = book
        self.hours = hours
        self._board = board
        self._is_due = (-1, True)
        self.failure: str | None = None
        """Why the source stopped, for a person; None while it has not."""

    def judge(self, now_ms: int) -> Judgement:
        """How it is doing at a moment, without the symbols that it leaves out."""
        book, resting = self.book, self.feed.resting
        if resting is not None:
            return Judgement(FeedState.LIVE, resting, resting, is_quiet=True)
        if self.failure is not None:
            return Judgement(FeedState.DOWN, self.failure, self.failure)
        if self._is_recent(book.last_fresh_ms, now_ms):
            delayed = "; delayed prices trigger too (--trade-on-delayed)"
            how = delayed if book.trade_on_delayed else ""
            return Judgement(FeedState.LIVE, "live", f"prices are coming in{how}")
        if self.hours is not None and not self._is_tick_due(self.hours, now_ms):
            words = "outside market hours: the last prices stand"
            return Judgement(FeedState.LIVE, "closed", words, is_quiet=True)
        return Judgement(FeedState.DEGRADED, *self._what_is_wrong(now_ms))

    def _is_tick_due(self, hours: MarketHours, now_ms: int) -> bool:
        """Whether a symbol has been in its session for so long that a tick should have come.

        It may take a look at all symbols, so it is found out once a second.
        """
        second = now_ms // 1000
        if self._is_due[0] != second:
            first_ms = now_ms - self.feed.fresh_for_ms
            if len(self._board):
                due = any(hours.in_session(symbol, first_ms, now_ms) for symbol in self._board)
            else:
                due = hours.state(first_ms) is hours.state(now_ms) is MarketState.OPEN
            self._is_due = (second, due)
        return self._is_due[1]

    def _what_is_wrong(self, now_ms: int) -> tuple[str, str]:
        book, refusal = self.book, self.book.refusals.last
        if book.last_late is not None and self._is_recent(book.last_accepted_ms, now_ms):
            return self._how_late(book.last_late)
        if refusal is not None and self._is_recent(refusal.at_ms, now_ms):
            return "refused", f"ticks come in but are refused: {refusal.reason}"
        if book.last_accepted_ms is None:
            return "waiting", "waiting for the first tick"
        # Names a moment, not an age, so that it stays true without being sent again.
        silent = f"no tick since {iso(book.last_accepted_ms)}"
        return silent, silent

    def _how_late(self, tick: Quote) -> tuple[str, str]:
        assert self.book.last_accepted_ms is not None
        which = f"{tick.symbol} is as of {iso(tick.as_of_ms)}"
        late_ms = self.book.last_accepted_ms - tick.as_of_ms
        if late_ms <= DELAYED_MS:
            return "late", f"ticks come in, but late: {which}"
        minutes = round(late_ms / 60_000)
        plural = "s" if minutes > 1 else ""
        return "delayed", f"prices are {minutes} minute{plural} late: stops wait ({which})"

    def _is_recent(self, at_ms: int | None, now_ms: int) -> bool:
        # A moment far ahead is from before the server's clock was set back: it says nothing.
        return at_ms is not None and -MAX_AHEAD_MS <= now_ms - at_ms <= self.feed.fresh_for_ms


def left_out_words(symbols: Sequence[str]) -> str:
    """What follows a message where symbols get no price; nothing if there are none."""
    if not symbols:
        return ""
    names = ", ".join(symbols[:_NAMED]) + (", …" if len(symbols) > _NAMED else "")
    return f"; {len(symbols)} symbol{'s get' if len(symbols) > 1 else ' gets'} no price: {names}"


def expired_words(symbols: Sequence[str]) -> str:
    """What follows a message where trades are open on expired contracts."""
    if not symbols:
        return ""
    more = f" and {len(symbols) - _NAMED} more" if len(symbols) > _NAMED else ""
    return f"; expired, to be closed by hand: {', '.join(symbols[:_NAMED])}{more}"
