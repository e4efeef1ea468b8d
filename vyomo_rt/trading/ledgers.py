"""The ledgers of the sessions that are in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.state import SessionState
from vyomo_rt.trading.copying import R
from vyomo_rt.trading.fills import Fills
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledger import Ledger
from vyomo_rt.trading.positions import Positions
from vyomo_rt.trading.replica import Replica


class Ledgers:
    """One for each session of the replica."""

    def __init__(
        self,
        journal: Journal,
        replica: Replica,
        positions: Positions,
        fills: Fills,
        now: MarketClock,
    ) -> None:
        self.met_another_writer = asyncio.Event()
        self._journal = journal
        self._replica = replica
        self._positions = positions
        self._fills = fills
        self._now = now
        self._ledgers: dict[int, Ledger] = {}
        self._behind: dict[Ledger, None] = {}

    def __iter__(self) -> Iterator[Ledger]:
        return iter(self._ledgers.values())

    def __contains__(self, session_id: int) -> bool:
        return session_id in self._ledgers

    def get(self, session_id: int) -> Ledger:
        """A session's ledger. Raises NotFound."""
        ledger = self._ledgers.get(session_id)
        if ledger is None:
            raise NotFound.session(session_id)
        return ledger

    def add(self, state: SessionState) -> None:
        """Begin to write a session that is in the replica."""
        session_id = state.session.session_id
        ledger = self._ledgers[session_id] = Ledger(
            session_id,
            self._replica,
            self._journal,
            applied=self._follow,
            waits=self._positions.wait,
            pass_time=lambda: self._positions.pass_time(self._now()),
            last_prices=self._positions.last_prices,
            fills=self._fills,
            now=self._now,
            met_another_writer=self.met_another_writer.set,
        )
        self._positions.add(state, ledger)
        if ledger.owes_declaration:
            ledger.wake()

    def remove(self, ledger: Ledger) -> None:
        """Forget an idle one."""
        del self._ledgers[ledger.session_id]
        self._positions.forget(ledger)
        self._behind.pop(ledger, None)

    def owing(self, session_id: int) -> Ledger:
        """A session's ledger, which may have copies to write. Raises NotFound."""
        ledger = self.get(session_id)
        self._behind[ledger] = None
        return ledger

    def find_uncopied(self, kind: type[R], id_: int) -> R | None:
        """A record whose newest readable copy is still to be written."""
        for ledger in list(self._behind):
            if waiting := ledger.copying.find(kind, id_):
                return waiting
            if not ledger.copying.behind:
                del self._behind[ledger]
        return None

    def _follow(self, events: Sequence[Event], ledger: Ledger) -> None:
        self._behind[ledger] = None
        self._positions.follow(events, ledger)

    async def stop(self) -> None:
        """Let writes in progress finish."""
        await asyncio.gather(*(ledger.stop() for ledger in self))
