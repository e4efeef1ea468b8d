"""The REST calls under ``/api/auto-trader``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web

from vyomo_rt.domain.errors import BadJson, BadRequest, Conflict, NotFound, VyomoError
from vyomo_rt.domain.moment import Clock
from vyomo_rt.domain.quote import Tick, parse_symbol
from vyomo_rt.domain.session import SessionState
from vyomo_rt.domain.trade import TradeEvent, TradeStatus
from vyomo_rt.market.book import PriceBook
from vyomo_rt.trading.desk import Desk, Operation
from vyomo_rt.trading.journal import Journal
from vyomo_rt.wire import decoding, rest

T = TypeVar("T")

_PREFIX = "/api/auto-trader"
_MAX_KEY_LENGTH = 128
_DEFAULT_PAGE = 50
_MAX_PAGE = 500
_MAX_EVENTS = 10_000


class RestRoutes:
    """Handlers of the REST calls."""

    def __init__(
        self, desk: Desk, journal: Journal, book: PriceBook, *, takes_posts: bool, now: Clock
    ) -> None:
        self._desk = desk
        self._journal = journal
        self._book = book
        self._takes_posts = takes_posts
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{_PREFIX}/sessions", self.create_session),
            web.get(f"{_PREFIX}/sessions", self.list_sessions),
            web.get(_PREFIX + "/sessions/{sessionId}", self.show_session),
            web.patch(_PREFIX + "/sessions/{sessionId}", self.change_session),
            web.post(_PREFIX + "/sessions/{sessionId}/trades", self.open_trade),
            web.get(_PREFIX + "/sessions/{sessionId}/trades", self.list_trades),
            web.get(_PREFIX + "/sessions/{sessionId}/events", self.list_events),
            web.get(_PREFIX + "/trades/{tradeId}", self.show_trade),
            web.post(_PREFIX + "/trades/{tradeId}/close", self.close_trade),
            web.get(f"{_PREFIX}/prices", self.list_prices),
            web.post(f"{_PREFIX}/ticks", self.take_ticks),
        ]

    # -- sessions ----------------------------------------------------------------

    async def create_session(self, request: web.Request) -> web.Response:
        body = await request.read()
        state, replayed = await self._desk.create_session(
            _operation(request, body), lambda: _decode(body, rest.NewSession)
        )
        return _made(self._session(state), HTTPStatus.CREATED, replayed)

    async def list_sessions(self, _request: web.Request) -> web.Response:
        return _json({"sessions": [self._session(state) for state in self._desk.states()]})

    async def show_session(self, request: web.Request) -> web.Response:
        return _json(self._session(self._desk.state(_path_id(request, "sessionId"))))

    async def change_session(self, request: web.Request) -> web.Response:
        session_id = _path_id(request, "sessionId")
        change = _decode(await request.read(), rest.SessionChange)
        return _json(self._session(await self._desk.change_status(session_id, change.status)))

    # -- trades ------------------------------------------------------------------

    async def open_trade(self, request: web.Request) -> web.Response:
        session_id = _path_id(request, "sessionId")
        body = await request.read()
        trade, replayed = await self._desk.open_trade(
            session_id, _operation(request, body), lambda: _decode(body, rest.NewTrade)
        )
        return _made(rest.trade_document(trade), HTTPStatus.CREATED, replayed)

    async def list_trades(self, request: web.Request) -> web.Response:
        session_id = _path_id(request, "sessionId")
        status = request.query.get("status")
        if status and status.upper() not in TradeStatus.__members__:
            raise BadRequest(f"status: expected OPEN or CLOSED, got {status[:40]!r}")
        limit = _query_int(request, "limit", _DEFAULT_PAGE, lowest=1, highest=_MAX_PAGE)
        after = _query_int(request, "after", None, lowest=1)
        trades = await self._desk.trades(
            session_id, TradeStatus(status.upper()) if status else None, after, limit + 1
        )
        page = trades[:limit]
        more = len(trades) > limit
        return _json(
            {
                "trades": [rest.trade_document(trade) for trade in page],
                "next": page[-1].trade_id if more else None,
            }
        )

    async def show_trade(self, request: web.Request) -> web.Response:
        return _json(rest.trade_document(await self._desk.trade(_path_id(request, "tradeId"))))

    async def close_trade(self, request: web.Request) -> web.Response:
        trade_id = _path_id(request, "tradeId")
        body = await request.read()

        def read_price_e4() -> int | None:
            return _decode(body or b"{}", rest.ClosingOrder).price

        trade, replayed = await self._desk.close_trade(
            trade_id, _operation(request, body), read_price_e4
        )
        return _made(rest.trade_document(trade), HTTPStatus.OK, replayed)

    async def list_events(self, request: web.Request) -> web.Response:
        """The numbered events after ``since``, at most 10 000 of them."""
        state = self._desk.state(_path_id(request, "sessionId"))
        since = _query_int(request, "since", 0, lowest=0)
        events: list[TradeEvent] = []
        upto = min(state.seq, since + _MAX_EVENTS)
        while since + len(events) < upto:
            page = await self._journal.events(state.session.session_id, since + len(events), upto)
            if not page:
                break
            events += page
        return _json(rest.events_document(events, state.seq, state.session.epoch))

    # -- prices ------------------------------------------------------------------

    async def list_prices(self, request: web.Request) -> web.Response:
        names = [name for name in request.query.get("symbols", "").split(",") if name.strip()]
        if names:
            found = (self._book.quote(parse_symbol(name)) for name in names)
            quotes = [quote for quote in found if quote is not None]
        else:
            quotes = self._book.quotes()
        now_ms = self._now()
        return _json({"prices": [rest.price_document(quote, now_ms) for quote in quotes]})

    async def take_ticks(self, request: web.Request) -> web.Response:
        if not self._takes_posts:
            raise Conflict("prices are simulated: start the server with --feed ingest to push them")
        newline_delimited = "ndjson" in request.content_type or "jsonl" in request.content_type
        rows = rest.parse_ticks(await request.read(), newline_delimited=newline_delimited)
        rejected = [
            rest.RejectedTick(index, rest.row_symbol(row), reason)
            for index, row in enumerate(rows)
            if (reason := self._take(row)) is not None
        ]
        return _json({"accepted": len(rows) - len(rejected), "rejected": rejected})

    def _take(self, row: Any) -> str | None:
        """Why a tick was not taken, or None."""
        try:
            tick: Tick = rest.to_tick(row)
        except VyomoError as error:
            return str(error)
        return self._book.accept(tick.symbol, tick.price_e4, tick.as_of_ms)

    def _session(self, state: SessionState) -> dict[str, Any]:
        return rest.session_document(state, state.unrealized_paise(self._book.quote), self._now())


def _operation(request: web.Request, body: bytes) -> Operation:
    """The request's identity; the same JSON hashes alike however it is written."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= _MAX_KEY_LENGTH and key.isprintable()):
        raise BadRequest(f"Idempotency-Key: expected 1 to {_MAX_KEY_LENGTH} printable characters")
    try:
        content = decoding.canonical(decoding.parse_object(body or b"{}"))
    except BadJson:
        content = body
    return Operation(key, sha256(request.path.encode() + b"\n" + content).hexdigest())


def _decode(body: bytes, type_: type[T]) -> T:
    return decoding.convert(decoding.parse_object(body), type_)


def _path_id(request: web.Request, name: str) -> int:
    text = request.match_info[name]
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    raise NotFound(f"{name} must be a positive integer, got {text[:40]!r}")


def _query_int(
    request: web.Request, name: str, default: Any, *, lowest: int, highest: int = 2**63 - 1
) -> Any:
    text = request.query.get(name)
    if not text:
        return default
    if re.fullmatch(r"[0-9]{1,18}", text) and lowest <= int(text) <= highest:
        return int(text)
    upto = f" to {highest}" if highest < 2**62 else " on"
    raise BadRequest(f"{name}: expected an integer from {lowest}{upto}, got {text[:40]!r}")


def _made(document: Mapping[str, Any], status: HTTPStatus, replayed: bool) -> web.Response:
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    return _json(document, status, headers)


def _json(
    document: Mapping[str, Any],
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    return web.Response(
        body=rest.encode(document), status=status, content_type="application/json", headers=headers
    )
