"""Requests of other nodes that come again, because an answer was late or the bus doubled them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_KNOWN_S = 60.0


class Once(Generic[T]):
    """Does what is asked once, however often a request comes; for a minute it knows the outcome."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, asyncio.Task[T]]] = {}

    async def outcome(self, request_id: str, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What came of a request, which begins now unless it is known."""
        now_s = asyncio.get_running_loop().time()
        for known_id, (at_s, _) in list(self._known.items()):
            if at_s > now_s - _KNOWN_S:
                break
            del self._known[known_id]
        if request_id not in self._known:
            self._known[request_id] = now_s, asyncio.create_task(begin())
        return await asyncio.shield(self._known[request_id][1])

    def forget(self, request_id: str) -> None:
        """It has done nothing: when it comes again, it begins anew."""
        self._known.pop(request_id, None)
