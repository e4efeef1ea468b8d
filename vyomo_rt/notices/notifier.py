"""One task that tells the receiver what it was not told yet, in order for each session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from vyomo_rt.domain.errors import Unavailable, VyomoError
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.limits import BackOff
from vyomo_rt.domain.quote import FeedStatus
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.notices.places import KeptPlaces, Places
from vyomo_rt.notices.receiver import NotTaken, Receiver
from vyomo_rt.wire.health import FEED_STATUS, feed_status_text
from vyomo_rt.wire.position import spell_position

log = logging.getLogger(__name__)

_IN_A_ROW = 50
"""Events of one session before the next session has its turn."""

_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_STORE_PAUSE_S = 1.0


@dataclass
class _Waiting:
    """A session of which there is something to tell, up to an event."""

    epoch: str
    upto: int
    is_stopped: bool
    since_s: float


@dataclass(frozen=True)
class Sources:
    """What notices ask of the other rooms."""

    sessions: Callable[[], Iterable[SessionState]]
    """Those in memory."""
    session: Callable[[int], Awaitable[SessionState]]
    """One that may rest in the store. Raises NotFound or Unavailable."""
    above: Callable[[int], Awaitable[Sequence[SessionState]]]
    """The first sessions above an id, resting ones too. Raises Unavailable."""
    history: Callable[[int, int, int], Awaitable[Sequence[Event]]]
    """Some of a session's stored events with ``after < seq <= upto``, from the first on."""


