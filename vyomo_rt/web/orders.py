"""The REST calls about pending entries."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from vyomo_rt.domain.grant import Need
from vyomo_rt.trading.records import Records
from vyomo_rt.trading.writer import Writer
from vyomo_rt.web.answers import json_answer, made
from vyomo_rt.web.command import TAKES, TAKES_EMPTY, TAKES_NULL, Command
from vyomo_rt.web.routes import API, Route, query_of
from vyomo_rt.wire.decoding import Nothing
from vyomo_rt.wire.order import (
    NewOrder,
    OrderAnswer,
    OrderChange,
    OrderPage,
    OrdersQuery,
    order_answer,
    order_document,
)
from vyomo_rt.wire.query import path_id, query_as

_ORDERS = API + "/sessions/{sessionId}/orders"
_ORDER = API + "/orders/{orderId}"
_CONFLICT, _AWAY = HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE


class OrderRoutes:
    """Handlers of the calls about pending entries."""

    def __init__(self, writer: Writer, records: Records) -> None:
        self._writer = writer
        self._records = records

    def routes(self) -> list[Route]:
        """The table of the calls."""
        # fmt: off
        return [
            Route("POST", _ORDERS, Need.TRADE, self.place_order, "orders", OrderAnswer,
                  HTTPStatus.CREATED, body=(NewOrder,), refuses=(_CONFLICT, _AWAY), idempotent=True,
                  takes=TAKES),
            Route("GET", _ORDERS, Need.SEE, self.list_orders, "orders", OrderPage,
                  parameters=query_of(OrdersQuery), refuses=(_AWAY,)),
            Route("PATCH", _ORDER, Need.TRADE, self.change_order, "orders", OrderAnswer,
                  body=(OrderChange,), refuses=(_CONFLICT, _AWAY),
                  takes=TAKES_NULL),
            Route("DELETE", _ORDER, Need.TRADE, self.cancel_order, "orders", OrderAnswer,
                  refuses=(_CONFLICT, _AWAY),
                  takes=TAKES_EMPTY),
        ]
        # fmt: on

    async def place_order(self, command: Command) -> web.Response:
        """Place a pending entry: an order that opens a trade once its price comes.

        One that the last fresh price fills is filled at once, and the answer has its ``trade``;
        409 if what it would open is refused. ``validity`` DAY ends with the session of the symbol.
        """
        session_id = command.id("sessionId")
        async with command.in_time():
            entered = await self._writer.place_order(
                session_id, command.operation, lambda: command.read(NewOrder).terms()
            )
            command.made = entered.entry.order_id
        answer = order_answer(entered.entry, entered.trade)
        return made(answer, HTTPStatus.CREATED, entered.repeated)

    async def list_orders(self, request: web.Request) -> web.Response:
        """List a session's orders, newest first.

        For the next page pass ``next`` as ``after``.
        """
        session_id = path_id(request.match_info, "sessionId")
        query = query_as(request.query, OrdersQuery)
        entries = await self._records.orders(
            session_id, query.order_status, query.after, query.limit + 1
        )
        page = [order_document(entry) for entry in entries[: query.limit]]
        more = len(entries) > query.limit
        return json_answer(OrderPage(page, page[-1].order_id if more else None))

    async def change_order(self, command: Command) -> web.Response:
        """Change a pending entry; null takes a guard, the tags or the note away.

        If the last fresh price fills it now, the answer has its ``trade``. 409 with the order if
        it has ended.
        """
        order_id = command.id("orderId")
        async with command.in_time():
            entered = await self._writer.change_order(
                order_id, command.operation, lambda: command.read(OrderChange).members()
            )
        return json_answer(order_answer(entered.entry, entered.trade))

    async def cancel_order(self, command: Command) -> web.Response:
        """Cancel a pending entry.

        409 with the order if it has ended.
        """
        order_id = command.id("orderId")
        async with command.in_time():
            entered = await self._writer.cancel_order(
                order_id, command.operation, lambda: command.read(Nothing)
            )
        return json_answer(order_answer(entered.entry, entered.trade))
