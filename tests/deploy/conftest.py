"""Each proxy of docs/deploy.md, started once for a file of tests, and how to get through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.deploy.proxies import (
    PROXIES,
    RECIPES_TIMEOUT_S,
    Proxy,
    Site,
    free_port,
    recipe,
)


@pytest.fixture(scope="module")
def server_port() -> int:
    """Where all proxies of a file look for the server."""
    return free_port()


@pytest.fixture(scope="module")
def timeout_s() -> float:
    """How long a file's proxies wait for a server that says nothing."""
    return RECIPES_TIMEOUT_S


@pytest.fixture(scope="module")
def start_proxy(
    server_port: int, timeout_s: float, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Proxy]]:
    """Starts a proxy unless it runs already."""
    started: dict[str, Proxy] = {}

    def start(name: str) -> Proxy:
        if name not in started:
            folder = tmp_path_factory.mktemp(name)
            site = Site(folder, free_port(), server_port, timeout_s=timeout_s)
            started[name] = Proxy(name, site)
        return started[name]

    yield start
    for proxy in started.values():
        proxy.stop()


@pytest.fixture(scope="module")
def proxies(start_proxy: Callable[[str], Proxy]) -> list[Proxy]:
    """All of them."""
    return [start_proxy(name) for name in PROXIES]


@pytest.fixture(scope="module")
def settings_behind_a_proxy() -> Iterator[None]:
    """As docs/deploy.md sets them."""
    with pytest.MonkeyPatch.context() as environ:
        for line in recipe("ini", {}, "env").splitlines():
            environ.setenv(*line.split("=", 1))
        yield
