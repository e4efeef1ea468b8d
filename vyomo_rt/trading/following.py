"""Sessions that other nodes decide about: folded from what these say and the store holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.shard import SHARDS, shard_of
from vyomo_rt.trading.heads import Heads
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.loading import load_resting, read_on
from vyomo_rt.trading.replica import Replica
from vyomo_rt.trading.sessions import Sessions

log = logging.getLogger(__name__)

_NEW_IDS = 200
"""So many ids below the newest are looked at for sessions that nobody told of."""
_RETRY_S = 0.1
_READ_AGAIN_S = 1.0
_SILENT_S = 0.75
"""A shard of which nothing was heard for so long is read from the store."""


class Following:
    """What is told may be lost, doubled, late or out of order: only the next event is taken as
    it is, and everything that shows a gap makes the store be read.
    """

    def __init__(
        self,
        journal: Journal,
        replica: Replica,
        sessions: Sessions,
        heads: Heads,
        *,
        time_s: Callable[[], float],
        watched: Callable[[], Iterable[int]],
    ) -> None:
        self.gaps = 0
        """How often the store was read because something was missing."""
        self.doubled = 0
        """Events that were told although they were known."""
        self._journal = journal
        self._replica = replica
        self._sessions = sessions
        self._heads = heads
        self._time_s = time_s
        self._watched = watched
        self._wanted: dict[int, None] = {}
        self._shards: set[int] = set()
        """Shards of which everything is read, new sessions too."""
        self._differed: set[int] = set()
        self._read_s: dict[int, float] = {}
        """When each shard was last read on because its sum differed."""
        self._heard_s: dict[int, float] = dict.fromkeys(range(SHARDS), time_s())
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()

    # -- what is told ----------------------------------------------------------

    def take(self, events: Sequence[Event]) -> None:
        """Events of one session, in order, that their owner has stored."""
        session_id = events[0].session_id
        state = self._replica.find(session_id)
        if state is None:
            self._want(session_id)
            return
        new = [event for event in events if event.seq > state.seq]
        self.doubled += len(events) - len(new)
        if not new:
            return
        if self._sessions.decides(session_id):
            self._sessions.met_another_writer()
        elif new[0].seq == state.seq + 1:
            self._apply(new)
        else:
            self._want(session_id)

    def hear_of(self, session_id: int) -> None:
        """A session was made."""
        if session_id not in self._replica:
            self._want(session_id)

    def hear_heads(self, heads: Mapping[int, int], sums: Mapping[int, int]) -> None:
        """The newest numbers of sessions, and the sums of the shards, as their owner has them."""
        now_s = self._time_s()
        for session_id, seq in heads.items():
            state = self._replica.find(session_id)
            if state is None or (state.seq < seq and not self._sessions.decides(session_id)):
                self._want(session_id)
        for shard, total in sums.items():
            self._heard_s[shard] = now_s
            if shard in self._sessions.shards or total == self._heads.sums[shard]:
                self._differed.discard(shard)
            elif shard not in self._differed:
                self._differed.add(shard)
            elif now_s - self._read_s.get(shard, -_READ_AGAIN_S) >= _READ_AGAIN_S:
                self._read_s[shard] = now_s
                self._shards.add(shard)
                self._wake.set()

    def look_after_silent(self) -> None:
        """Read the watched sessions of shards whose owner is not heard."""
        late_s = self._time_s() - _SILENT_S
        for session_id in self._watched():
            shard = shard_of(session_id)
            if self._heard_s[shard] < late_s and shard not in self._sessions.shards:
                self._wanted[session_id] = None
                self._wake.set()

    def doubt_everything(self) -> None:
        """What was told meanwhile is lost: read on all that somebody watches."""
        for session_id in self._watched():
            self._want(session_id)

    def _want(self, session_id: int) -> None:
        self._wanted[session_id] = None
        self._wake.set()

    def _apply(self, events: Sequence[Event]) -> None:
        self._sessions.uncopied.add(events)
        self._replica.apply(events)

    # -- what is read ----------------------------------------------------------

    async def run(self) -> None:
        """Read what is missing, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            wanted, self._wanted = self._wanted, {}
            shards, self._shards = self._shards, set()
            try:
                if shards:
                    await self.read_shards(shards)
                await self.read(wanted)
            except Unavailable:
                self._wanted = wanted | self._wanted
                self._shards |= shards
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def read_shards(self, shards: Collection[int]) -> None:
        """Read on all sessions of some shards, and find those that nobody told of.

        Raises Unavailable.
        """
        newest = await self._journal.counter("sessions")
        lowest = max(1, min(newest, self._sessions.highest_id) - _NEW_IDS)
        known = [state.session.session_id for state in self._replica.states()]
        maybe = {*known, *range(lowest, newest + 1)}
        await self.read([each for each in maybe if shard_of(each) in shards])

    async def read(self, session_ids: Iterable[int]) -> None:
        """Read on sessions that others decide about, and load unknown ones. Raises Unavailable."""
        async with self._reading:
            foreign = [each for each in session_ids if not self._sessions.decides(each)]
            unknown = [each for each in foreign if each not in self._replica]
            for loaded in await load_resting(self._journal, unknown, self._replica.today):
                if loaded.session.session_id not in self._replica:
                    self._sessions.take_up(loaded)
            heads = {each: state.seq for each in foreign if (state := self._replica.find(each))}
            async for events in read_on(self._journal, heads):
                for event in events:
                    self._take_read(event)

    def _take_read(self, event: Event) -> None:
        state = self._replica.find(event.session_id)
        if state is None or self._sessions.decides(event.session_id):
            return
        if event.seq == state.seq + 1:
            self.gaps += 1
            self._apply([event])
