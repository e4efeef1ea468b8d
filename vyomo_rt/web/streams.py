"""The WebSocket and the SSE endpoints: one handshake each, then the hub writes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Protocol

from aiohttp import HttpVersion11, hdrs, web

from vyomo_rt.domain.audit import What
from vyomo_rt.domain.errors import Conflict, LimitExceeded, NotFound, Unavailable, VyomoError
from vyomo_rt.domain.grant import Grant, Need
from vyomo_rt.stream.explanation import explain
from vyomo_rt.stream.sessions import SessionTopic
from vyomo_rt.web import problems
from vyomo_rt.web.addresses import CLIENT, CROWDED, Client
from vyomo_rt.web.answers import json_answer
from vyomo_rt.web.connection import (
    EventStreamConnection,
    RawEventStreamConnection,
    StreamServer,
    WebSocketConnection,
)
from vyomo_rt.web.guard import GRANT
from vyomo_rt.web.handover import (
    accept_event_stream,
    accept_websocket,
    hand_over,
    open_transport,
)
from vyomo_rt.web.handshake import VERSION, WrongVersion, accepting
from vyomo_rt.web.routes import Parameter, Route, Stream, Text, query_of
from vyomo_rt.wire.access import ConnectionList, OpenConnection
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.commands import Command, SubscribePrices, SubscribeSession, WatchSessions
from vyomo_rt.wire.connection import ConnectionDocument, ConnectionMessage, Pong
from vyomo_rt.wire.event import SessionMessage
from vyomo_rt.wire.position import PositionText
from vyomo_rt.wire.price import PriceUpdate
from vyomo_rt.wire.query import (
    WatchQuery,
    of_all_sessions,
    of_prices,
    of_session,
    read_query,
    stream_query,
)
from vyomo_rt.wire.refusal import error_frame
from vyomo_rt.wire.session import SessionUpdate
from vyomo_rt.wire.values import ConnectionId, KeepAlive

_RETRY_FROM_MS, _RETRY_UPTO_MS = 2000, 5000
_SPOKEN_HERE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": VERSION,
}
_EVERYTHING = SessionMessage | PriceUpdate | ConnectionMessage
_RESUMING = (
    Parameter("Last-Event-ID", "header", PositionText),
    Parameter("lastEventId", "query", PositionText),
)
_CONNECTION = Parameter("connectionId", "path", ConnectionId, required=True)
_KEEP_ALIVE = Parameter("keepAlive", "query", KeepAlive)


class Elsewhere(Protocol):
    """The streams of other nodes. All methods raise Unavailable if one cannot be asked."""

    async def connections(self) -> list[OpenConnection]:
        """All that are open."""

    async def explain(self, connection_id: str, subject: str | None) -> ConnectionDocument | None:
        """Explain one, if there is one of that id; of a subject, unless any will do."""

    async def kick(self, connection_id: str) -> str | None:
        """End one; returns whose it was, in words, or None if there is none of that id."""


class StreamRoutes:
    """Handlers of the streaming endpoints."""

    def __init__(
        self, streaming: StreamServer, max_connections: int, elsewhere: Elsewhere | None = None
    ) -> None:
        self._streaming = streaming
        self._max_connections = max_connections
        self._elsewhere = elsewhere

    def routes(self) -> list[Route]:
        """The table of the streams."""
        events = Text("text/event-stream")
        session = (*query_of(SubscribeSession, required=False), *_RESUMING, _KEEP_ALIVE)
        # fmt: off
        return [
            Route("GET", "/ws/auto-trader", Need.SEE, self.stream_websocket, "streams",
                  None, HTTPStatus.SWITCHING_PROTOCOLS,
                  refuses=(HTTPStatus.BAD_REQUEST, HTTPStatus.UPGRADE_REQUIRED),
                  stream=Stream(sends=_EVERYTHING | Pong, takes=Command, takes_auth=True)),
            Route("GET", "/sse/auto-trader", Need.SEE, self.stream_all, "streams", events,
                  parameters=(*session, *query_of(SubscribePrices, required=False),
                              *query_of(WatchQuery)),
                  refuses=(HTTPStatus.NOT_FOUND,), stream=Stream(sends=_EVERYTHING)),
            Route("GET", "/sse/sessions", Need.SEE, self.stream_sessions, "streams", events,
                  parameters=(*query_of(WatchSessions), _KEEP_ALIVE),
                  stream=Stream(sends=SessionUpdate | ConnectionMessage)),
            Route("GET", "/sse/sessions/{sessionId}", Need.SEE, self.stream_session, "streams",
                  events, parameters=session,
                  stream=Stream(sends=SessionMessage | ConnectionMessage)),
            Route("GET", "/sse/prices", Need.SEE, self.stream_prices, "streams", events,
                  parameters=(*query_of(SubscribePrices), _KEEP_ALIVE),
                  stream=Stream(sends=PriceUpdate | ConnectionMessage)),
            Route("GET", "/api/auto-trader/connections/{connectionId}", Need.SEE,
                  self.explain_connection, "streams", ConnectionDocument,
                  parameters=(_CONNECTION,)),
            Route("GET", "/api/auto-trader/connections", Need.ADMINISTER, self.list_connections,
                  "streams", ConnectionList),
            Route("POST", "/api/auto-trader/connections/{connectionId}/kick", Need.ADMINISTER,
                  self.kick_connection, "streams", None, HTTPStatus.NO_CONTENT,
                  parameters=(_CONNECTION,), refuses=(HTTPStatus.CONFLICT,)),
        ]
        # fmt: on

    async def stream_websocket(self, request: web.Request) -> web.StreamResponse:
        """Open a WebSocket, over which a client subscribes and unsubscribes.

        Nothing is sent before the first command. Commands are carried out in order;
        a command with an ``id`` is answered with it, before anything that it causes.
        """
        return await open_websocket(
            request, self._streaming, self._max_connections, WebSocketConnection
        )

    async def stream_all(self, request: web.Request) -> web.StreamResponse:
        """Stream a session, prices, or both, as Server-Sent Events.

        At least one of ``sessionId`` and ``symbols`` is needed. `event:` is the
        message's type (`server_error` for an `error`), `data:` the JSON that the
        WebSocket carries, `id:` the position that `Last-Event-ID` resumes from.
        """
        return await self._stream(request, read_query(request.query))

    async def stream_sessions(self, request: web.Request) -> web.StreamResponse:
        """Stream the figures of all sessions that the caller may see.

        Of each that is not STOPPED at once, then of those whose figures have changed, the newest.
        They have no ``seq`` and no `id:`.
        """
        return await self._stream(request, of_all_sessions(read_query(request.query)))

    async def stream_session(self, request: web.Request) -> web.StreamResponse:
        """Stream a session as Server-Sent Events."""
        query = read_query(request.query)
        return await self._stream(request, of_session(query, request.match_info["sessionId"]))

    async def stream_prices(self, request: web.Request) -> web.StreamResponse:
        """Stream prices as Server-Sent Events."""
        return await self._stream(request, of_prices(read_query(request.query)))

    async def explain_connection(self, request: web.Request) -> web.Response:
        """Explain why an open stream gets messages, or does not."""
        connection_id, grant = request.match_info["connectionId"], request[GRANT]
        subject = None if grant.may(Need.ADMINISTER) else grant.subject
        try:
            return json_answer(explained(self._streaming, connection_id, subject))
        except NotFound:
            if self._elsewhere is None:
                raise
            found = await self._elsewhere.explain(connection_id, subject)
            if found is None:
                raise
            return json_answer(found)

    async def list_connections(self, _: web.Request) -> web.Response:
        """List all open streams, with whose each is and where it comes from."""
        found = open_connections(self._streaming)
        if self._elsewhere is not None:
            found += await self._elsewhere.connections()
        return json_answer(ConnectionList(found))

    async def kick_connection(self, request: web.Request) -> web.Response:
        """End a stream for good: its client does not come back by itself."""
        if not self._streaming.rights.are_asked:
            words = "there is no access control: start the server with VYOMO_RT_AUTH_KEY"
            raise Conflict(words, "path")
        detail = await self._kick(request.match_info["connectionId"])
        by = request[GRANT].subject
        self._streaming.rights.note(What.KICK, by, request[CLIENT].shown, detail)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _kick(self, connection_id: str) -> str:
        """End a stream, here or on another node; returns whose it was. Raises NotFound."""
        try:
            return kick(self._streaming, connection_id)
        except NotFound:
            if self._elsewhere is None:
                raise
            kicked = await self._elsewhere.kick(connection_id)
            if kicked is None:
                raise
            return kicked

    async def _stream(self, request: web.Request, query: dict[str, str]) -> web.StreamResponse:
        """Check the whole query first: after a status EventSource does not come back."""
        hub = self._streaming.hub
        asked = stream_query(query, request.headers.get("Last-Event-ID"))
        if asked.prices is not None:
            hub.subscriptions.sort_symbols(None, asked.prices)
        trouble = await self._fetch(asked.session)
        with self._session(None if trouble else asked.session) as session:
            if request.method == hdrs.METH_HEAD:
                return _head()
            # Asked last whether there is room: while the store was read others may have come.
            trouble = (
                trouble
                or await self._prepare(session)
                or no_room(request, self._streaming, self._max_connections)
            )
            await accept_event_stream(request)
            kind = (
                EventStreamConnection
                if request.version >= HttpVersion11
                else RawEventStreamConnection
            )
            connection = kind(
                open_transport(request), request[GRANT], request[CLIENT], self._streaming
            )
            connection.keep_alive = asked.keep_alive
            response = hand_over(request, connection)
            connection.start()
            if connection.closed:
                return response
            if hub.closing:
                hub.dismiss(connection)
            elif trouble is not None:
                connection.reply(error_frame(trouble, None))
                code = CloseCode.TOO_MANY if isinstance(trouble, LimitExceeded) else 0
                connection.close(code, str(trouble))
            else:
                retry_ms = random.randint(_RETRY_FROM_MS, _RETRY_UPTO_MS)  # noqa: S311
                self._streaming.commands.open_stream(
                    connection, session, asked.prices, retry_ms, asked.watch
                )
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

    async def _fetch(self, command: SubscribeSession | None) -> VyomoError | None:
        """What keeps its session from being at hand, but may not on the next try.

        Raises NotFound.
        """
        try:
            if command is not None:
                fetching = self._streaming.hub.topics.fetch(command.session_id, command.since)
                if fetching is not None:
                    await fetching
        except Unavailable as error:
            return error
        return None

    async def _prepare(
        self, session: tuple[SubscribeSession, SessionTopic] | None
    ) -> VyomoError | None:
        """What keeps the stream from starting now, but may not on the next try."""
        try:
            if session is not None:
                await self._streaming.hub.subscriptions.load(*session)
        except Unavailable as error:
            return error
        return None


def no_room(
    request: web.Request, streaming: StreamServer, max_connections: int
) -> LimitExceeded | None:
    """Why no other stream can be opened for this client now."""
    if request[CLIENT].crowded:
        return LimitExceeded(CROWDED)
    if len(streaming.hub.peers) >= max_connections:
        return LimitExceeded("too many connections: try again later")
    return None


async def open_websocket(
    request: web.Request,
    streaming: StreamServer,
    max_connections: int,
    connect: Callable[[asyncio.Transport, Grant, Client, StreamServer], WebSocketConnection],
) -> web.StreamResponse:
    """Accept a handshake, and put the connection that ``connect`` makes in its place.

    Raises BadRequest.
    """
    try:
        headers = accepting(request)
    except WrongVersion as error:
        refusal = problems.answer(error, HTTPStatus.UPGRADE_REQUIRED)
        refusal.headers.update(_SPOKEN_HERE)
        return refusal
    early = await accept_websocket(request, headers)
    connection = connect(open_transport(request), request[GRANT], request[CLIENT], streaming)
    response = hand_over(request, connection)
    full = no_room(request, streaming, max_connections)
    connection.start()
    if connection.closed:
        return response
    if streaming.hub.closing:
        streaming.hub.dismiss(connection)
    elif full is not None:
        connection.close(CloseCode.TOO_MANY, str(full))
    elif early:
        connection.data_received(early)
    return response


def _head() -> web.Response:
    return web.Response(
        content_type="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


def open_connections(streaming: StreamServer) -> list[OpenConnection]:
    """All open streams of this server, the oldest first."""
    found = sorted(streaming.connections, key=lambda connection: connection.opened_at_s)
    return [
        OpenConnection(each.id, each.grant.subject, each.address)
        for each in found
        if not each.closed
    ]


def explained(
    streaming: StreamServer, connection_id: str, subject: str | None
) -> ConnectionDocument:
    """Explains a stream of a subject, or of anybody. Raises NotFound."""
    peer = streaming.hub.find(
        connection_id, lambda peer: subject is None or peer.grant.subject == subject
    )
    return explain(streaming.hub, peer)


def kick(streaming: StreamServer, connection_id: str) -> str:
    """End a stream for good; returns whose it was, in words. Raises NotFound."""
    peer = streaming.hub.find(connection_id)
    peer.close(CloseCode.KICKED, "kicked")
    return f"connection {peer.id} of {peer.grant.subject}"
