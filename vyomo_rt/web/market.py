"""The REST calls about the market: its sessions and holidays, and what is traded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from aiohttp import web

from vyomo_rt.domain.grant import Need
from vyomo_rt.domain.market import PreviousClose, Segment
from vyomo_rt.domain.moment import MarketClock, trading_day
from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.instruments import instrument, named_symbols
from vyomo_rt.market.board import Board
from vyomo_rt.web.answers import json_answer
from vyomo_rt.web.routes import API, Route, query_of
from vyomo_rt.wire.market import (
    InstrumentData,
    InstrumentList,
    InstrumentsQuery,
    MarketDocument,
    instrument_data,
    market_document,
)
from vyomo_rt.wire.query import query_as

_MOST_FOUND = 500
"""Also if many more have a price."""


class MarketRoutes:
    """Handlers of the calls about the market."""

    def __init__(
        self,
        calendar: Calendar,
        board: Board,
        *,
        previous_close: Callable[[str], PreviousClose | None],
        now: MarketClock,
    ) -> None:
        self._calendar = calendar
        self._board = board
        self._previous_close = previous_close
        self._now = now

    def routes(self) -> list[Route]:
        """The table of the calls."""
        return [
            Route("GET", f"{API}/market", Need.SEE, self.show_market, "market", MarketDocument),
            Route("GET", f"{API}/instruments", Need.SEE, self.list_instruments, "market",
                  InstrumentList, parameters=query_of(InstrumentsQuery)),
        ]  # fmt: skip

    async def show_market(self, _: web.Request) -> web.Response:
        """Show the market's state, its sessions of the current date, and holidays.

        A date that the calendar does not know counts as open on weekdays, with ``warning``.
        """
        now_ms = self._now()
        calendar, day = self._calendar, trading_day(now_ms)
        document = market_document(
            calendar.state(Segment.INDEX, now_ms),
            day,
            calendar.sessions(day),
            ((holiday.date, holiday.name) for holiday in calendar.holidays),
            calendar.warning(day),
        )
        return json_answer(document)

    async def list_instruments(self, request: web.Request) -> web.Response:
        """List what is known of the named symbols, or of all known ones.

        With ``q``, of those that contain it. An unknown symbol counts as an equity.
        """
        query = query_as(request.query, InstrumentsQuery)
        if query.symbols is None:
            symbols: Iterable[str] = self._known()
        else:
            symbols = dict.fromkeys(map(parse_symbol, query.symbols))
        if (text := (query.q or "").strip().upper()) or query.symbols is None:
            symbols = islice(_containing(text, symbols), _MOST_FOUND)
        return json_answer(InstrumentList([self._instrument(symbol) for symbol in symbols]))

    def _known(self) -> set[str]:
        return {*named_symbols(), *(quote.symbol for quote in self._board.quotes())}

    def _instrument(self, symbol: str) -> InstrumentData:
        quote = self._board.confirmed(symbol)
        price_e4 = None if quote is None else quote.price_e4
        known = instrument(symbol, self._now(), self._calendar, price_e4)
        return instrument_data(known, self._previous_close(symbol))


def _containing(text: str, symbols: Iterable[str]) -> Iterable[str]:
    """Symbols that contain a text; those that begin with it come first."""
    found = (symbol for symbol in symbols if text in symbol)
    return sorted(found, key=lambda symbol: (not symbol.startswith(text), symbol))
