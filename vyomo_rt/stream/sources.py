"""The port through which the streams ask the other rooms for what they show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.grant import Grant, Need
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import FeedStatus, Quote
from vyomo_rt.domain.state import SessionState


@dataclass(frozen=True)
class Sources:
    """What the streams ask for, as functions of the rooms that know it.

    All answer from memory in the same step, except ``history`` and ``fetch_session``.
    """

    ask_for_session: Callable[[Grant, Need, int], Awaitable[None] | None]
    """Ask a grant for a session, without looking at that.

    Raises Forbidden or NotFound, or returns what does so, or raises Unavailable, once awaited.
    """

    state: Callable[[int], SessionState | None]
    """A session, if it is in memory; a stopped one may not be."""
    visible: Callable[[Grant], Iterable[SessionState]]
    """The sessions in memory that a grant reaches; those are all that are not STOPPED."""
    fetch_session: Callable[[int, int], Awaitable[object] | None]
    """Load a session that rests in the store, or of which a client has seen a later event.

    Returns None for any other.

    Awaiting the result raises NotFound or Unavailable. Right after that, in the same step,
    ``state`` knows the session.
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
