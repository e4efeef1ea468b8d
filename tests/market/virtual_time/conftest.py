"""The tests of this folder run in virtual time: hours of it take milliseconds."""

from __future__ import annotations

import pytest

from tests.stream.virtual import VirtualLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, type[VirtualLoop]]:
    del config, item
    return {"virtual": VirtualLoop}
