"""How the sources are doing, each by itself and all together."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from prometheus_client import Gauge

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.market import MarketState
from vyomo_rt.domain.moment import Clocks
from vyomo_rt.domain.quote import FeedState, FeedStatus, SourceStatus
from vyomo_rt.domain.replay import ReplayState
from vyomo_rt.market.health import Judgement, SourceHealth, expired_words, left_out_words

log = logging.getLogger(__name__)


class _Report(NamedTuple):
    """What is told: a change of anything but the messages is news."""

    judgements: tuple[Judgement, ...]
    left_out: tuple[int, ...]
    """Of each source, how many wanted symbols it has no price of."""
    market_state: MarketState | None
    expired: tuple[str, ...]
    replay: ReplayState | None

    def is_other_than(self, told: _Report) -> bool:
        return self.news() != told.news() or self.replay != told.replay

    def news(self) -> tuple[object, ...]:
        without_messages = [one._replace(message="") for one in self.judgements]
        return without_messages, self.left_out, self.market_state, self.expired


class FeedMonitor:
    """Tells how the sources are doing, and when that changes; the first ranks highest.

    Prices come in as promised if they do from one of them: the others are named.
    """

    def __init__(self, sources: Sequence[SourceHealth], demand: Demand, clocks: Clocks) -> None:
        self._sources = sources
        self._demand = demand
        self._now = clocks.market
        self._wall = clocks.wall
        self.replay: Callable[[], ReplayState] | None = None
        """Tells of a server that plays a recorded day how far it is, some times a second."""
        self._hours = next((one.hours for one in sources if one.hours is not None), None)
        self._expired: tuple[int, tuple[str, ...]] = (-1, ())
        self.up = Gauge(
            "vyomo_rt_source_up",
            "1 if prices of the source come in as promised, or need not come",
            ["source"],
            registry=None,
        )
        for source in sources:
            self.up.labels(source.feed.source).set_function(partial(self._is_live, source))
        self.elsewhere: Callable[[], FeedStatus | None] = lambda: None
        """How the sources are doing on the node that runs them, if that is another."""
        self._told_elsewhere: FeedStatus | None = None
        self._told = self._look(self._now())
        self._since_ms = self._wall()
        self._shown_ahead = False
        """Whether somebody was shown a state that no poll has told yet."""

    def poll(self) -> FeedStatus | None:
        """The status if it changed since the last poll, even if it changed back; else None.

        The log hears of the change, and of ticks that were refused.
        """
        if (other := self.elsewhere()) is not None:
            told, self._told_elsewhere = self._told_elsewhere, other
            return None if told is not None and _is_same(told, other) else other
        self._told_elsewhere = None
        now_ms = self._now()
        for source in self._sources:
            if source.feed.resting is not None:
                source.failure = None  # it was restarted, and has found nothing to send
            source.book.refusals.tell(now_ms)
        report = self._look(now_ms)
        if not report.is_other_than(self._told) and not self._shown_ahead:
            return None
        is_only_later = report.news() == self._told.news()
        self._told, self._since_ms, self._shown_ahead = report, self._wall(), False
        status = self._status(report, self._since_ms)
        if is_only_later:
            return status
        is_whole = all(one.state is FeedState.LIVE for one in report.judgements)
        level = logging.INFO if is_whole else logging.WARNING
        log.log(level, "feed %s is %s: %s", status.source, status.state, status.message)
        return status

    def age_s(self) -> float:
        """How long ago the newest accepted tick came in; NaN before the first."""
        last_ms = [source.book.last_accepted_ms for source in self._sources]
        newest_ms = max((ms for ms in last_ms if ms is not None), default=None)
        return math.nan if newest_ms is None else (self._now() - newest_ms) / 1000

    def status(self) -> FeedStatus:
        """How the sources are doing right now, which may be newer than the last poll."""
        if (other := self.elsewhere()) is not None:
            return other
        now_ms = self._now()
        report = self._look(now_ms)
        is_news = report.is_other_than(self._told)
        self._shown_ahead = self._shown_ahead or is_news
        return self._status(report, self._wall() if is_news else self._since_ms)

    def _is_live(self, source: SourceHealth) -> bool:
        return source.judge(self._now()).state is FeedState.LIVE

    def _look(self, now_ms: int) -> _Report:
        return _Report(
            tuple(source.judge(now_ms) for source in self._sources),
            tuple(len(source.feed.unserved) for source in self._sources),
            None if self._hours is None else self._hours.state(now_ms),
            self._find_expired(now_ms),
            None if self.replay is None else self.replay(),
        )

    def _find_expired(self, now_ms: int) -> tuple[str, ...]:
        """The expired contracts on which trades are open, found once a second."""
        if self._hours is None:
            return ()
        second = now_ms // 1000
        if self._expired[0] != second:
            held = self._demand.held()
            found = sorted(one for one in held if self._hours.has_expired(one, now_ms))
            self._expired = (second, tuple(found))
        return self._expired[1]

    def _status(self, report: _Report, since_ms: int) -> FeedStatus:
        feeds = [source.feed for source in self._sources]
        sources = [
            SourceStatus(feed.source, one.state, one.message + left_out_words(feed.unserved))
            for feed, one in zip(feeds, report.judgements, strict=True)
        ]
        left_out = _left_out_by_all([feed.unserved for feed in feeds])
        state, message = _together(sources, report.judgements)
        return FeedStatus(
            source=",".join(feed.source for feed in feeds),
            state=state,
            message=message + left_out_words(left_out) + expired_words(report.expired),
            since_ms=since_ms,
            market_state=report.market_state,
            expired=report.expired,
            leaves_out=bool(left_out),
            replay=report.replay,
            sources=tuple(sources) if len(sources) > 1 else (),
        )


def _is_same(told: FeedStatus, now: FeedStatus) -> bool:
    return (told.state, told.since_ms, told.sources) == (now.state, now.since_ms, now.sources)


def _left_out_by_all(left_out: Sequence[Sequence[str]]) -> Sequence[str]:
    """The symbols that no source has a price of."""
    if len(left_out) == 1 or not all(left_out):
        return min(left_out, key=len)
    by_others = set(left_out[1]).intersection(*left_out[2:])
    return [symbol for symbol in left_out[0] if symbol in by_others]


def _together(
    sources: Sequence[SourceStatus], judgements: Sequence[Judgement]
) -> tuple[FeedState, str]:
    """The best state of those that should send, and the words of all that matter."""
    if len(sources) == 1:
        return judgements[0].state, judgements[0].message
    ranked = list(zip(sources, judgements, strict=True))
    should_send = [pair for pair in ranked if not pair[1].is_quiet] or ranked
    best, (_, _, message, _) = min(should_send, key=lambda pair: _BEST_FIRST.index(pair[0].state))
    words = [f"{best.source}: {message}"]
    words += [
        f"{source.source} is {source.state}: {judgement.message}"
        for source, judgement in ranked
        if source is not best and source.state is not FeedState.LIVE
    ]
    return best.state, "; ".join(words)


_BEST_FIRST = (FeedState.LIVE, FeedState.DEGRADED, FeedState.DOWN)
