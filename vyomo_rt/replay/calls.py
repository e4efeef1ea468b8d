"""Carries out the calls of a record, each at its moment."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from vyomo_rt.domain.errors import BadRequest, Unavailable, VyomoError
from vyomo_rt.domain.event import Event, EventKind, OrderEvent, TradeEvent
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.order import Operation, Read
from vyomo_rt.domain.state import SessionState
from vyomo_rt.replay.ids import RecordedIds
from vyomo_rt.trading.writer import Writer
from vyomo_rt.wire import decoding
from vyomo_rt.wire.decoding import Nothing
from vyomo_rt.wire.halt import CloseAll, HaltAll
from vyomo_rt.wire.order import NewOrder, OrderChange
from vyomo_rt.wire.record import RecordLine
from vyomo_rt.wire.session import NewSession, SessionChange
from vyomo_rt.wire.trade import NewTrade, TradeAmendment, TradeClosing

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Struct)

_RETRY_S = 0.2


class Calls:
    """Asks the desk for what was asked for on the day, with the ids of the replay.

    It has the rights of everybody who asked then. While the store is away it asks again: the
    market waits.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._count = 0
        self._sessions = RecordedIds("session")
        self._trades = RecordedIds("trade")
        self._orders = RecordedIds("order")
        self.table: dict[str, Callable[[Operation, RecordLine, int], Awaitable[object]]] = {
            "POST /sessions": self._create_session,
            "PATCH /sessions/{}": self._change_session,
            "POST /sessions/{}/trades": self._open_trade,
            "PATCH /trades/{}": self._amend_trade,
            "POST /trades/{}/close": self._close_trade,
            "POST /sessions/{}/orders": self._place_order,
            "PATCH /orders/{}": self._change_order,
            "DELETE /orders/{}": self._cancel_order,
            "POST /sessions/{}/close-all": self._close_all,
            "POST /halt": self._halt,
        }
        """What carries out which call, ids left out."""

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        """Prices make trades, too."""
        del state
        for event in events:
            if isinstance(event, TradeEvent) and event.kind is EventKind.OPENED:
                self._trades.make(event.trade.trade_id)
                if event.entry is not None:
                    self._orders.make(event.entry.order_id)
            elif isinstance(event, OrderEvent) and event.kind is EventKind.ORDER_PLACED:
                self._orders.make(event.entry.order_id)

    def publish_state(self, state: SessionState) -> None:
        """A new day makes nothing."""

    async def carry_out(self, line: RecordLine) -> None:
        """Do what a call asked for; the log says if it is refused now."""
        self._count += 1
        call = line.call or ""
        act = self.table.get(re.sub(r"/[0-9]+", "/{}", call))
        named = re.search(r"[0-9]+", call)
        # Under a key a repetition finds what is done already.
        key = line.key or f"replay {self._count}"
        operation = Operation.asked(key, f"replay {self._count}", by=None)
        while True:
            try:
                if act is None:
                    raise BadRequest("there is no such call")
                await act(operation, line, int(named[0]) if named else 0)
            except Unavailable:
                await asyncio.sleep(_RETRY_S)
                continue
            except VyomoError as error:
                log.warning("%s was done on the day and is refused now: %s", call[:100], error)
            return

    # -- the calls ---------------------------------------------------------------

    async def _create_session(self, operation: Operation, line: RecordLine, _: int) -> None:
        state, _repeated = await self._writer.create_session(
            operation, _read(line, NewSession, NewSession.order)
        )
        self._sessions.make(state.session.session_id)
        _know(self._sessions, line, state.session.session_id)

    async def _change_session(self, operation: Operation, line: RecordLine, id_: int) -> None:
        await self._writer.change_session(
            self._sessions.find(id_), operation, _read(line, SessionChange, SessionChange.order)
        )

    async def _open_trade(self, operation: Operation, line: RecordLine, id_: int) -> None:
        trade, _repeated = await self._writer.open_trade(
            self._sessions.find(id_), operation, _read(line, NewTrade, NewTrade.order)
        )
        _know(self._trades, line, trade.trade_id)

    async def _amend_trade(self, operation: Operation, line: RecordLine, id_: int) -> None:
        await self._writer.amend_trade(
            self._trades.find(id_), operation, _read(line, TradeAmendment, TradeAmendment.order)
        )

    async def _close_trade(self, operation: Operation, line: RecordLine, id_: int) -> None:
        await self._writer.close_trade(
            self._trades.find(id_), operation, _read(line, TradeClosing, TradeClosing.order)
        )

    async def _place_order(self, operation: Operation, line: RecordLine, id_: int) -> None:
        entered = await self._writer.place_order(
            self._sessions.find(id_), operation, _read(line, NewOrder, NewOrder.terms)
        )
        _know(self._orders, line, entered.entry.order_id)

    async def _change_order(self, operation: Operation, line: RecordLine, id_: int) -> None:
        await self._writer.change_order(
            self._orders.find(id_), operation, _read(line, OrderChange, OrderChange.members)
        )

    async def _cancel_order(self, operation: Operation, line: RecordLine, id_: int) -> None:
        await self._writer.cancel_order(
            self._orders.find(id_), operation, _read(line, Nothing, lambda nothing: nothing)
        )

    async def _close_all(self, operation: Operation, line: RecordLine, id_: int) -> None:
        await self._writer.close_all(
            self._sessions.find(id_), operation, _read(line, CloseAll, CloseAll.order)
        )

    async def _halt(self, operation: Operation, line: RecordLine, _: int) -> None:
        await self._writer.halt(Grant.EVERYTHING, operation, _read(line, HaltAll, HaltAll.order))


def _know(ids: RecordedIds, line: RecordLine, id_: int) -> None:
    if line.made is not None:
        ids.know(line.made, id_)


def _read(line: RecordLine, type_: type[T], order: Callable[[T], Any]) -> Read[Any]:
    """What reads the body of a call, right before it takes effect."""

    def read() -> Any:
        body = bytes(line.body)
        members = {} if body in (b"", b"null") else decoding.parse_body(body)
        takes_null = line.call is not None and line.call.startswith("PATCH")
        convert = decoding.convert if takes_null else decoding.convert_body
        return order(convert(members, type_))

    return read
