"""The REST call about bars."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.grant import Need
from vyomo_rt.market.bar_reading import BarReader, Span
from vyomo_rt.web.long_answers import LongAnswers
from vyomo_rt.web.routes import API, Route, query_of
from vyomo_rt.wire.bars import BarData, BarList, BarsQuery, bar_data, bar_list
from vyomo_rt.wire.encoding import encode
from vyomo_rt.wire.query import query_as

_SLICE = 250
"""Bars that are encoded in one step: about two milliseconds."""


class BarRoutes:
    """The handler of the call about bars."""

    def __init__(
        self, reader: BarReader, long_answers: LongAnswers, knows: Callable[[str], bool]
    ) -> None:
        self._reader = reader
        self._long_answers = long_answers
        self._knows = knows

    def routes(self) -> list[Route]:
        """The table of the call."""
        return [
            Route("GET", f"{API}/bars", Need.SEE, self.list_bars, "prices", BarList,
                  parameters=query_of(BarsQuery),
                  refuses=(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)),
        ]  # fmt: skip

    async def list_bars(self, request: web.Request) -> web.StreamResponse:
        """List a symbol's bars, oldest first, the one that still runs last.

        They are made of confirmed fresh prices, by ``asOf``, while somebody watches or holds the
        symbol. For the next page pass ``next`` as ``from``. 404 if no source has such a symbol.
        """
        asked = query_as(request.query, BarsQuery).asked()
        span = Span(asked.first_ms, asked.last_ms)
        bars, next_ms = await self._reader.read(asked.symbol, asked.interval, span, asked.limit)
        if not bars and not self._knows(asked.symbol):
            raise NotFound(f"symbol: the feed has no {asked.symbol}", "symbol")
        data: list[BarData] = []
        for start in range(0, len(bars), _SLICE):
            data += map(bar_data, bars[start : start + _SLICE])
            await asyncio.sleep(0)
        return await self._long_answers.send(request, encode(bar_list(data, next_ms)))
