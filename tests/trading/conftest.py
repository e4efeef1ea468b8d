"""A bench for each test, all on one embedded server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.trading.bench import Bench, new_bench
from vyomo_rt.trading import births, ledger, loading


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once what the store has not answered."""
    monkeypatch.setattr(ledger, "_FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(ledger, "_LAST_RETRY_S", 0.05)
    monkeypatch.setattr(births, "_SETTLE_S", 0.02)
    monkeypatch.setattr(loading, "_PATIENCE_S", 0)


@pytest.fixture
async def bench(embedded_uri: str) -> AsyncIterator[Bench]:
    """A desk on an empty database."""
    async with new_bench(embedded_uri) as bench:
        yield bench
