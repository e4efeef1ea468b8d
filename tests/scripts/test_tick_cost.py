"""What a tick costs is measured."""

from __future__ import annotations

import pytest

from lab import ticks


def test_a_tick_is_measured_with_one_source_and_with_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticks, "_TICKS", 500)
    costs = ticks.costs()
    assert [case.partition(" source")[0] for case in costs] == ["one", "two", "two"]
    assert all(cost_us > 0 for cost_us in costs.values())
