"""How far each session has come, and a sum for each shard by which two nodes compare."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from vyomo_rt.domain.event import Event
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.shard import SHARDS, shard_of
from vyomo_rt.domain.state import SessionState

_SAID_FOR_S = 2.0


class Heads:
    """Follows the replica. A stopped session counts no more, as it may rest in the store."""

    def __init__(self, time_s: Callable[[], float]) -> None:
        self.sums = [0] * SHARDS
        self._time_s = time_s
        self._counted: dict[int, int] = {}
        self._changed: dict[int, float] = {}
        """When each head last changed, the oldest first."""

    def add(self, state: SessionState) -> None:
        """A session is in memory from now on; one without events counts, too."""
        session_id = state.session.session_id
        is_live = state.session.status is not SessionStatus.STOPPED
        count = state.seq + 1 if is_live else 0
        self.sums[shard_of(session_id)] += count - self._counted.get(session_id, 0)
        self._counted[session_id] = count
        if not is_live:
            del self._counted[session_id]
        self._changed.pop(session_id, None)
        self._changed[session_id] = self._time_s()

    def publish_events(self, _: Sequence[Event], state: SessionState) -> None:
        self.add(state)

    def publish_state(self, _: SessionState) -> None:
        """Another date changes no head."""

    def lately(self, shards: Collection[int]) -> list[int]:
        """The sessions of some shards whose heads changed in the last two seconds."""
        since = self._time_s() - _SAID_FOR_S
        while self._changed and self._changed[next(iter(self._changed))] < since:
            del self._changed[next(iter(self._changed))]
        return [each for each in self._changed if shard_of(each) in shards]

    def sums_of(self, shards: Collection[int]) -> Mapping[int, int]:
        """The sums of some shards."""
        return {shard: self.sums[shard] for shard in shards}
