"""Which token says who the program is, and where the next one comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from vyomo_rt_client.messages import Refused

TokenSource = str | Callable[[], Awaitable[str]]
"""A token, or what gets one; it gives an empty text if the program is no longer allowed."""


class Tokens:
    """Keeps a token until it ends or is refused. The source is asked for one at a time."""

    def __init__(self, source: TokenSource | None) -> None:
        """Without a source nothing is asked for. Raises ValueError for an empty token."""
        if source == "":
            raise ValueError("token: it is empty; without access control leave it out")
        self._source = source
        self._token = source if isinstance(source, str) else ""
        self._lock = asyncio.Lock()

    @property
    def can_change(self) -> bool:
        """Whether there may be another token later."""
        return self._source is not None and not isinstance(self._source, str)

    async def current(self) -> str:
        """The token in use; empty if none is needed. Raises Refused, and what the source does."""
        async with self._lock:
            if not self._token and self.can_change:
                await self._ask()
            return self._token

    async def renew(self) -> str:
        """Another token before this one ends. Raises Refused, and what the source does."""
        async with self._lock:
            await self._ask()
            return self._token

    async def replace(self, refused: Refused, token: str) -> str:
        """Another token than the one that the server refused.

        Raises that refusal if there is no other, and what the source does.
        """
        async with self._lock:
            if self._token == token and self.can_change:
                await self._ask()
            if self._token == token:
                raise refused
            return self._token

    async def _ask(self) -> None:
        assert callable(self._source)
        token = await self._source()
        if not token:
            raise Refused("no longer allowed: there is no token", code="unauthorized", status=401)
        self._token = token
