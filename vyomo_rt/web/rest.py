"""The REST calls under ``/api/auto-trader``."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from msgspec import UNSET

from vyomo_rt.domain.errors import KeyReused
from vyomo_rt.domain.grant import Need
from vyomo_rt.domain.moment import Clocks
from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.domain.state import SessionState
from vyomo_rt.market.board import Board
from vyomo_rt.trading.records import Records
from vyomo_rt.trading.writer import Writer
from vyomo_rt.web import problems
from vyomo_rt.web.answers import json_answer, made
from vyomo_rt.web.bodies import read_body
from vyomo_rt.web.command import TAKES, TAKES_EMPTY, TAKES_NULL, Command
from vyomo_rt.web.guard import GRANT
from vyomo_rt.web.long_answers import LongAnswers
from vyomo_rt.web.pushing import Push
from vyomo_rt.web.routes import API, Route, Text, query_of
from vyomo_rt.web.ticks import required
from vyomo_rt.wire.event import EventList, EventsQuery
from vyomo_rt.wire.price import PriceList, PricesQuery
from vyomo_rt.wire.query import path_id, query_as
from vyomo_rt.wire.session import (
    NewSession,
    SessionChange,
    SessionDocument,
    SessionList,
    SessionsQuery,
    session_document,
)
from vyomo_rt.wire.tick import MAX_TICKS, NoTickAccepted, Ticks, TicksAnswer
from vyomo_rt.wire.tick_rows import parse_ticks
from vyomo_rt.wire.trade import (
    NewTrade,
    TradeAmendment,
    TradeClosing,
    TradeDocument,
    trade_document,
)

_SESSIONS = f"{API}/sessions"
_SESSION = _SESSIONS + "/{sessionId}"
_TRADE = API + "/trades/{tradeId}"
_MAX_TICKS_BYTES = 1024 * 1024
_CREATED, _CONFLICT = HTTPStatus.CREATED, HTTPStatus.CONFLICT
_AWAY = HTTPStatus.SERVICE_UNAVAILABLE
"""The answer of calls that need the store while it is away."""


class RestRoutes:
    """Handlers of the REST calls."""

    def __init__(
        self,
        writer: Writer,
        records: Records,
        long_answers: LongAnswers,
        board: Board,
        *,
        posted_source: str | None,
        push: Push,
        clocks: Clocks,
    ) -> None:
        """``posted_source`` is the source of posted ticks; None if none may be posted.

        ``push`` has ticks taken.
        """
        self._writer = writer
        self._records = records
        self._board = board
        self._long_answers = long_answers
        self._posted_source = posted_source
        self._push = push
        self._clocks = clocks

    def routes(self) -> list[Route]:
        """The table of the calls."""
        session, trade = SessionDocument, TradeDocument
        # fmt: off
        return [
            Route("POST", _SESSIONS, Need.TRADE, self.create_session, "sessions", session, _CREATED,
                  body=(NewSession,), refuses=(_AWAY,), idempotent=True,
                  takes=TAKES),
            Route("GET", _SESSIONS, Need.SEE, self.list_sessions, "sessions", SessionList,
                  parameters=query_of(SessionsQuery), refuses=(_AWAY,)),
            Route("GET", _SESSION, Need.SEE, self.show_session, "sessions", session,
                  refuses=(_AWAY,)),
            Route("PATCH", _SESSION, Need.TRADE, self.change_session, "sessions", session,
                  body=(SessionChange,), refuses=(_CONFLICT, _AWAY),
                  takes=TAKES_NULL),
            Route("POST", f"{_SESSION}/trades", Need.TRADE, self.open_trade, "trades", trade,
                  _CREATED, body=(NewTrade,), refuses=(_CONFLICT, _AWAY), idempotent=True,
                  takes=TAKES),
            Route("GET", f"{_SESSION}/events", Need.SEE, self.list_events, "trades", EventList,
                  parameters=query_of(EventsQuery), refuses=(_AWAY,)),
            Route("GET", _TRADE, Need.SEE, self.show_trade, "trades", trade, refuses=(_AWAY,)),
            Route("PATCH", _TRADE, Need.TRADE, self.amend_trade, "trades", trade,
                  body=(TradeAmendment,), refuses=(_CONFLICT, _AWAY),
                  takes=TAKES_NULL),
            Route("POST", f"{_TRADE}/close", Need.TRADE, self.close_trade, "trades", trade,
                  body=(TradeClosing,), refuses=(_CONFLICT, _AWAY), idempotent=True,
                  takes=TAKES_EMPTY),
            Route("GET", f"{API}/prices", Need.SEE, self.list_prices, "prices", PriceList,
                  parameters=query_of(PricesQuery)),
            Route("POST", f"{API}/ticks", Need.PUSH, self.take_ticks, "prices", TicksAnswer,
                  body=(Ticks, Text("application/x-ndjson")),
                  refuses=(_CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY, _AWAY)),
        ]
        # fmt: on

    # -- sessions ----------------------------------------------------------------

    async def create_session(self, command: Command) -> web.Response:
        """Make a session.

        With ``rules`` or ``charges``, its first event says which.
        """
        try:
            async with command.in_time():
                state, replayed = await self._writer.create_session(
                    command.operation,
                    lambda: command.read(NewSession).order(),
                    command.asked.new_id,
                )
                command.made = state.session.session_id
        except KeyReused as error:
            there = UNSET if error.session is None else self._session(error.session)
            return problems.answer(error, session=there)
        return made(self._session(state), HTTPStatus.CREATED, replayed)

    async def list_sessions(self, request: web.Request) -> web.Response:
        """List sessions by id.

        For the next page pass ``next`` as ``after``.
        """
        query = query_as(request.query, SessionsQuery)
        found = await self._records.sessions(
            query.after, query.status, query.limit + 1, request[GRANT]
        )
        page = [self._session(state) for state in found[: query.limit]]
        more = len(found) > query.limit
        return json_answer(SessionList(page, page[-1].session_id if more else None))

    async def show_session(self, request: web.Request) -> web.Response:
        """Show a session."""
        state = await self._records.session(path_id(request.match_info, "sessionId"))
        return json_answer(self._session(state))

    async def change_session(self, command: Command) -> web.Response:
        """Change a session's status, name, rules or charges.

        Rules are merged member by member; null takes one away. Nothing changes, no event.
        Opening a trade needs ACTIVE; PAUSED and HALTED stop nothing else; STOPPED is
        final, and refused with 409 while trades are open.
        """
        session_id = command.id("sessionId")
        async with command.in_time():
            state = await self._writer.change_session(
                session_id, command.operation, lambda: command.read(SessionChange).order()
            )
        return json_answer(self._session(state))

    # -- trades ------------------------------------------------------------------

    async def open_trade(self, command: Command) -> web.Response:
        """Open a trade.

        Without ``entryPrice``, at the last price; 409 if that is stale or not known, or if the
        session has as many open trades as it may.
        """
        session_id = command.id("sessionId")
        async with command.in_time():
            trade, replayed = await self._writer.open_trade(
                session_id, command.operation, lambda: command.read(NewTrade).order()
            )
            command.made = trade.trade_id
        return made(trade_document(trade), HTTPStatus.CREATED, replayed)

    async def show_trade(self, request: web.Request) -> web.Response:
        """Show a trade."""
        trade = await self._records.trade(path_id(request.match_info, "tradeId"))
        return json_answer(trade_document(trade))

    async def amend_trade(self, command: Command) -> web.Response:
        """Change an open trade's guards, tags or note.

        Members that are left out stay, null takes one away. 409 for a stop or target on the
        wrong side of the last fresh price, for a stop that would be loosened in a HALTED session,
        and, with the trade, if it is closed.
        """
        trade_id = command.id("tradeId")
        async with command.in_time():
            trade = await self._writer.amend_trade(
                trade_id, command.operation, lambda: command.read(TradeAmendment).order()
            )
        return json_answer(trade_document(trade))

    async def close_trade(self, command: Command) -> web.Response:
        """Close a trade by hand, or a part of it.

        With ``quantity``, so much of what is open: the trade stays open with its guards, unless
        that is all. Without ``price``, at the last known one, stale or not. 409 with the trade if
        it is already closed, 409 if less is open or no price is known.
        """
        trade_id = command.id("tradeId")
        async with command.in_time():
            trade, replayed = await self._writer.close_trade(
                trade_id, command.operation, lambda: command.read(TradeClosing).order()
            )
        return made(trade_document(trade), HTTPStatus.OK, replayed)

    async def list_events(self, request: web.Request) -> web.StreamResponse:
        """List a session's trade events after ``since``, at most 10 000.

        Each is as the streams carry it.
        """
        session_id = path_id(request.match_info, "sessionId")
        since = query_as(request.query, EventsQuery).since
        state = await self._records.session(session_id, since)
        session = state.session
        return await self._long_answers.send_events(
            request, session.session_id, since, seq=state.seq, epoch=session.epoch
        )

    # -- prices ------------------------------------------------------------------

    async def list_prices(self, request: web.Request) -> web.StreamResponse:
        """List the last prices of the named symbols that have one, or of all."""
        names = query_as(request.query, PricesQuery).symbols
        if names is None:
            return await self._long_answers.send_all_prices(request)
        found = (self._board.quote(parse_symbol(name)) for name in names)
        quotes = [quote for quote in found if quote is not None]
        return await self._long_answers.send_prices(request, quotes)

    async def take_ticks(self, request: web.Request) -> web.Response:
        """Push prices from outside: one, a list, or one per line.

        A refused row does not affect the others; 422 if every row is refused. 409 if prices
        come from elsewhere.
        """
        required(self._posted_source)
        newline_delimited = "ndjson" in request.content_type or "jsonl" in request.content_type
        body = await read_body(request, _MAX_TICKS_BYTES)
        rows = parse_ticks(body, MAX_TICKS, newline_delimited=newline_delimited)
        answer = await self._push(rows)
        if answer.rejected and not answer.accepted:
            raise NoTickAccepted(answer)
        return json_answer(answer)

    def _session(self, state: SessionState) -> SessionDocument:
        unrealised = state.unrealised_paise(self._board.confirmed)
        return session_document(state, unrealised, self._clocks.wall(), self._clocks.market())
