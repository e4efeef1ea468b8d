"""The WebSocket and the SSE endpoints: one handshake each, then the hub writes."""

from __future__ import annotations

import random
import re
from typing import Any

from aiohttp import hdrs, web

from vyomo_rt.domain.errors import BadRequest, LimitExceeded, Unavailable, VyomoError
from vyomo_rt.stream.explanation import explain
from vyomo_rt.stream.sessions import SessionTopic
from vyomo_rt.web.connection import EventStreamConnection, Streaming, WebSocketConnection
from vyomo_rt.web.handover import (
    accept_event_stream,
    accept_websocket,
    hand_over,
    open_transport,
)
from vyomo_rt.wire import decoding, messages
from vyomo_rt.wire.commands import SubscribePrices, SubscribeSession, with_integers
from vyomo_rt.wire.frame import Framing

CLOSE_TOO_MANY = 4504
_RETRY_FROM_MS, _RETRY_UPTO_MS = 2000, 5000
_NEVER_RECOVERED = "unknown"
_POSITION = re.compile(r"(?P<session_id>[0-9]{1,18})-(?P<seq>[0-9]{1,18})(-(?P<epoch>.*))?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class StreamRoutes:
    """Handlers of the streaming endpoints."""

    def __init__(self, streaming: Streaming, max_connections: int) -> None:
        self._streaming = streaming
        self._max_connections = max_connections

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ws/auto-trader", self.websocket, allow_head=False),
            web.get("/sse/auto-trader", self.everything),
            web.get("/sse/sessions/{sessionId}", self.session),
            web.get("/sse/prices", self.prices),
            web.get("/api/auto-trader/connections/{connectionId}", self.explain),
        ]

    @property
    def _full(self) -> bool:
        return len(self._streaming.hub.peers) >= self._max_connections

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        early = await accept_websocket(request)
        connection = WebSocketConnection(
            open_transport(request), _address(request), self._streaming
        )
        response = hand_over(request, connection)
        full = self._full
        connection.start()
        if self._streaming.hub.closing:
            self._streaming.hub.dismiss(connection.peer)
        elif full:
            connection.close(CLOSE_TOO_MANY, "too many connections")
        elif early:
            connection.data_received(early)
        return response

    async def everything(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, _query(request))

    async def session(self, request: web.Request) -> web.StreamResponse:
        query = _query(request) | {"symbols": "", "sessionId": request.match_info["sessionId"]}
        return await self._stream(request, query)

    async def prices(self, request: web.Request) -> web.StreamResponse:
        query = _query(request) | {"sessionId": ""}
        if not query.get("symbols", "").strip(", "):
            raise BadRequest("symbols is required: name at least one, separated by commas")
        return await self._stream(request, query)

    async def explain(self, request: web.Request) -> web.Response:
        hub = self._streaming.hub
        document = explain(hub, hub.find(request.match_info["connectionId"]))
        return web.Response(body=messages.encode(document), content_type="application/json")

    async def _stream(self, request: web.Request, query: dict[str, str]) -> web.StreamResponse:
        """Check all of the query first: a status is the last word that EventSource accepts."""
        commands, hub = self._streaming.commands, self._streaming.hub
        last_event_id = request.headers.get("Last-Event-ID") or query.get("lastEventId")
        session_command, prices_command = _commands(query, last_event_id)
        if prices_command is not None:
            commands.check_prices(None, prices_command)
        session: tuple[SubscribeSession, SessionTopic] | None = None
        if session_command is not None:
            session = (session_command, hub.use_topic(session_command.session_id))
        handed_over = False
        try:
            if request.method == hdrs.METH_HEAD:
                return _head()
            trouble = await self._prepare(session)
            await accept_event_stream(request, {})
            connection = EventStreamConnection(
                open_transport(request), Framing.SSE, _address(request), self._streaming
            )
            response = hand_over(request, connection)
            connection.start()
            if hub.closing:
                hub.dismiss(connection.peer)
            elif trouble is not None:
                connection.peer.reply(messages.error(trouble, None))
                connection.close(0, str(trouble))
            else:
                handed_over = True
                retry_ms = random.randint(_RETRY_FROM_MS, _RETRY_UPTO_MS)  # noqa: S311
                commands.open_stream(connection.peer, session, prices_command, retry_ms)
            return response
        finally:
            if session is not None and not handed_over:
                hub.release_topic(session[1])

    async def _prepare(
        self, session: tuple[SubscribeSession, SessionTopic] | None
    ) -> VyomoError | None:
        """What keeps the stream from starting now, but may not on the next try."""
        try:
            if session is not None:
                await self._streaming.commands.load(*session)
        except Unavailable as error:
            return error
        # Asked last: while the store was read others may have come.
        return LimitExceeded("too many connections: try again later") if self._full else None


def _commands(
    query: dict[str, str], last_event_id: str | None
) -> tuple[SubscribeSession | None, SubscribePrices | None]:
    """The subscribe commands that a query spells. Raises BadRequest."""
    fields: dict[str, Any] = {name: value for name, value in query.items() if value}
    for name in ("symbols", "types"):
        parts = [part for part in fields.pop(name, "").split(",") if part.strip()]
        if parts:
            fields[name] = parts
    if flag := fields.get("onlyChanges"):
        fields["onlyChanges"] = _BOOLEANS.get(flag.lower(), flag)
    for name in ("id", "type"):
        fields.pop(name, None)
    session = prices = None
    if "sessionId" in fields:
        session = decoding.convert(with_integers(fields), SubscribeSession)
        if last_event_id:
            _resume(session, last_event_id)
    # Checked also where there is no symbol to use it for.
    settings = decoding.convert(with_integers({"symbols": []} | fields), SubscribePrices)
    if "symbols" in fields:
        prices = settings
    if session is None and prices is None:
        raise BadRequest("sessionId or symbols is required")
    return session, prices


def _resume(command: SubscribeSession, last_event_id: str) -> None:
    """Take the position of an SSE id; one of no use is a position that can't be recovered."""
    match = _POSITION.fullmatch(last_event_id.strip())
    if match and int(match["session_id"]) == command.session_id:
        command.since, command.epoch = int(match["seq"]), match["epoch"] or None
    else:
        command.since, command.epoch = 0, _NEVER_RECOVERED


def _query(request: web.Request) -> dict[str, str]:
    """The query; a list may be written with commas or by repeating its name."""
    query = request.query
    lists = {name: ",".join(query.getall(name)) for name in ("symbols", "types") if name in query}
    return dict(query) | lists


def _head() -> web.Response:
    return web.Response(
        content_type="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


def _address(request: web.Request) -> str:
    peername = request.transport.get_extra_info("peername") if request.transport else None
    if not peername:
        return "unknown"
    host, port = peername[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
