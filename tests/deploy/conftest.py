"""Each proxy of docs/deploy.md, started once for a file of tests, and how to get through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.deploy.proxies import KEEP_ALIVE_S, PROXIES, Proxy, Site, free_port, recipe


@pytest.fixture(scope="module")
def server_port() -> int:
    """Where all proxies of a file look for the server."""
    return free_port()


@pytest.fixture(scope="module")
def start_proxy(
    server_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Proxy]]:
    """Starts a proxy unless it runs already."""
    started: dict[str, Proxy] = {}

    def start(name: str) -> Proxy:
        if name not in started:
            site = Site(tmp_path_factory.mktemp(name), free_port(), server_port)
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
    """As docs/deploy.md sets them, with quick keep-alives."""
    with pytest.MonkeyPatch.context() as environ:
        for line in recipe("ini", {}, "env").splitlines():
            environ.setenv(*line.split("=", 1))
        environ.setenv("VYOMO_RT_SSE_KEEP_ALIVE_S", str(KEEP_ALIVE_S))
        environ.setenv("VYOMO_RT_PING_INTERVAL_S", str(KEEP_ALIVE_S))
        environ.setenv("VYOMO_RT_PONG_TIMEOUT_S", str(0.9 * KEEP_ALIVE_S))
        yield
