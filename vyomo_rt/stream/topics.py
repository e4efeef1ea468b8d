"""The topics: one for each session that somebody watches or is about to."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

from vyomo_rt.clockwork import Bulkhead
from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.moment import WallClock
from vyomo_rt.stream.audience import Slices
from vyomo_rt.stream.log import MAX_BYTES, Shelf
from vyomo_rt.stream.sessions import SessionAudience, SessionTopic
from vyomo_rt.stream.sources import Sources
from vyomo_rt.stream.traffic import Traffic
from vyomo_rt.stream.wheel import Wheel


class Topics:
    """Makes a session's topic when it is first used, and ends it after its last use."""

    def __init__(
        self,
        sources: Sources,
        *,
        now: WallClock,
        max_events_behind: int,
        traffic: Traffic,
        slices: Slices,
    ) -> None:
        self.shelf = Shelf(MAX_BYTES)
        self._sources = sources
        self._now = now
        self._max_events_behind = max_events_behind
        self._traffic = traffic
        self._bulkhead = Bulkhead()
        self._slices = slices
        self._topics: dict[int, SessionTopic] = {}
        self._wheel: Wheel[SessionAudience] = Wheel()

    def find(self, session_id: int) -> SessionTopic | None:
        """The topic of a session that is in use."""
        return self._topics.get(session_id)

    def watched(self) -> list[int]:
        """The sessions that somebody watches."""
        return list(self._topics)

    def fetch(self, session_id: int, since: int | None) -> Awaitable[object] | None:
        """Load a session that rests: unless this is None, await it right before ``using``."""
        return self._sources.fetch_session(session_id, since or 0)

    @contextmanager
    def using(self, session_id: int) -> Iterator[SessionTopic]:
        """The topic of a session in memory, kept while the block lasts. Raises NotFound.

        A peer that joins meanwhile keeps it alive.
        """
        topic = self._topics.get(session_id) or self._make(session_id)
        self.keep(topic)
        try:
            yield topic
        finally:
            self.release(topic)

    def keep(self, topic: SessionTopic) -> None:
        """One more user needs the topic, until ``release``."""
        topic.users += 1

    def release(self, topic: SessionTopic) -> None:
        """One user fewer needs the topic; it ends with the last one."""
        topic.users -= 1
        if not topic.users:
            del self._topics[topic.session_id]
            topic.end()

    async def beat(self) -> None:
        """Send each topic's figures to those whose interval has passed."""
        due: dict[SessionTopic, list[SessionAudience]] = {}
        for audience in self._wheel.turn():
            due.setdefault(audience.key.topic, []).append(audience)
        for topic, audiences in due.items():
            name = f"a beat of session {topic.session_id}"
            with self._bulkhead(name), self._slices.of_beat():
                await topic.beat(audiences)

    def _make(self, session_id: int) -> SessionTopic:
        state = self._sources.state(session_id)
        if state is None:
            raise NotFound.session(session_id)
        topic = self._topics[session_id] = SessionTopic(
            state,
            sources=self._sources,
            now=self._now,
            log_limit=self._max_events_behind,
            traffic=self._traffic,
            wheel=self._wheel,
            slices=self._slices,
            shelf=self.shelf,
        )
        return topic
