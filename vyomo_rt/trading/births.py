"""How sessions are made: once for each operation, even if an answer is lost."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from vyomo_rt.domain.errors import Conflict, KeyReused, Moved, OutcomeUnknown, Unavailable
from vyomo_rt.domain.moment import Clocks
from vyomo_rt.domain.order import Operation, Read, SessionOrder
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import SessionState
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.sessions import Sessions
from vyomo_rt.trading.turns import Turns

_SETTLE_S = 0.5


class Births:
    """Makes sessions, one at a time."""

    def __init__(self, journal: Journal, sessions: Sessions, clocks: Clocks) -> None:
        self.settling: set[asyncio.Task[None]] = set()
        self._journal = journal
        self._sessions = sessions
        self._clocks = clocks
        self._turns = Turns()

    async def create(
        self, operation: Operation, read_order: Read[SessionOrder], session_id: int | None
    ) -> tuple[SessionState, bool]:
        """Make a session; the second value says whether the operation had already made it.

        Another node may have drawn its id.
        """
        async with self._turns.turn():
            if not operation.is_fresh and (made := await self._made_before(operation)):
                return made, True
            if session_id is not None:
                self._sessions.require_own(session_id)
            order, at_ms = read_order(), self._clocks.market()
            session_id = session_id or await self._journal.reserve_ids("sessions", 1)
            self._sessions.highest_id = max(self._sessions.highest_id, session_id)
            session = self._newborn(session_id, order, operation.by)
            try:
                await self._insert(session, operation)
            except Conflict:
                # Another node was faster, or the lost insert of an earlier attempt has landed.
                if made := await self._made_before(operation):
                    return made, True
                words = "an earlier attempt at this request is being settled"
                raise OutcomeUnknown(words) from None
            # Whoever has taken it over meanwhile may not have found it yet, and is asked for it.
            self._sessions.require_own(session_id)
            self._sessions.bear(session)
            return await self._declared(session_id, at_ms), False

    async def _made_before(self, operation: Operation) -> SessionState | None:
        """What an operation has made. Raises KeyReused if it was another request's."""
        found = await self._journal.find_session(operation.operation_id)
        if found is None:
            return None
        session, request_hash = found
        state = await self._declared(session.session_id)
        if not operation.matches(request_hash):
            raise KeyReused(f"session {session.session_id}", session=state)
        return state

    async def ensure(self, session_id: int, order: SessionOrder) -> None:
        """Make a session under an id of its own."""
        session = self._newborn(session_id, order, owner=None)
        operation = Operation.internal()
        await self._journal.create_session(session, operation.operation_id, operation.request_hash)
        await self._journal.raise_counter("sessions", session_id)
        self._sessions.bear(session)

    def stop(self) -> None:
        """Leave unsettled writes to the next start."""
        for task in self.settling:
            task.cancel()

    def _newborn(self, session_id: int, order: SessionOrder, owner: str | None) -> Session:
        return Session(
            session_id=session_id,
            name=order.name or f"Session {session_id}",
            starting_capital_paise=order.starting_capital_paise,
            created_at_ms=self._clocks.wall(),
            epoch=secrets.token_hex(8),
            owner=owner,
            rules=order.rules,
            charges=order.charges,
        )

    async def _declared(self, session_id: int, at_ms: int | None = None) -> SessionState:
        """A session that has been made, once its first event tells what it was made with.

        Another node that decides about it sees to that by itself.
        """
        if not self._sessions.decides(session_id):
            return await self._sessions.state(session_id)
        ledger = await self._sessions.ledger(session_id)
        try:
            await ledger.declare(at_ms)
        except Unavailable as error:
            raise OutcomeUnknown("the session is made, and its rules are being stored") from error
        return ledger.state

    async def _insert(self, session: Session, operation: Operation) -> None:
        async def insert() -> None:
            await self._journal.create_session(
                session, operation.operation_id, operation.request_hash
            )

        try:
            await insert()
        except (OutcomeUnknown, asyncio.CancelledError):
            task = asyncio.create_task(self._settle(session, insert))
            self.settling.add(task)
            task.add_done_callback(self.settling.discard)
            raise

    async def _settle(self, session: Session, insert: Callable[[], Awaitable[None]]) -> None:
        """Follow an insert whose answer was lost until the session is known to be there."""
        while True:
            await asyncio.sleep(_SETTLE_S)
            try:
                await insert()
                await self._sessions.state(session.session_id)
            except (Conflict, Moved):
                return  # a repetition under the same key made the session anew, or may do so
            except Unavailable:
                continue
            return
