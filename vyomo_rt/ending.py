"""Ends tasks, and waits until they have ended."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_S = 1.0


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough. Drivers of the store can lose a cancellation that comes in the same step as
    an answer, as ``asyncio.wait_for`` does before Python 3.12, and a loop would go on for ever.
    """
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=_AGAIN_S)
