"""A feed that failed is begun anew at once."""

from __future__ import annotations

import pytest

from vyomo_rt.market import supervisor


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervisor, "_LONGEST_PAUSE_S", 0.05)
