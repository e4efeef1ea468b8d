"""The prices of the last seconds, on which nobody may have acted in some sessions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from vyomo_rt.domain.event import Event
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.state import SessionState

_KEPT_S = 30.0


class RecentPrices:
    """For the node that takes sessions over: what came since they were last decided about.

    While a session has no owner, prices go on. What its former owner did about a price is in the
    session's events; what it did nothing about does nothing again.
    """

    def __init__(self, is_held: Callable[[str], bool], time_s: Callable[[], float]) -> None:
        """``is_held`` tells the symbols in which anything may happen."""
        self._is_held = is_held
        self._time_s = time_s
        self._prices: deque[tuple[float, int, Quote]] = deque()
        self._decided: dict[int, tuple[float, int, int]] = {}
        """Of sessions with new events: when they came, their latest and their last moment."""

    def note(self, quote: Quote, at_ms: int) -> None:
        """A price that counts was accepted at this moment of the market."""
        if self._is_held(quote.symbol):
            now_s = self._time_s()
            self._prices.append((now_s, at_ms, quote))
            while self._prices[0][0] < now_s - _KEPT_S:
                self._prices.popleft()

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        session_id, now_s = state.session.session_id, self._time_s()
        _, before_ms, _ = self._decided.pop(session_id, (0, 0, 0))
        latest_ms = max(before_ms, *(event.at_ms for event in events))
        self._decided[session_id] = now_s, latest_ms, events[-1].at_ms
        while self._decided[next(iter(self._decided))][0] < now_s - _KEPT_S:
            del self._decided[next(iter(self._decided))]

    def publish_state(self, _: SessionState) -> None:
        """Another date decides nothing."""

    def decided_upto(self, session_ids: Iterable[int]) -> dict[int, int]:
        """The moment at which each session was last decided about; 0 if that is long ago.

        An event that a price has made has the moment of its source: it was decided when that came.
        """
        came = {quote.as_of_ms: at_ms for _, at_ms, quote in self._prices}
        found = {each: self._decided.get(each, (0, 0, 0)) for each in session_ids}
        return {
            session_id: max(latest_ms, came.get(last_ms, 0))
            for session_id, (_, latest_ms, last_ms) in found.items()
        }

    def __iter__(self) -> Iterator[tuple[int, Quote]]:
        """All prices, with the moments at which they were accepted, in order."""
        return ((at_ms, quote) for _, at_ms, quote in self._prices)
