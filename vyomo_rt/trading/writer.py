"""The commands: a port, behind which sessions are written."""

from __future__ import annotations

from typing import Protocol

from vyomo_rt.domain.order import Operation, Read, SessionOrder, TradeOrder
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Trade


class Writer(Protocol):
    """Decides what is asked of a session, and returns once it is stored and told.

    Of each session there is one at a time. Where an operation is given, the second value says
    that it had been done before. All raise Unavailable if nothing was changed, and
    OutcomeUnknown if that is not known yet. A command may be cancelled at any time: one that
    waits changes nothing, and a write under way is settled like one whose answer was lost.
    """

    async def create_session(
        self, operation: Operation, read_order: Read[SessionOrder]
    ) -> tuple[SessionState, bool]:
        """Make a session."""

    async def change_session(
        self,
        session_id: int,
        operation: Operation,
        *,
        status: SessionStatus | None = None,
        name: str | None = None,
    ) -> SessionState:
        """Set a session's status or name; what it has already makes no event.

        Raises NotFound, and Conflict where the status may not change.
        """

    async def open_trade(
        self, session_id: int, operation: Operation, read_order: Read[TradeOrder]
    ) -> tuple[Trade, bool]:
        """Open a trade at its entry price or, without one, at the symbol's fresh price.

        Raises NotFound, BadRequest and Conflict.
        """

    async def close_trade(
        self, trade_id: int, operation: Operation, read_price_e4: Read[int | None]
    ) -> tuple[Trade, bool]:
        """Close a trade at a price or, without one, at the last known price, fresh or not.

        Raises NotFound, AlreadyClosed, and Conflict where no price is known.
        """
