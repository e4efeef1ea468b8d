"""An event loop whose time passes only when everybody waits: hours in milliseconds, no luck."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

START_S = 5000.0
_INSTANT_S = 1e-9
"""Even a turn takes some time, or who waits for a moment that rounding puts off spins for ever."""


class _Skipping(selectors.DefaultSelector):
    """Where the loop would wait, its clock is put forward instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits and nobody will ever wake them")
        self.loop.now_s += max(_INSTANT_S, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own; ``time`` is what it has slept, not what has passed."""

    def __init__(self) -> None:
        selector = _Skipping()
        selector.loop = self
        self.now_s = START_S
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s


def virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def turns(count: int) -> None:
    """Let the loop run as often; hardly any time passes."""
    for _ in range(count):
        await asyncio.sleep(0)
