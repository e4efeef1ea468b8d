"""What watching all sessions costs is measured."""

from __future__ import annotations

import pytest

from lab import overview


def test_a_watcher_of_many_sessions_costs_what_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "_SESSIONS", 400)
    monkeypatch.setattr(overview, "_PEERS", 20)
    monkeypatch.setattr(overview, "_BEATS", 8)
    costs = overview.costs(others_only=False)
    for count in (1, 20):
        none, ten, every = (
            costs[f"{count} watching 400 sessions, {how}"]
            for how in ("none changes", "10 change", "all change")
        )
        assert none < ten < every / 4
