"""How tasks are ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.kit.waiting import PATIENCE_S
from vyomo_rt import ending
from vyomo_rt.ending import end


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def go_on() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    monkeypatch.setattr(ending, "_AGAIN_S", 0.01)
    tasks = [asyncio.create_task(go_on()) for _ in range(2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await end(*tasks)
    assert all(task.cancelled() for task in tasks)
    await end(*tasks)
