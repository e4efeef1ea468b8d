"""What the streams show: a port that the rooms which know it fulfil."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import FeedStatus, Quote
from vyomo_rt.domain.state import SessionState


@dataclass(frozen=True)
class Sources:
    """What the streams ask, as functions of the rooms that know it.

    They answer from memory and in the same step, apart from ``history`` and ``fetch_session``.
    """

    state: Callable[[int], SessionState | None]
    """A session that is in memory: one that was stopped may not be."""
    fetch_session: Callable[[int], Awaitable[object] | None]
    """Have a session in memory that rests in the store; None for any other.

    What it returns raises NotFound or Unavailable. When it is through, ``state`` knows the
    session, in that step.
    """
    history: Callable[[int, int, int], Awaitable[Sequence[Event]]]
    """Some of a session's stored events with ``after < seq <= upto``, from the first on."""
    quote: Callable[[str], Quote | None]
    """The price of a symbol to show."""
    confirmed: Callable[[str], Quote | None]
    """The price at which its trades are valued."""
    refusal: Callable[[str], str | None]
    """Why its ticks are refused, if the last one was."""
    demand: Demand
    market_now: MarketClock
    knows: Callable[[str], bool]
    feed_status: Callable[[], FeedStatus]
