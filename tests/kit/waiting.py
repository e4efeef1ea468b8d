"""Waiting for a condition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE_S = 20.0
"""For what should come at once: on a machine that is busy, only a failure takes so long."""


async def until(condition: Callable[[], Any | Awaitable[Any]], within_s: float = PATIENCE_S) -> Any:
    """Wait until a condition holds, and return what it returned."""
    async with asyncio.timeout(within_s):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
            await asyncio.sleep(0.01)
