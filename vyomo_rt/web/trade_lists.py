"""The REST calls that list a session's trades."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from vyomo_rt.domain.grant import Need
from vyomo_rt.trading.records import Records
from vyomo_rt.web.long_answers import LongAnswers
from vyomo_rt.web.routes import API, CSV, Route, Text, query_of
from vyomo_rt.wire.encoding import encode
from vyomo_rt.wire.query import path_id, query_as
from vyomo_rt.wire.trade import trade_document
from vyomo_rt.wire.trade_list import TradeFilterQuery, TradePage, TradesQuery

_TRADES = API + "/sessions/{sessionId}/trades"
_LISTS_AT_ONCE = 4
"""Lists of trades read at a time: each takes up to a MB before it is encoded."""
_AWAY = (HTTPStatus.SERVICE_UNAVAILABLE,)


class TradeListRoutes:
    """Handlers of the lists: a page as JSON, or all as CSV."""

    def __init__(self, records: Records, long_answers: LongAnswers) -> None:
        self._records = records
        self._long_answers = long_answers
        self._listing = asyncio.Semaphore(_LISTS_AT_ONCE)

    def routes(self) -> list[Route]:
        """The table of the calls."""
        return [
            Route("GET", _TRADES, Need.SEE, self.list_trades, "trades", TradePage,
                  parameters=query_of(TradesQuery), refuses=_AWAY),
            Route("GET", f"{_TRADES}.csv", Need.SEE, self.list_trades_as_csv, "trades", Text(CSV),
                  parameters=query_of(TradeFilterQuery), refuses=_AWAY),
        ]  # fmt: skip

    async def list_trades(self, request: web.Request) -> web.StreamResponse:
        """List a session's trades, newest first.

        For the next page pass ``next`` as ``after``.
        """
        session_id = path_id(request.match_info, "sessionId")
        query = query_as(request.query, TradesQuery)
        wanted = query.filter()
        async with self._listing:
            trades = await self._records.trades(session_id, wanted, query.after, query.limit + 1)
            page = trades[: query.limit]
            more = len(trades) > query.limit
            documents = [trade_document(trade) for trade in page]
            body = encode(TradePage(documents, page[-1].trade_id if more else None))
        return await self._long_answers.send(request, body)

    async def list_trades_as_csv(self, request: web.Request) -> web.StreamResponse:
        """List all of a session's trades, newest first, as a table for a spreadsheet.

        Its columns are the members of a trade's document. A text that a spreadsheet would
        compute begins with an apostrophe.
        """
        session_id = path_id(request.match_info, "sessionId")
        wanted = query_as(request.query, TradeFilterQuery).filter()
        pages = self._records.trades_in_pages(session_id, wanted)
        return await self._long_answers.send_csv(request, pages, f"trades-{session_id}.csv")
