"""The HTTP side of a connection: aiohttp's, with our limits."""

from __future__ import annotations

import asyncio

from aiohttp import web

from vyomo_rt.web.admission import Admission

_MAX_LINE_BYTES = 64 * 1024
"""As many symbols as a connection may have fit into an SSE address."""


class HttpConnection(web.RequestHandler):
    """A connection as long as it speaks HTTP."""

    __slots__ = ("_admission",)

    def __init__(self, server: web.Server, admission: Admission) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as its own runner is told
            tcp_keepalive=False,  # streams have their pings, and the rest ends when it is idle
            max_line_size=_MAX_LINE_BYTES,
        )
        self._admission = admission

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._admission.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._admission.leave(self)
        super().connection_lost(exc)
