"""Which sessions are in memory: a stopped one rests in the store until somebody asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from vyomo_rt.domain.errors import Moved, NotFound, Unavailable
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.session import Session, SessionStatus
from vyomo_rt.domain.shard import EVERY_SHARD, shard_of
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledger import Ledger
from vyomo_rt.trading.ledgers import Ledgers
from vyomo_rt.trading.loading import chunks, load_resting
from vyomo_rt.trading.owners import Owners
from vyomo_rt.trading.replica import Replica
from vyomo_rt.trading.turns import Turns
from vyomo_rt.trading.uncopied import Uncopied

INT64_MAX = 2**63 - 1


class OtherNodes(Protocol):
    """What is known of sessions that other nodes decide about. All raise Unavailable."""

    def is_silent(self, session_id: int) -> bool:
        """Whether nothing is heard of the node that decides about a session."""

    async def read(self, session_ids: Iterable[int], /) -> None:
        """Read on some sessions, and load unknown ones."""

    async def read_new(self) -> None:
        """Find new sessions that nobody told of."""

    async def read_all(self) -> None:
        """Read on all sessions, and find new ones."""


_MAY_REST = (None, SessionStatus.STOPPED)
"""Of lists of these, some sessions may rest in the store."""
_LISTED_AT_ONCE = 100
"""Sessions that are read for a list in one go: a trade may have to wait for it."""


class Sessions:
    """All sessions. Those that are not STOPPED are in memory, and stopped ones in use.

    A session has at most one ledger, which is its only writer: here, if this node decides about
    its shard.
    """

    def __init__(
        self,
        journal: Journal,
        replica: Replica,
        ledgers: Ledgers,
        owners: Owners,
        is_watched: Callable[[int], bool],
    ) -> None:
        self.highest_id = 0
        """No session has a higher one; with several nodes, only none that this one knows."""
        self.shards: frozenset[int] = EVERY_SHARD
        """Those about which this server decides."""
        self.others: OtherNodes | None = None
        """Reads what other nodes have stored of their sessions; None without any."""
        self.uncopied = Uncopied()
        self._journal = journal
        self._replica = replica
        self._ledgers = ledgers
        self._owners = owners
        self._is_watched = is_watched
        self.joins: list[Callable[[SessionState], None]] = []
        """Told of each session that is in memory from now on."""
        self._stopped: dict[int, None] = {}
        self._put_away: set[int] = set()
        self._fetching = Turns()
        replica.followers.append(self)

    @property
    def live_count(self) -> int:
        """How many are not STOPPED."""
        return len(self._replica) - len(self._stopped)

    def take_up(self, state: SessionState) -> None:
        """Keep a session in memory."""
        self._replica.add(state)
        for join in self.joins:
            join(state)
        if self.decides(state.session.session_id):
            self._ledgers.add(state)
        self._owners.note(state.session.session_id, state.session.owner)
        self.highest_id = max(self.highest_id, state.session.session_id)

    def bear(self, session: Session) -> SessionState:
        """Keep a session in memory that has just been made; returns it as it is now."""
        if session.session_id not in self._replica:
            self.take_up(state_of(session, Figures(), self._replica.today))
        return self._replica.state(session.session_id)

    def publish_events(self, _: Sequence[Event], state: SessionState) -> None:
        self.publish_state(state)

    def publish_state(self, state: SessionState) -> None:
        if state.session.status is SessionStatus.STOPPED:
            self._stopped[state.session.session_id] = None

    async def ledger(self, session_id: int) -> Ledger:
        """The ledger of a session, which stays in memory until the caller awaits something else.

        Raises NotFound, Unavailable, or Moved if another node decides about it.
        """
        await self.state(session_id)
        self.require_own(session_id)
        return self._ledgers.get(session_id)

    async def state(self, session_id: int) -> SessionState:
        """A session, which stays in memory until the caller awaits something else.

        Raises NotFound or Unavailable.
        """
        while self._may_rest(session_id):
            async with self._fetching.turn():
                if session_id not in self._replica:
                    await self._fetch(session_id)
        return self._replica.state(session_id)

    def find_ledger(self, session_id: int) -> Ledger | None:
        """The ledger of a session in memory about which this server decides."""
        return self._ledgers.get(session_id) if self.decides(session_id) else None

    def decides(self, session_id: int) -> bool:
        """Whether this server decides about a session, not another node."""
        return shard_of(session_id) in self.shards

    def require_own(self, session_id: int) -> None:
        """Raise Moved if another node decides about a session."""
        if not self.decides(session_id):
            raise Moved

    def met_another_writer(self) -> None:
        """There is an event that this server has not written, of a session of its own."""
        self._ledgers.met_another_writer.set()

    def fetch(self, session_id: int, since: int = 0) -> Awaitable[object] | None:
        """Load a session that rests in the store, or of which somebody has seen more elsewhere.

        Returns None for any other. Awaiting the result raises NotFound or Unavailable.
        """
        if self._may_rest(session_id):
            return self.state(session_id)
        known = self._replica.find(session_id)
        if self.others is None or known is None:
            return None
        if known.seq < since:
            return self._read_on(self.others, session_id)
        if self.others.is_silent(session_id):
            return self._freshen(self.others, session_id)
        return None

    async def freshen(self, session_id: int) -> None:
        """Read on a session in memory, if nothing is heard of the node that decides about it."""
        if self.others is not None and self.others.is_silent(session_id):
            await self._freshen(self.others, session_id)

    async def _freshen(self, others: OtherNodes, session_id: int) -> None:
        with suppress(Unavailable):  # what is known is shown
            await others.read([session_id])

    async def _read_on(self, others: OtherNodes, session_id: int) -> None:
        """Somebody has seen more of a session than this node knows."""
        ledger = self.find_ledger(session_id)
        if ledger is None:
            await others.read([session_id])
            return
        # This node has decided about it. It may not know yet that another does now, or that what it
        # wrote itself is stored, which others can read.
        async with ledger.turns.turn():
            await ledger.settle()
            await ledger.read_on()

    async def looked_further(self, counter: str, id_: int) -> bool:
        """Whether all that is stored was looked through for a record that this node does not know.

        With one node it knows all, and an id that was never drawn is of nothing. Raises
        Unavailable.
        """
        if self.others is None or id_ > await self._journal.counter(counter):
            return False
        await self._settle_all()
        await self.others.read_all()
        return True

    async def _settle_all(self) -> None:
        """Know what is stored of the sessions of this node: others may have read it already."""
        self._journal.require_right()
        for ledger in [each for each in self._ledgers if each.is_writing]:
            async with ledger.turns.turn():
                await ledger.settle()

    async def listed(
        self, after_id: int, status: SessionStatus | None, limit: int, grant: Grant
    ) -> list[SessionState]:
        """The first sessions above an id in a grant's reach, by id. Raises Unavailable."""
        if self.others is not None:
            newest = await self._journal.counter("sessions")
            self.highest_id = max(self.highest_id, newest)
            if status not in _MAY_REST:
                await self.others.read_new()
        found: list[SessionState] = []
        candidates = self._candidates(after_id, status)
        if grant.is_limited:
            candidates = self._within(await self._owners.in_reach(grant), after_id, status)
        for ids in chunks(candidates, _LISTED_AT_ONCE):
            states = {id_: state for id_ in ids if (state := self._replica.find(id_)) is not None}
            away = [id_ for id_ in ids if id_ not in states]
            for state in await load_resting(self._journal, away, self._replica.today):
                states[state.session.session_id] = state
            listed = (states[id_] for id_ in ids if id_ in states)
            found += (state for state in listed if status in (None, state.session.status))
            if len(found) >= limit:
                break
            await asyncio.sleep(0)
        return found[:limit]

    async def put_away(self) -> None:
        """Remove from memory the stopped sessions that nobody uses or watches.

        If the store cannot take one now, the next call tries again.
        """
        for session_id in list(self._stopped):
            if self._is_in_use(session_id):
                continue
            try:
                if (ledger := self.find_ledger(session_id)) is not None:
                    await ledger.keep()
            except Unavailable:
                return
            # Somebody may have come while its checkpoint was written.
            if not self._is_in_use(session_id):
                if (ledger := self.find_ledger(session_id)) is not None:
                    self._ledgers.remove(ledger)
                self._replica.remove(session_id)
                del self._stopped[session_id]
                if self.others is not None:
                    self._put_away.add(session_id)

    def is_put_away(self, session_id: int) -> bool:
        """Whether a session is known to be stopped: it rests, and nothing of it is new."""
        return session_id in self._put_away

    def _may_rest(self, session_id: int) -> bool:
        if session_id in self._replica:
            return False
        return 0 < session_id <= (self.highest_id if self.others is None else INT64_MAX)

    async def _fetch(self, session_id: int) -> None:
        states = await load_resting(self._journal, [session_id], self._replica.today)
        if not states:
            raise NotFound.session(session_id)
        self.take_up(states[0])
        if (ledger := self.find_ledger(session_id)) is not None:
            ledger.kept_seq = states[0].seq

    def _candidates(self, after_id: int, status: SessionStatus | None) -> Iterable[int]:
        """The ids above one that a session of this status may have."""
        if status in _MAY_REST:
            return range(after_id + 1, self.highest_id + 1)
        ids = (state.session.session_id for state in self._replica.states())
        return sorted(id_ for id_ in ids if id_ > after_id)

    def _within(
        self, ids: Iterable[int], after_id: int, status: SessionStatus | None
    ) -> Iterable[int]:
        """Those of some ids that the list may hold."""
        may_rest = status in _MAY_REST
        return [
            id_
            for id_ in ids
            if after_id < id_ <= self.highest_id and (may_rest or id_ in self._replica)
        ]

    def _is_in_use(self, session_id: int) -> bool:
        ledger = self.find_ledger(session_id)
        is_busy = ledger is not None and not ledger.is_idle
        return is_busy or self._is_watched(session_id)
