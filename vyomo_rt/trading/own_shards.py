"""The shards about which this node decides: taking them over, and giving them up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping

from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.shard import shard_of
from vyomo_rt.trading.following import Following
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.late_writes import LateWrites
from vyomo_rt.trading.ledger import Ledger
from vyomo_rt.trading.ledgers import Ledgers
from vyomo_rt.trading.loading import copied_upto
from vyomo_rt.trading.recent_prices import RecentPrices
from vyomo_rt.trading.replica import Replica
from vyomo_rt.trading.sessions import Sessions

log = logging.getLogger(__name__)

CatchUp = Callable[[Iterable[tuple[int, Quote]], Mapping[Ledger, int]], None]

_LOOK_S = 0.005
_LAST_WRITES_S = 0.6
"""How long commands that have begun may take when their session moves."""


class OwnShards:
    """Begins and ends to decide, a set of shards at a time."""

    def __init__(
        self,
        journal: Journal,
        replica: Replica,
        sessions: Sessions,
        ledgers: Ledgers,
        following: Following,
        *,
        late_writes: LateWrites,
        recent: RecentPrices,
        drop_ids: Callable[[], None],
        catch_up: CatchUp,
        resume: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._replica = replica
        self._sessions = sessions
        self._ledgers = ledgers
        self._following = following
        self._late_writes = late_writes
        self._recent = recent
        self._drop_ids = drop_ids
        self._catch_up = catch_up
        self._resume = resume
        sessions.shards = frozenset()
        sessions.others = following

    async def take_over(self, shards: Collection[int]) -> None:
        """Read what their former owners have stored, then decide. Raises Unavailable.

        The prices that came while nobody decided act first. What former owners write late is
        found as after a start.
        """
        await asyncio.gather(
            self._late_writes.expect_sessions(self._sessions.highest_id),
            self._following.read_shards(shards),
        )
        # The former owner has written most of them.
        copied = await copied_upto(self._journal, self._sessions.uncopied.of_shards(shards))
        # In one step: no event comes in between that nobody would act on.
        self._drop_ids()
        self._sessions.shards |= frozenset(shards)
        for state in self._replica.states():
            if shard_of(state.session.session_id) in shards:
                self._ledgers.add(state)
        for record, seq in self._sessions.uncopied.pop(shards):
            is_owed = copied.get((type(record), record.record_id), 0) < seq
            if is_owed and self._sessions.decides(record.session_id):
                self._ledgers.owing(record.session_id).copying.owe(record, seq)
        ledgers = self._of(shards)
        for ledger in ledgers:
            if ledger.copying.behind:
                ledger.wake()
        decided = self._recent.decided_upto(ledger.session_id for ledger in ledgers)
        self._catch_up(self._recent, {each: decided[each.session_id] for each in ledgers})
        self._resume()
        self._late_writes.expect()
        log.info("this node decides about %d shards", len(self._sessions.shards))

    async def give_up(self, shards: Collection[int]) -> None:
        """Decide nothing more about them, and let what has begun finish, if it does so soon."""
        self._sessions.shards -= frozenset(shards)
        ledgers = self._of(shards)
        deadline = asyncio.get_running_loop().time() + _LAST_WRITES_S
        await asyncio.gather(*(_finish(ledger, deadline) for ledger in ledgers))
        for ledger in ledgers:
            self._ledgers.remove(ledger)

    def forget(self, shards: Collection[int]) -> None:
        """They were taken away: what this node had begun there can no longer be stored."""
        self._sessions.shards -= frozenset(shards)
        for ledger in self._of(shards):
            ledger.abandon()
            self._ledgers.remove(ledger)

    def _of(self, shards: Collection[int]) -> list[Ledger]:
        return [ledger for ledger in self._ledgers if shard_of(ledger.session_id) in shards]


async def _finish(ledger: Ledger, deadline: float) -> None:
    loop = asyncio.get_running_loop()
    while not ledger.is_idle and loop.time() < deadline:  # noqa: ASYNC110 - only ledgers tell
        await asyncio.sleep(_LOOK_S)
    ledger.abandon()
