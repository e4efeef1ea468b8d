"""The WebSocket and the SSE endpoints: one handshake each, then the hub writes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web

from vyomo_rt.domain.errors import BadRequest, LimitExceeded, Unavailable, VyomoError
from vyomo_rt.stream.explanation import explain
from vyomo_rt.stream.sessions import SessionTopic
from vyomo_rt.web import problems
from vyomo_rt.web.connection import (
    EventStreamConnection,
    RawEventStreamConnection,
    Streaming,
    WebSocketConnection,
)
from vyomo_rt.web.handover import (
    accept_event_stream,
    accept_websocket,
    hand_over,
    open_transport,
)
from vyomo_rt.web.handshake import VERSION, WrongVersion, accepting
from vyomo_rt.web.query import query_fields, read_query
from vyomo_rt.web.routes import Parameter, Route, Stream, Text, query_of
from vyomo_rt.wire import decoding, messages
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.commands import Command, SubscribePrices, SubscribeSession
from vyomo_rt.wire.frame import KEEP_ALIVE, KEEP_ALIVE_EVENT, Framing
from vyomo_rt.wire.messages import (
    ConnectionDocument,
    ConnectionMessage,
    Pong,
    PriceUpdate,
    SessionMessage,
)
from vyomo_rt.wire.values import ConnectionId, KeepAlive, Position

_RETRY_FROM_MS, _RETRY_UPTO_MS = 2000, 5000
_SPOKEN_HERE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": VERSION,
}
_NEVER_RECOVERED = "unknown"
_POSITION = re.compile(r"(?P<session_id>[0-9]{1,18})-(?P<seq>[0-9]{1,18})(-(?P<epoch>.*))?")
_EVERYTHING = SessionMessage | PriceUpdate | ConnectionMessage
_RESUMING = (
    Parameter("Last-Event-ID", "header", Position),
    Parameter("lastEventId", "query", Position),
)
_KEEP_ALIVE = Parameter("keepAlive", "query", KeepAlive)


class StreamRoutes:
    """Handlers of the streaming endpoints."""

    def __init__(self, streaming: Streaming, max_connections: int) -> None:
        self._streaming = streaming
        self._max_connections = max_connections

    def routes(self) -> list[Route]:
        """The table of the streams."""
        events = Text("text/event-stream")
        session = (*query_of(SubscribeSession, required=False), *_RESUMING, _KEEP_ALIVE)
        # fmt: off
        return [
            Route("GET", "/ws/auto-trader", self.stream_websocket, "streams",
                  None, HTTPStatus.SWITCHING_PROTOCOLS,
                  refuses=(HTTPStatus.BAD_REQUEST, HTTPStatus.UPGRADE_REQUIRED),
                  stream=Stream(sends=_EVERYTHING | Pong, takes=Command)),
            Route("GET", "/sse/auto-trader", self.stream_all, "streams", events,
                  parameters=(*session, *query_of(SubscribePrices, required=False)),
                  refuses=(HTTPStatus.NOT_FOUND,), stream=Stream(sends=_EVERYTHING)),
            Route("GET", "/sse/sessions/{sessionId}", self.stream_session, "streams", events,
                  parameters=session, stream=Stream(sends=SessionMessage | ConnectionMessage)),
            Route("GET", "/sse/prices", self.stream_prices, "streams", events,
                  parameters=(*query_of(SubscribePrices), _KEEP_ALIVE),
                  stream=Stream(sends=PriceUpdate | ConnectionMessage)),
            Route("GET", "/api/auto-trader/connections/{connectionId}", self.explain_connection,
                  "streams", ConnectionDocument,
                  parameters=(Parameter("connectionId", "path", ConnectionId, required=True),)),
        ]
        # fmt: on

    @property
    def _full(self) -> bool:
        return len(self._streaming.hub.peers) >= self._max_connections

    async def stream_websocket(self, request: web.Request) -> web.StreamResponse:
        """Open a WebSocket, over which a client subscribes and unsubscribes.

        Nothing is sent before the first command. Commands are carried out in order;
        one that carries an ``id`` is answered with it, before anything that it causes.
        """
        try:
            headers = accepting(request)
        except WrongVersion as error:
            refusal = problems.answer(error, HTTPStatus.UPGRADE_REQUIRED)
            refusal.headers.update(_SPOKEN_HERE)
            return refusal
        early = await accept_websocket(request, headers)
        connection = WebSocketConnection(
            open_transport(request), _address(request), self._streaming
        )
        response = hand_over(request, connection)
        full = self._full
        connection.start()
        if self._streaming.hub.closing:
            self._streaming.hub.dismiss(connection)
        elif full:
            connection.close(CloseCode.TOO_MANY, "too many connections")
        elif early:
            connection.data_received(early)
        return response

    async def stream_all(self, request: web.Request) -> web.StreamResponse:
        """Stream a session, prices, or both, as Server-Sent Events.

        At least one of ``sessionId`` and ``symbols`` is needed. `event:` is the
        message's type (`server_error` for an `error`), `data:` the JSON that the
        WebSocket carries, `id:` the position that `Last-Event-ID` resumes from.
        """
        return await self._stream(request, read_query(request))

    async def stream_session(self, request: web.Request) -> web.StreamResponse:
        """Stream a session as Server-Sent Events."""
        query = read_query(request) | {"symbols": "", "sessionId": request.match_info["sessionId"]}
        return await self._stream(request, query)

    async def stream_prices(self, request: web.Request) -> web.StreamResponse:
        """Stream prices as Server-Sent Events."""
        query = read_query(request) | {"sessionId": ""}
        if not query.get("symbols", "").strip(", "):
            words = "symbols is required: name at least one, separated by commas"
            raise BadRequest(words, "symbols")
        return await self._stream(request, query)

    async def explain_connection(self, request: web.Request) -> web.Response:
        """Tell why an open stream is, or is not, getting messages."""
        hub = self._streaming.hub
        document = explain(hub, hub.find(request.match_info["connectionId"]))
        return web.Response(body=messages.encode(document), content_type="application/json")

    async def _stream(self, request: web.Request, query: dict[str, str]) -> web.StreamResponse:
        """Check all of the query first: a status is the last word that EventSource accepts."""
        hub = self._streaming.hub
        last_event_id = request.headers.get("Last-Event-ID") or query.get("lastEventId")
        session_command, prices_command = _commands(query, last_event_id)
        keep_alive = _keep_alive(query)
        if prices_command is not None:
            hub.subscriptions.sort_symbols(None, prices_command)
        with self._session(session_command) as session:
            if request.method == hdrs.METH_HEAD:
                return _head()
            trouble = await self._prepare(session)
            await accept_event_stream(request)
            kind = (
                EventStreamConnection
                if request.version >= HttpVersion11
                else RawEventStreamConnection
            )
            connection = kind(open_transport(request), _address(request), self._streaming)
            connection.keep_alive = keep_alive
            response = hand_over(request, connection)
            connection.start()
            if hub.closing:
                hub.dismiss(connection)
            elif trouble is not None:
                connection.reply(messages.error(trouble, None))
                code = CloseCode.TOO_MANY if isinstance(trouble, LimitExceeded) else 0
                connection.close(code, str(trouble))
            else:
                retry_ms = random.randint(_RETRY_FROM_MS, _RETRY_UPTO_MS)  # noqa: S311
                self._streaming.commands.open_stream(connection, session, prices_command, retry_ms)
            return response

    @contextmanager
    def _session(
        self, command: SubscribeSession | None
    ) -> Iterator[tuple[SubscribeSession, SessionTopic] | None]:
        """The topic that a query names, if it names one. Raises NotFound."""
        if command is None:
            yield None
            return
        with self._streaming.hub.topics.using(command.session_id) as topic:
            yield command, topic

    async def _prepare(
        self, session: tuple[SubscribeSession, SessionTopic] | None
    ) -> VyomoError | None:
        """What keeps the stream from starting now, but may not on the next try."""
        try:
            if session is not None:
                await self._streaming.hub.subscriptions.load(*session)
        except Unavailable as error:
            return error
        # Asked last: while the store was read others may have come.
        return LimitExceeded("too many connections: try again later") if self._full else None


def _commands(
    query: dict[str, str], last_event_id: str | None
) -> tuple[SubscribeSession | None, SubscribePrices | None]:
    """The subscribe commands that a query spells. Raises BadRequest."""
    fields = query_fields(query)
    for name in ("id", "type"):
        fields.pop(name, None)
    session = prices = None
    if "sessionId" in fields:
        session = decoding.convert(fields, SubscribeSession)
        if last_event_id:
            _resume(session, last_event_id)
    # Checked also where there is no symbol to use it for.
    settings = decoding.convert({"symbols": []} | fields, SubscribePrices)
    if "symbols" in fields:
        prices = settings
    if session is None and prices is None:
        raise BadRequest("sessionId or symbols is required", "query")
    return session, prices


def _keep_alive(query: dict[str, str]) -> bytes:
    """What keeps the stream alive. Raises BadRequest."""
    asked = query.get("keepAlive")
    if asked and asked != "event":
        raise BadRequest(f"keepAlive: expected event, got {asked[:40]!r}", "keepAlive")
    return KEEP_ALIVE_EVENT if asked else KEEP_ALIVE[Framing.SSE]


def _resume(command: SubscribeSession, last_event_id: str) -> None:
    """Take the position of an SSE id; one of no use is a position that can't be recovered."""
    match = _POSITION.fullmatch(last_event_id.strip())
    if match and int(match["session_id"]) == command.session_id:
        command.since, command.epoch = int(match["seq"]), match["epoch"] or None
    else:
        command.since, command.epoch = 0, _NEVER_RECOVERED


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
