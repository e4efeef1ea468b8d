"""The port for commands, behind which sessions are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.halt import Halted, HaltOrder
from vyomo_rt.domain.order import (
    AmendOrder,
    ChangeOrder,
    ClosingOrder,
    Operation,
    Read,
    SessionOrder,
    TradeOrder,
)
from vyomo_rt.domain.pending import Entered, EntryTerms
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Trade


class Writer(Protocol):
    """Decides what a session is asked to do, and returns once it is stored and announced.

    Each session has one writer at a time. The second value of a result says whether the
    operation had already been done. All methods raise Unavailable if nothing was changed, and
    OutcomeUnknown if that is not known yet. A command may be cancelled at any time: a waiting
    one changes nothing, and a write under way is settled as if its answer was lost.
    """

    async def create_session(
        self,
        operation: Operation,
        read_order: Read[SessionOrder],
        session_id: int | None = None,
    ) -> tuple[SessionState, bool]:
        """Make a session, under an id that was drawn for it or a new one."""

    async def change_session(
        self, session_id: int, operation: Operation, read_order: Read[ChangeOrder]
    ) -> SessionState:
        """Set a session's status or name; there is no event if nothing changes.

        Raises NotFound, and Conflict if the status may not change.
        """

    async def open_trade(
        self, session_id: int, operation: Operation, read_order: Read[TradeOrder]
    ) -> tuple[Trade, bool]:
        """Open a trade at its entry price or, without one, at the symbol's fresh price.

        Raises NotFound, BadRequest and Conflict.
        """

    async def amend_trade(
        self, trade_id: int, operation: Operation, read_order: Read[AmendOrder]
    ) -> Trade:
        """Change an open trade's guards, tags or note; there is no event if nothing changes.

        Raises NotFound, BadRequest, AlreadyClosed, and Conflict for a level on the wrong side of
        the last fresh price, or a stop that would be loosened in a HALTED session.
        """

    async def close_trade(
        self, trade_id: int, operation: Operation, read_order: Read[ClosingOrder]
    ) -> tuple[Trade, bool]:
        """Close a trade or a part at a price or, without one, at the last known one, fresh or not.

        Raises NotFound, AlreadyClosed, and Conflict if less is open or no price is known.
        """

    async def place_order(
        self, session_id: int, operation: Operation, read_terms: Read[EntryTerms]
    ) -> Entered:
        """Place a pending entry, or fill it at once if the last fresh price does.

        Raises NotFound, BadRequest and Conflict.
        """

    async def change_order(
        self, order_id: int, operation: Operation, read_change: Read[Mapping[str, Any]]
    ) -> Entered:
        """Change members of a pending entry; there is no event if nothing changes.

        Raises NotFound, BadRequest, AlreadyEnded and Conflict.
        """

    async def cancel_order(
        self, order_id: int, operation: Operation, read: Read[object]
    ) -> Entered:
        """Cancel a pending entry. Raises NotFound and AlreadyEnded."""

    async def close_all(
        self, session_id: int, operation: Operation, read_order: Read[HaltOrder]
    ) -> Halted:
        """Close all trades of a session and, if the order says so, halt it before.

        Raises NotFound, and Conflict if a STOPPED session is to be halted.
        """

    async def halt(
        self, grant: Grant, operation: Operation, read_order: Read[HaltOrder]
    ) -> Sequence[Halted]:
        """Halt all sessions that a grant reaches, and close all in them if the order says so."""
