"""What requests get while the server loads its sessions."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web
from aiohttp.typedefs import Handler

from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.web.origins import OPEN_PATHS

_WAIT_S = 1.5
"""Most starts are over before anybody notices."""


class Loading:
    """Holds requests that need sessions until these are loaded, or refuses them for now."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    def is_over(self) -> bool:
        """Whether all sessions are loaded."""
        return self._over.is_set()

    def end(self) -> None:
        """All sessions are loaded."""
        self._over.set()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through once it can be answered. Raises Unavailable."""
        if request.path in OPEN_PATHS or await self._is_soon_over():
            return await handler(request)
        if request.path.startswith("/sse/") and request.transport is not None:
            # After a status, EventSource would not come back.
            request.transport.abort()
            raise ConnectionResetError
        raise Unavailable("the server has just started and is still reading its sessions")

    async def _is_soon_over(self) -> bool:
        if not self._over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_WAIT_S):
                    await self._over.wait()
        return self._over.is_set()
