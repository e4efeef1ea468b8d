"""Takes an upgraded connection out of aiohttp's hands.

aiohttp does HTTP, routing and the handshake; then the socket gets a slim
protocol of ours and aiohttp forgets the connection: no handler task, no receive
queue, no buffers stay behind for it. This leans on private names of aiohttp,
all of them here; ``tests/web/test_handover.py`` says which one broke.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from aiohttp import HttpVersion, HttpVersion11, web
from aiohttp_sse import EventSourceResponse

if TYPE_CHECKING:
    from vyomo_rt.web.connection import Connection


class EventStreamHead(EventSourceResponse):
    """The headers of an SSE response; after them the socket is written to without aiohttp.

    The body is chunked. HTTP/1.0 has no chunks: there the body ends with the connection.
    """

    # Otherwise aiohttp would cut what follows into its own chunks.
    _length_check = False

    def __init__(self, version: HttpVersion) -> None:
        # Without a time limit of its own: that of `listening` holds.
        super().__init__(send_timeout=None)
        # Set here because the constructor overwrites what it is given.
        self.headers["Cache-Control"] = "no-cache, no-transform"
        self.headers["Connection"] = "close"
        if version >= HttpVersion11:
            self.headers["Transfer-Encoding"] = "chunked"


class _HandedOver(web.Response):
    """Tells aiohttp to end its part of a connection, as if it was lost before the answer."""

    async def prepare(self, _request: web.BaseRequest) -> NoReturn:
        raise ConnectionResetError("the connection is no longer aiohttp's")


async def accept_websocket(request: web.Request, headers: dict[str, str]) -> bytes:
    """Answer the handshake with these headers; returns what the client sent right after it.

    Raises ConnectionResetError if the client has left.
    """
    open_transport(request)
    protocol = request.protocol
    early, protocol._message_tail = protocol._message_tail, b""  # noqa: SLF001
    response = web.StreamResponse(status=HTTPStatus.SWITCHING_PROTOCOLS, headers=headers)
    await response.prepare(request)
    return early


async def accept_event_stream(request: web.Request) -> None:
    """Send the headers of an SSE response. Raises ConnectionResetError if the client has left."""
    open_transport(request)
    response = EventStreamHead(request.version)
    await response.prepare(request)
    response.stop_streaming()
    # The cancelled task refers to the response, and so to everything aiohttp had of the connection.
    response._ping_task = None  # noqa: SLF001


def open_transport(request: web.Request) -> asyncio.Transport:
    """The connection's transport. Raises ConnectionResetError if the client has left."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client left during the handshake")
    return transport


def hand_over(request: web.Request, connection: Connection) -> web.Response:
    """Put the connection's protocol in aiohttp's place; return the result from the handler.

    No await may lie between the accepted handshake and this call: bytes that
    arrive in between would go to aiohttp.
    """
    transport = open_transport(request)
    # With the little that the kernel takes unsent: `pause_writing` fires early.
    transport.set_write_buffer_limits(high=1)
    transport.set_protocol(connection)
    protocol = request.protocol
    protocol.transport = None
    protocol.connection_lost(None)
    if not transport.is_reading():
        transport.resume_reading()
    return _HandedOver()
