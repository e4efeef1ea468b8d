"""What the console costs a browser is measured, and its memory does not grow with messages."""

from __future__ import annotations

import pytest

from lab.console import Load, measure
from tests.kit.machine import program


@pytest.mark.slow
async def test_the_consoles_memory_is_flat_while_prices_and_pnl_come_ten_times_a_second() -> None:
    program("chromium-headless-shell", "chromium")
    # So few symbols that the points of their lines, which fill for two minutes, weigh nothing.
    cost = await measure(Load(symbols=20, positions=10, settle_s=15, watch_s=45), samples=4)
    assert abs(cost.growth_percent) < 5
    assert cost.first_ms > 0
    assert len(cost.frames_ms) > 45
    assert 0 < cost.busy_percent < 50
