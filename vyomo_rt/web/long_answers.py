"""Answers too long to be made at once; everything else goes on beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from aiohttp import hdrs, web

from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import WallClock
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.trade import Trade
from vyomo_rt.web.guard import require_standing
from vyomo_rt.web.routes import CSV, JSON
from vyomo_rt.wire.event import around_events, events_text
from vyomo_rt.wire.price import around_prices, prices_text
from vyomo_rt.wire.trade_list import csv_header, csv_rows

ReadEvents = Callable[[int, int, int], Awaitable[Sequence[Event]]]
"""Some of a session's events with ``after < seq <= upto``, from the first on."""

log = logging.getLogger(__name__)

MAX_EVENTS = 10_000
_PART_BYTES = 64 * 1024
_SLICE = 500
"""Prices that are encoded in one step: about a millisecond."""


class LongAnswers:
    """Makes long answers in small parts; each round of the event loop makes one, of one answer."""

    def __init__(
        self, read_events: ReadEvents, quotes: Callable[[], Sequence[Quote]], now: WallClock
    ) -> None:
        self._read_events = read_events
        self._quotes = quotes
        self._now = now
        self._turns = asyncio.Lock()
        self._all_prices: asyncio.Task[bytes] | None = None

    async def send_events(
        self, request: web.Request, session_id: int, since: int, *, seq: int, epoch: str
    ) -> web.StreamResponse:
        """Answer with a session's events after ``since``, page by page as they are read.

        ``seq`` is that of the session's newest one.

        Raises Unavailable if the first page cannot be read; after that the connection is cut off.
        """
        upto = min(seq, since + MAX_EVENTS)
        head, tail = around_events(seq, epoch)
        page = await self._page(session_id, since, upto)
        if not page or page[-1].seq == upto:
            return web.Response(body=head + events_text(page) + tail, content_type=JSON)

        async def parts() -> AsyncGenerator[bytes, None]:
            found = page
            yield head + events_text(found)
            while found := await self._page(session_id, found[-1].seq, upto):
                yield b"," + events_text(found)
            yield tail

        return await self.send_json(request, parts())

    async def send_json(
        self, request: web.Request, parts: AsyncGenerator[bytes, None]
    ) -> web.StreamResponse:
        """Answer with a JSON text, part by part as these are made.

        Raises VyomoError if the first cannot be made; after that the connection is cut off.
        """
        response = web.StreamResponse()
        response.content_type = JSON
        return await self._send_parts(request, response, parts)

    async def send_csv(
        self, request: web.Request, pages: AsyncGenerator[Sequence[Trade], None], name: str
    ) -> web.StreamResponse:
        """Answer with a table of trades, which a browser saves under a name.

        Raises VyomoError if the first page cannot be read; after that the connection is cut off.
        """

        async def parts() -> AsyncGenerator[bytes, None]:
            head = csv_header()
            async with aclosing(pages):
                async for page in pages:
                    await self.next_turn()
                    yield head + csv_rows(page)
                    head = b""
            if head:
                yield head

        disposition = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'}
        response = web.StreamResponse(headers=disposition)
        response.content_type, response.charset = CSV, "utf-8"
        return await self._send_parts(request, response, parts())

    async def _send_parts(
        self,
        request: web.Request,
        response: web.StreamResponse,
        parts: AsyncGenerator[bytes, None],
    ) -> web.StreamResponse:
        """Send each part before the next one is made.

        Raises VyomoError if the first cannot be made; after that the connection is cut off.
        """
        async with aclosing(parts):
            first = await anext(parts)
            await response.prepare(request)
            if request.method == hdrs.METH_HEAD:
                return response
            try:
                await response.write(first)
                async for part in parts:
                    require_standing(request)
                    await response.write(part)
            except VyomoError as error:
                # The status is sent: only cutting off can still say that something is missing.
                log.warning("an answer of %s is cut off: %s", request.path, error)
                if request.transport is not None:
                    request.transport.abort()
                return response
        await response.write_eof()
        return response

    async def send_all_prices(self, request: web.Request) -> web.StreamResponse:
        """Answer with the PriceList of all symbols; requests from before it begins share it."""
        if self._all_prices is None:
            self._all_prices = asyncio.create_task(self._encode_all_prices())
        return await self.send(request, await asyncio.shield(self._all_prices))

    async def send_prices(
        self, request: web.Request, quotes: Sequence[Quote]
    ) -> web.StreamResponse:
        """Answer with a PriceList."""
        return await self.send(request, await self._encode_prices(quotes))

    async def send(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Answer with a body, as fast as its reader takes it."""
        if len(body) <= _PART_BYTES:
            return web.Response(body=body, content_type=JSON)
        response = web.StreamResponse()
        response.content_type = JSON
        response.content_length = len(body)

        async def parts() -> AsyncGenerator[bytes, None]:
            for start in range(0, len(body), _PART_BYTES):
                await self.next_turn()
                yield body[start : start + _PART_BYTES]

        return await self._send_parts(request, response, parts())

    async def _encode_prices(self, quotes: Sequence[Quote]) -> bytes:
        now_ms = self._now()
        texts: list[bytes] = []
        for start in range(0, len(quotes), _SLICE):
            await self.next_turn()
            texts.append(prices_text(quotes[start : start + _SLICE], now_ms))
        head, tail = around_prices()
        return head + b",".join(texts) + tail

    async def _encode_all_prices(self) -> bytes:
        await self.next_turn()
        self._all_prices = None
        return await self._encode_prices(self._quotes())

    async def _page(self, session_id: int, after: int, upto: int) -> Sequence[Event]:
        if after >= upto:
            return []
        page = await self._read_events(session_id, after, upto)
        await self.next_turn()
        return page

    async def next_turn(self) -> None:
        """Wait until a part may be made: one in a round of the event loop."""
        async with self._turns:
            await asyncio.sleep(0)
