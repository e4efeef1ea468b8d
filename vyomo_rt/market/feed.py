"""A price source as the rest of the server sees it, and how it is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vyomo_rt.domain.moment import Clock, iso
from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.market.book import MAX_AHEAD_MS, PriceBook

Accept = Callable[[str, int, int | None], str | None]
"""``PriceBook.accept``: symbol, price and moment in, reason for a refusal out."""


class Feed(Protocol):
    """A source of prices."""

    @property
    def source(self) -> str:
        """The name that stands on every price."""

    @property
    def fresh_for_ms(self) -> int:
        """How old a price may be before it is stale."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols it can price, if it has a list."""

    @property
    def takes_posts(self) -> bool:
        """Whether prices come from outside, over HTTP."""

    @property
    def failure(self) -> str | None:
        """Why it stopped, for a person; None while it has not."""

    def knows(self, symbol: str, /) -> bool:
        """Whether it can price the symbol at all."""

    async def run(self, accept: Accept) -> None:
        """Send ticks to ``accept`` until cancelled; returns at once if others send them."""


class IngestFeed:
    """Prices that another program posts, for any symbol."""

    source = "ingest"
    symbols = ()
    takes_posts = True
    failure = None

    def __init__(self, fresh_for_ms: int = 15_000) -> None:
        self.fresh_for_ms = fresh_for_ms

    def knows(self, _symbol: str, /) -> bool:
        return True

    async def run(self, accept: Accept) -> None:
        """Nothing to do: the ticks come with requests."""


class FeedMonitor:
    """Says how a feed is doing, judged by the ticks that the book accepted.

    A feed that sends only ticks that are refused is late, whatever it sends.
    """

    def __init__(self, feed: Feed, book: PriceBook, now: Clock) -> None:
        self._feed = feed
        self._book = book
        self._now = now
        self._told = FeedStatus(feed.source, *self._judge(now()), since_ms=now())

    def poll(self) -> FeedStatus | None:
        """The status if it changed since the last poll, else None."""
        status = self.status()
        if status is self._told:
            return None
        self._told = status
        return status

    def status(self) -> FeedStatus:
        """How the feed is doing at this moment, which may be newer than the last poll."""
        now_ms = self._now()
        state, message = self._judge(now_ms)
        if (state, message) == (self._told.state, self._told.message):
            return self._told
        return FeedStatus(self._feed.source, state, message, since_ms=now_ms)

    def _judge(self, now_ms: int) -> tuple[FeedState, str]:
        if self._feed.failure is not None:
            return FeedState.DOWN, self._feed.failure
        last_ms = self._book.last_accepted_ms
        if last_ms is None:
            return FeedState.DEGRADED, "waiting for the first tick"
        # Far ahead is a moment from before the server's clock was set back: it tells nothing.
        if not -MAX_AHEAD_MS <= now_ms - last_ms <= self._feed.fresh_for_ms:
            # Names a moment, not an age, so that it stays true without being sent again.
            return FeedState.DEGRADED, f"no tick since {iso(last_ms)}"
        return FeedState.LIVE, "prices are coming in"
