"""A price source as the rest of the server sees it, and how it is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from vyomo_rt.domain.moment import MarketClock, iso
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


class _Judgement(NamedTuple):
    """How a feed is doing; it is news when ``kind`` is another.

    The message alone is not: the latest of many late ticks is another each time.
    """

    state: FeedState
    kind: str
    message: str


class FeedMonitor:
    """Says how a feed is doing, judged by the age of the prices that it sends.

    A feed that sends only ticks that are late, or that are refused, is not LIVE,
    whatever it sends.
    """

    def __init__(self, feed: Feed, book: PriceBook, now: MarketClock) -> None:
        self._feed = feed
        self._book = book
        self._now = now
        self._told = self._judge(now())
        self._since_ms = now()

    def poll(self) -> FeedStatus | None:
        """The status if it changed since the last poll, else None; the log hears of refusals."""
        now_ms = self._now()
        self._book.refusals.tell(now_ms)
        judgement = self._judge(now_ms)
        if judgement.kind == self._told.kind:
            return None
        self._told, self._since_ms = judgement, now_ms
        return self._status(judgement, now_ms)

    def status(self) -> FeedStatus:
        """How the feed is doing at this moment, which may be newer than the last poll."""
        now_ms = self._now()
        judgement = self._judge(now_ms)
        is_told = judgement.kind == self._told.kind
        return self._status(judgement, self._since_ms if is_told else now_ms)

    def _status(self, judgement: _Judgement, since_ms: int) -> FeedStatus:
        return FeedStatus(self._feed.source, judgement.state, judgement.message, since_ms)

    def _judge(self, now_ms: int) -> _Judgement:
        book = self._book
        if self._feed.failure is not None:
            return _Judgement(FeedState.DOWN, self._feed.failure, self._feed.failure)
        if self._is_recent(book.last_fresh_ms, now_ms):
            how = "; delayed ones trigger too (--trade-on-delayed)" if book.trade_on_delayed else ""
            return _Judgement(FeedState.LIVE, "live", f"prices are coming in{how}")
        return _Judgement(FeedState.DEGRADED, *self._what_is_wrong(now_ms))

    def _what_is_wrong(self, now_ms: int) -> tuple[str, str]:
        book, refusal = self._book, self._book.refusals.last
        if book.last_late is not None and self._is_recent(book.last_accepted_ms, now_ms):
            symbol, as_of = book.last_late.symbol, iso(book.last_late.as_of_ms)
            return "late", f"ticks come in, but late: {symbol} is as of {as_of}"
        if refusal is not None and self._is_recent(refusal.at_ms, now_ms):
            return "refused", f"ticks come in but are refused: {refusal.reason}"
        if book.last_accepted_ms is None:
            return "waiting", "waiting for the first tick"
        # Names a moment, not an age, so that it stays true without being sent again.
        silent = f"no tick since {iso(book.last_accepted_ms)}"
        return silent, silent

    def _is_recent(self, at_ms: int | None, now_ms: int) -> bool:
        # Far ahead is a moment from before the server's clock was set back: it tells nothing.
        return at_ms is not None and -MAX_AHEAD_MS <= now_ms - at_ms <= self._feed.fresh_for_ms
