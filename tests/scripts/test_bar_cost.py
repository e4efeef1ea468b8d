"""What bars cost is measured."""

from __future__ import annotations

import pytest

from lab import bars


async def test_bars_are_measured_in_memory_and_in_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "_PRICES", 500)
    monkeypatch.setattr(bars, "_MINUTES", 1)
    costs = await bars.costs(symbols=20)
    assert all(cost > 0 for cost in costs)
