"""How a feed is doing."""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

from vyomo_rt.domain.moment import MarketClock, iso
from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.market.board import MAX_AHEAD_MS, Board
from vyomo_rt.market.feed import Feed

log = logging.getLogger(__name__)


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

    def __init__(self, feed: Feed, board: Board, now: MarketClock) -> None:
        self._feed = feed
        self._board = board
        self._now = now
        self.failure: str | None = None
        """Why the source stopped, for a person; None while it has not."""
        self._told = self._judge(now())
        self._since_ms = now()

    def poll(self) -> FeedStatus | None:
        """The status if it changed since the last poll, else None.

        The log hears of the change, and of ticks that were refused.
        """
        now_ms = self._now()
        self._board.refusals.tell(now_ms)
        judgement = self._judge(now_ms)
        if judgement.kind == self._told.kind:
            return None
        self._told, self._since_ms = judgement, now_ms
        status = self._status(judgement, now_ms)
        level = logging.INFO if status.state is FeedState.LIVE else logging.WARNING
        log.log(level, "feed %s is %s: %s", status.source, status.state, status.message)
        return status

    def age_s(self) -> float:
        """How long ago the newest accepted tick came in; NaN before the first."""
        last_ms = self._board.last_accepted_ms
        return math.nan if last_ms is None else (self._now() - last_ms) / 1000

    def status(self) -> FeedStatus:
        """How the feed is doing at this moment, which may be newer than the last poll."""
        now_ms = self._now()
        judgement = self._judge(now_ms)
        is_told = judgement.kind == self._told.kind
        return self._status(judgement, self._since_ms if is_told else now_ms)

    def _status(self, judgement: _Judgement, since_ms: int) -> FeedStatus:
        return FeedStatus(self._feed.source, judgement.state, judgement.message, since_ms)

    def _judge(self, now_ms: int) -> _Judgement:
        board = self._board
        if self.failure is not None:
            return _Judgement(FeedState.DOWN, self.failure, self.failure)
        if self._is_recent(board.last_fresh_ms, now_ms):
            delayed = "; delayed prices trigger too (--trade-on-delayed)"
            how = delayed if board.trade_on_delayed else ""
            return _Judgement(FeedState.LIVE, "live", f"prices are coming in{how}")
        return _Judgement(FeedState.DEGRADED, *self._what_is_wrong(now_ms))

    def _what_is_wrong(self, now_ms: int) -> tuple[str, str]:
        board, refusal = self._board, self._board.refusals.last
        if board.last_late is not None and self._is_recent(board.last_accepted_ms, now_ms):
            symbol, as_of = board.last_late.symbol, iso(board.last_late.as_of_ms)
            return "late", f"ticks come in, but late: {symbol} is as of {as_of}"
        if refusal is not None and self._is_recent(refusal.at_ms, now_ms):
            return "refused", f"ticks come in but are refused: {refusal.reason}"
        if board.last_accepted_ms is None:
            return "waiting", "waiting for the first tick"
        # Names a moment, not an age, so that it stays true without being sent again.
        silent = f"no tick since {iso(board.last_accepted_ms)}"
        return silent, silent

    def _is_recent(self, at_ms: int | None, now_ms: int) -> bool:
        # Far ahead is a moment from before the server's clock was set back: it tells nothing.
        return at_ms is not None and -MAX_AHEAD_MS <= now_ms - at_ms <= self._feed.fresh_for_ms
