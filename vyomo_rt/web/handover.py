"""Takes an upgraded connection out of aiohttp's hands.

aiohttp does HTTP, routing and the handshake; then the socket gets a slim
protocol of ours and aiohttp forgets the connection: no handler task, no receive
queue, no buffers stay behind for it. This leans on private names of aiohttp,
all of them here; ``tests/web/test_handover.py`` says which one broke.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp_sse import EventSourceResponse

if TYPE_CHECKING:
    from vyomo_rt.web.connection import Connection

_NOTSENT_LOWAT_BYTES = 16 * 1024
_USER_TIMEOUT_MS = 30_000


class RawEventStream(EventSourceResponse):
    """The headers of an SSE response, after which the socket carries raw events.

    The body ends with the connection, so it has neither a length nor chunks.
    """

    _length_check = False

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(headers=headers)
        # Set here because the constructor overwrites what it is given.
        self.headers["Cache-Control"] = "no-cache, no-transform"
        self.headers["Connection"] = "close"


async def accept_websocket(request: web.Request) -> bytes:
    """Answer the handshake; returns what the client sent right behind it.

    Raises HTTPBadRequest if the request is no WebSocket handshake.
    """
    protocol = request.protocol
    early, protocol._message_tail = protocol._message_tail, b""  # noqa: SLF001
    # Compression would cost every message and 100 KB a connection.
    await web.WebSocketResponse(compress=False).prepare(request)
    return early


async def accept_event_stream(request: web.Request, headers: dict[str, str]) -> None:
    """Send the headers of an SSE response. Raises ConnectionResetError if the client has left."""
    open_transport(request)
    response = RawEventStream(headers)
    await response.prepare(request)
    response.stop_streaming()


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
    _tune(transport)
    transport.set_protocol(connection)
    protocol = request.protocol
    protocol.transport = None
    protocol.connection_lost(None)
    if not transport.is_reading():
        transport.resume_reading()
    # aiohttp fails to write this anywhere, and so ends its part of the connection.
    return web.Response()


def _tune(transport: asyncio.Transport) -> None:
    """Make ``pause_writing`` fire after some 16 KB unsent, and lost peers end in half a minute."""
    transport.set_write_buffer_limits(high=1)
    sock = transport.get_extra_info("socket")
    for name, value in (
        ("TCP_NOTSENT_LOWAT", _NOTSENT_LOWAT_BYTES),
        ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MS),
    ):
        if option := getattr(socket, name, None):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
