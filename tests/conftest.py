"""A real server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.kit.rest import Rest
from tests.kit.server import ServerProcess, serve_here
from vyomo_rt.config import Settings


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Rest]:
    """A server in this process that takes ticks."""
    async with serve_here(Settings(port=0, data_dir=tmp_path / "data")) as rest:
        yield rest


@pytest.fixture
async def server_process(
    tmp_path: Path,
) -> AsyncIterator[Callable[..., ServerProcess]]:
    """Makes server processes, all on the test's own data; what still runs is killed at the end."""
    made: list[ServerProcess] = []

    def make(*flags: str, port: int = 0) -> ServerProcess:
        made.append(ServerProcess(tmp_path / "data", *flags, port=port))
        return made[-1]

    yield make
    for process in made:
        if hasattr(process, "process"):
            await process.kill()