class Notifier(Collector):
    """Follows the replica, and remembers only which sessions have news.

    A session's events are read from the log when its turn comes, so a receiver that is away
    costs no memory, however long. It is at least once: a place is kept after the receiver has
    answered, and each notice has a name by which the receiver knows it again.
    """

    def __init__(
        self, receiver: Receiver, kept: KeptPlaces, sources: Sources, kinds: Iterable[str]
    ) -> None:
        self._receiver = receiver
        self._kept = kept
        self._places = Places(kept)
        self._sources = sources
        self._kinds = frozenset(kinds)
        self._waiting: dict[int, _Waiting] = {}
        self._status: tuple[str, str] | None = None
        self._is_turn_of_status = True
        self._news = asyncio.Event()
        self._back_off = BackOff(_PAUSES_S)
        self._sent = 0
        self._failed = 0

    async def begin(self) -> None:
        """Find out what was not told before. Raises Unavailable or OutcomeUnknown.

        At the first start of all nothing is: notices begin now, not with the history. Whoever
        follows the replica right after this misses nothing.
        """
        self._places, self._waiting = Places(self._kept), {}
        upto = await self._places.begin()
        if upto is None:
            await self._begin_now()
        else:
            await self._begin_again(upto)
        # Other nodes may have done something meanwhile.
        for state in self._sources.sessions():
            self.publish_state(state)

    async def _begin_again(self, upto: int) -> None:
        known = {state.session.session_id for state in self._sources.sessions()}
        for session_id in set(self._places) - known:
            self._expect(await self._sources.session(session_id))
        async for state in self._above(upto):
            self._meet(state, is_new=True)

    async def _begin_now(self) -> None:
        upto = 0
        async for state in self._above(0):
            upto = state.session.session_id
        live = (state for state in self._sources.sessions() if not _is_stopped(state))
        places = {state.session.session_id: state.seq for state in live}
        await self._places.begin_with(places, upto)

    async def _above(self, session_id: int) -> AsyncIterator[SessionState]:
        """All sessions above an id, resting ones too, by id."""
        while found := await self._sources.above(session_id):
            for state in found:
                yield state
            session_id = found[-1].session.session_id

    # -- what happens --------------------------------------------------------------------

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        """A session's next events were stored; the state is the one after the last."""
        session_id = events[0].session_id
        if session_id not in self._places:
            self._places.set(session_id, events[0].seq - 1)
        is_wanted = any(event.kind in self._kinds for event in events)
        if is_wanted or _is_stopped(state) or session_id in self._waiting:
            self._expect(state)

    def publish_state(self, state: SessionState) -> None:
        """A session is in memory from now on, or shows another date."""
        # One without a place was stopped, and all of it was told, or is new.
        self._meet(state, is_new=not _is_stopped(state))

    def _meet(self, state: SessionState, *, is_new: bool) -> None:
        session_id = state.session.session_id
        if session_id not in self._places and (is_new or session_id > self._places.upto):
            self._places.set(session_id, 0)
        if session_id in self._places:
            self._expect(state)

    def publish_feed_status(self, status: FeedStatus) -> None:
        """The newest state of the price source; an older one that waits is dropped."""
        if FEED_STATUS in self._kinds:
            self._status = feed_status_text(status), f"feed-{status.since_ms}"
            self._news.set()

    def _expect(self, state: SessionState) -> None:
        session_id = state.session.session_id
        if self._places[session_id] >= state.seq and not _is_stopped(state):
            return
        before = self._waiting.get(session_id)
        since_s = monotonic() if before is None else before.since_s
        self._waiting[session_id] = _Waiting(
            state.session.epoch, state.seq, _is_stopped(state), since_s
        )
        self._news.set()

    # -- telling -------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell, until cancelled."""
        async with self._receiver:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting or self._status:
                    await self._tell_some()

    async def _tell_some(self) -> None:
        # In turn, so that one notice which is refused for ever stops no other session's.
        self._is_turn_of_status ^= True
        try:
            if self._status is not None and (self._is_turn_of_status or not self._waiting):
                await self._tell_status(*self._status)
            elif self._waiting:
                await self._tell_session(next(iter(self._waiting)))
        except NotTaken as refusal:
            self._failed += 1
            if not self.is_behind:
                log.warning(
                    "notices do not get through to %s: %s; they wait in the log, and are sent "
                    "again",
                    self._receiver.name,
                    refusal,
                )
            await asyncio.sleep(self._back_off.next_s())
        except Unavailable:
            await asyncio.sleep(_STORE_PAUSE_S)

    async def _tell_status(self, text: str, key: str) -> None:
        await self._post(text, key)
        if self._status == (text, key):
            self._status = None

    async def _tell_session(self, session_id: int) -> None:
        """Tell some events of a session, which then queues up behind the others."""
        waiting = self._waiting[session_id]
        try:
            place = self._places[session_id]
            upto = min(waiting.upto, place + _IN_A_ROW)
            events = await self._sources.history(session_id, place, upto) if upto > place else ()
            if upto > place and not events:
                raise Unavailable(f"the history of session {session_id} is incomplete")
            for event in events:
                if event.kind in self._kinds:
                    key = spell_position(session_id, event.seq, waiting.epoch)
                    await self._post(event.message, key)
                self._places.set(session_id, event.seq)
        finally:
            # Meanwhile more may have happened.
            newest = self._waiting.pop(session_id)
            if self._places[session_id] < newest.upto:
                self._waiting[session_id] = newest
            elif newest.is_stopped:
                self._places.forget(session_id)

    async def _post(self, text: str, key: str) -> None:
        await self._receiver.post(text, key)
        self._sent += 1
        if self.is_behind:
            log.info("notices get through to %s again", self._receiver.name)
            self._back_off.refused = 0

    async def keep(self) -> None:
        """Keep how far it has come, if the store is there."""
        with suppress(VyomoError):
            await self._places.save()

    # -- figures -------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether the receiver refuses, so that notices wait."""
        return bool(self._back_off.refused)

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "vyomo_rt_notices_sent", "Notices that the receiver has taken", value=self._sent
        )
        yield CounterMetricFamily(
            "vyomo_rt_notices_failed", "Attempts that the receiver has not taken",
            value=self._failed,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "vyomo_rt_notices_waiting_sessions",
            "Sessions with events that the receiver was not told of",
            value=len(self._waiting),
        )
        oldest_s = min((each.since_s for each in self._waiting.values()), default=monotonic())
        yield GaugeMetricFamily(
            "vyomo_rt_notices_lag_seconds",
            "For how long the receiver has not been told of everything in some session",
            value=monotonic() - oldest_s,
        )


def _is_stopped(state: SessionState) -> bool:
    return state.session.status is SessionStatus.STOPPED
