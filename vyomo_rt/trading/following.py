"""Sessions that other nodes decide about: folded from what these say and the store holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.shard import EVERY_SHARD, SHARDS, shard_of
from vyomo_rt.trading.heads import Heads
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.loading import load_resting, read_on
from vyomo_rt.trading.replica import Replica
from vyomo_rt.trading.sessions import Sessions

_MAKING_IDS = 200
"""So many ids below one that is known to be given out may still become sessions."""
_RETRY_S = 0.1
_READ_AGAIN_S = 1.0
_SILENT_S = 0.6
"""A shard of which nothing was heard for so long, two beats, is read from the store."""


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
        self._heard_s: dict[int, float] = dict.fromkeys(range(SHARDS), -_SILENT_S)
        """When each shard's owner was last heard; what happened since the load nobody has told."""
        self._looked_upto = [0] * SHARDS
        """Of each shard, up to which id new sessions were looked for."""
        self._wants_new = False
        self._wake = asyncio.Event()
        self._reading, self._reading_all = asyncio.Lock(), asyncio.Lock()
        self._began_all_s = 0.0

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

    def is_silent(self, session_id: int) -> bool:
        return shard_of(session_id) in self._silent()

    def _silent(self) -> Collection[int]:
        """The shards of others whose owners are not heard."""
        late_s = self._time_s() - _SILENT_S
        return {
            shard
            for shard, heard_s in self._heard_s.items()
            if heard_s < late_s and shard not in self._sessions.shards
        }

    def look_after_silent(self) -> None:
        """Read the watched sessions of shards whose owner is not heard, and look for new ones."""
        if not (silent := self._silent()):
            return
        self._wanted |= {each: None for each in self._watched() if shard_of(each) in silent}
        self._wants_new = True
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
        self._have_looked(EVERY_SHARD, self._sessions.highest_id)
        while True:
            await self._wake.wait()
            self._wake.clear()
            wanted, self._wanted = self._wanted, {}
            shards, self._shards = self._shards, set()
            wants_new, self._wants_new = self._wants_new, False
            try:
                if shards:
                    await self.read_shards(shards)
                if wants_new:
                    await self.read_new()
                await self.read(wanted)
            except Unavailable:
                self._wanted = wanted | self._wanted
                self._shards |= shards
                self._wants_new |= wants_new
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def read_shards(self, shards: Collection[int]) -> None:
        """Read on all sessions of some shards, and find new ones. Raises Unavailable."""
        newest, new = await self._find_new(shards)
        known = (state.session.session_id for state in self._replica.states())
        await self.read([*(each for each in known if shard_of(each) in shards), *new])
        self._have_looked(shards, newest)

    async def read_all(self) -> None:
        asked_s = self._time_s()
        async with self._reading_all:
            # Many may ask at once for what there is not: one answer is good for all of them.
            foreign = EVERY_SHARD - self._sessions.shards
            if foreign and self._began_all_s <= asked_s:
                began_s = self._time_s()
                await self.read_shards(foreign)
                self._began_all_s = began_s

    async def read_new(self) -> None:
        if foreign := EVERY_SHARD - self._sessions.shards:
            newest, new = await self._find_new(foreign)
            await self.read(new)
            self._have_looked(foreign, newest)

    async def _find_new(self, shards: Collection[int]) -> tuple[int, list[int]]:
        """The newest id that was given out, and those in some shards that may be new sessions."""
        newest = await self._journal.counter("sessions")
        first = 1 + max(0, min(self._looked_upto[shard] for shard in shards) - _MAKING_IDS)
        ids = range(first, newest + 1)
        return newest, [
            each
            for each in ids
            if shard_of(each) in shards
            and each > self._looked_upto[shard_of(each)] - _MAKING_IDS
            and each not in self._replica
            and not self._sessions.is_put_away(each)
        ]

    def _have_looked(self, shards: Iterable[int], newest: int) -> None:
        for shard in shards:
            self._looked_upto[shard] = newest

    async def read(self, session_ids: Iterable[int], /) -> None:
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
