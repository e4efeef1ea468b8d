"""How a feed is doing."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.market import MarketState
from vyomo_rt.domain.moment import MarketClock, iso
from vyomo_rt.domain.quote import FeedState, FeedStatus, Quote
from vyomo_rt.exchange.market_hours import MarketHours
from vyomo_rt.market.board import DELAYED_MS, MAX_AHEAD_MS, Board
from vyomo_rt.market.feed import Feed

log = logging.getLogger(__name__)

_NAMED = 5
"""A message names so many symbols; of more it tells the number."""


class _Judgement(NamedTuple):
    """How a feed is doing; a change of anything but the message is news.

    The message names the latest of many late ticks.
    """

    state: FeedState
    kind: str
    message: str
    market_state: MarketState | None = None
    expired: tuple[str, ...] = ()

    def is_other_than(self, told: _Judgement) -> bool:
        return self._replace(message="") != told._replace(message="")


class FeedMonitor:
    """Judges how a feed is doing, by the age of the prices it sends.

    A feed whose ticks are all late or refused is not LIVE, however many it sends. With
    ``hours``, a feed need not send anything while none of its symbols is traded.
    """

    def __init__(
        self,
        feed: Feed,
        board: Board,
        demand: Demand,
        now: MarketClock,
        hours: MarketHours | None = None,
    ) -> None:
        self._feed = feed
        self._board = board
        self._demand = demand
        self._now = now
        self._hours = hours
        self._is_due = (-1, True)
        self._expired: tuple[int, tuple[str, ...]] = (-1, ())
        self.failure: str | None = None
        """Why the source stopped, for a person; None while it has not."""
        self._told = self._judge(now())
        self._since_ms = now()
        self._shown_ahead = False
        """Whether somebody was shown a state that no poll has told yet."""

    def poll(self) -> FeedStatus | None:
        """The status if it changed since the last poll, even if it changed back; else None.

        The log hears of the change, and of ticks that were refused.
        """
        now_ms = self._now()
        if self._feed.resting is not None:
            self.failure = None  # it was restarted, and has found nothing to send
        self._board.refusals.tell(now_ms)
        judgement = self._judge(now_ms)
        if not judgement.is_other_than(self._told) and not self._shown_ahead:
            return None
        self._told, self._since_ms, self._shown_ahead = judgement, now_ms, False
        status = self._status(judgement, now_ms)
        level = logging.INFO if status.state is FeedState.LIVE else logging.WARNING
        log.log(level, "feed %s is %s: %s", status.source, status.state, status.message)
        return status

    def age_s(self) -> float:
        """How long ago the newest accepted tick came in; NaN before the first."""
        last_ms = self._board.last_accepted_ms
        return math.nan if last_ms is None else (self._now() - last_ms) / 1000

    def status(self) -> FeedStatus:
        """How the feed is doing right now, which may be newer than the last poll."""
        now_ms = self._now()
        judgement = self._judge(now_ms)
        is_news = judgement.is_other_than(self._told)
        self._shown_ahead = self._shown_ahead or is_news
        return self._status(judgement, now_ms if is_news else self._since_ms)

    def _status(self, judgement: _Judgement, since_ms: int) -> FeedStatus:
        source, (state, _, message, market_state, expired) = self._feed.source, judgement
        if expired:
            more = f" and {len(expired) - _NAMED} more" if len(expired) > _NAMED else ""
            message += f"; expired, to be closed by hand: {', '.join(expired[:_NAMED])}{more}"
        leaves_out = bool(self._feed.unserved)
        return FeedStatus(source, state, message, since_ms, market_state, expired, leaves_out)

    def _judge(self, now_ms: int) -> _Judgement:
        judgement = self._judge_feed(now_ms)
        if left_out := self._feed.unserved:
            judgement = judgement._replace(
                kind=f"{judgement.kind} without {len(left_out)}",
                message=f"{judgement.message}; {_unserved(left_out)}",
            )
        if self._hours is None:
            return judgement
        expired = self._find_expired(self._hours, now_ms)
        return judgement._replace(market_state=self._hours.state(now_ms), expired=expired)

    def _judge_feed(self, now_ms: int) -> _Judgement:
        board, resting = self._board, self._feed.resting
        if resting is not None:
            return _Judgement(FeedState.LIVE, resting, resting)
        if self.failure is not None:
            return _Judgement(FeedState.DOWN, self.failure, self.failure)
        if self._is_recent(board.last_fresh_ms, now_ms):
            delayed = "; delayed prices trigger too (--trade-on-delayed)"
            how = delayed if board.trade_on_delayed else ""
            return _Judgement(FeedState.LIVE, "live", f"prices are coming in{how}")
        if self._hours is not None and not self._is_tick_due(self._hours, now_ms):
            words = "outside market hours: the last prices stand"
            return _Judgement(FeedState.LIVE, "closed", words)
        return _Judgement(FeedState.DEGRADED, *self._what_is_wrong(now_ms))

    def _is_tick_due(self, hours: MarketHours, now_ms: int) -> bool:
        """Whether a symbol has been in its session for so long that a tick should have come.

        It may take a look at all symbols, so it is found out once a second.
        """
        second = now_ms // 1000
        if self._is_due[0] != second:
            first_ms = now_ms - self._feed.fresh_for_ms
            if len(self._board):
                due = any(hours.in_session(symbol, first_ms, now_ms) for symbol in self._board)
            else:
                due = hours.state(first_ms) is hours.state(now_ms) is MarketState.OPEN
            self._is_due = (second, due)
        return self._is_due[1]

    def _find_expired(self, hours: MarketHours, now_ms: int) -> tuple[str, ...]:
        """The expired contracts on which trades are open, found once a second as well."""
        second = now_ms // 1000
        if self._expired[0] != second:
            held = self._demand.held()
            found = sorted(one for one in held if hours.has_expired(one, now_ms))
            self._expired = (second, tuple(found))
        return self._expired[1]

    def _what_is_wrong(self, now_ms: int) -> tuple[str, str]:
        board, refusal = self._board, self._board.refusals.last
        if board.last_late is not None and self._is_recent(board.last_accepted_ms, now_ms):
            return self._how_late(board.last_late)
        if refusal is not None and self._is_recent(refusal.at_ms, now_ms):
            return "refused", f"ticks come in but are refused: {refusal.reason}"
        if board.last_accepted_ms is None:
            return "waiting", "waiting for the first tick"
        # Names a moment, not an age, so that it stays true without being sent again.
        silent = f"no tick since {iso(board.last_accepted_ms)}"
        return silent, silent

    def _how_late(self, tick: Quote) -> tuple[str, str]:
        assert self._board.last_accepted_ms is not None
        which = f"{tick.symbol} is as of {iso(tick.as_of_ms)}"
        late_ms = self._board.last_accepted_ms - tick.as_of_ms
        if late_ms <= DELAYED_MS:
            return "late", f"ticks come in, but late: {which}"
        minutes = round(late_ms / 60_000)
        plural = "s" if minutes > 1 else ""
        return "delayed", f"prices are {minutes} minute{plural} late: stops wait ({which})"

    def _is_recent(self, at_ms: int | None, now_ms: int) -> bool:
        # A moment far ahead is from before the server's clock was set back: it says nothing.
        return at_ms is not None and -MAX_AHEAD_MS <= now_ms - at_ms <= self._feed.fresh_for_ms


def _unserved(symbols: Sequence[str]) -> str:
    names = ", ".join(symbols[:_NAMED]) + (", …" if len(symbols) > _NAMED else "")
    return f"{len(symbols)} symbol{'s get' if len(symbols) > 1 else ' gets'} no price: {names}"
