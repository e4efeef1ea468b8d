"""A start with a store that is far away: how long it takes, and what goes on meanwhile."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote

import aiohttp
import pytest

from tests.kit import short_lease
from tests.kit.history import make_store
from tests.kit.proxy import Proxy, proxy_before
from tests.kit.server import MakeServer, ServerProcess
from tests.kit.store import new_database
from tests.kit.waiting import until
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.opening import owned_store

SESSIONS = 1000
WAY_S = 0.01
MOST_S = 3.0
TRIES = 3
MOST_ROUNDS = 60
"""Round trips one after the other: sessions are read by the hundred, and several reads at once."""

SLOW_WAY_S = 0.1
"""So that a start takes as long as one of very many sessions, and no operation too long."""
ENDED_WITHIN_S = 3.0
"""Two answers of the store and the end of a process, beside twice what its start took."""


@asynccontextmanager
async def far_database(embedded_uri: str) -> AsyncIterator[tuple[Proxy, str, str]]:
    """An empty database: the proxy before it, its address through that, and directly."""
    uri = new_database(embedded_uri)
    path, _, name = uri.removeprefix("mongodb://").partition("/")
    async with proxy_before(unquote(path)) as proxy:
        yield proxy, f"mongodb://127.0.0.1:{proxy.port}/{name}?directConnection=true", uri


async def is_loading(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as ready:
            return ready.status == 503 and "loading" in json.dumps(await ready.json())
    except aiohttp.ClientConnectionError:
        return False


async def start_s(server: ServerProcess) -> float:
    """From the start of the process to its readiness."""
    began = time.monotonic()
    url = await server.start()
    async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as ready:
        took_s = time.monotonic() - began
        assert ready.status == 200
    await server.logged(f"{SESSIONS} sessions")
    await server.stop()
    return took_s


@pytest.mark.quiet(4)
@pytest.mark.timeout(180)
async def test_a_thousand_sessions_twenty_milliseconds_away_are_read_in_three_seconds(
    server_process: MakeServer, tmp_path: Path
) -> None:
    await make_store(tmp_path / "store", 1, sessions=SESSIONS)
    store = EmbeddedServer(tmp_path / "store")
    uri = await store.start()
    took: dict[float, list[float]] = {0: [], WAY_S: []}
    try:
        async with proxy_before(unquote(uri.removeprefix("mongodb://").rstrip("/"))) as proxy:
            through = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
            for _ in range(TRIES):
                for way_s, times_s in took.items():
                    proxy.delay(way_s)
                    times_s.append(await start_s(server_process("--mongo-uri", through)))
                if min(took[WAY_S]) < MOST_S:
                    break
    finally:
        await store.stop()
    near_s, far_s = min(took[0]), min(took[WAY_S])
    print(f"near {near_s:.1f} s, far {far_s:.1f} s")
    assert far_s < MOST_S or far_s - near_s < MOST_ROUNDS * 2 * WAY_S, took


@pytest.mark.quiet(6)
async def test_while_a_server_loads_its_lease_is_kept_and_readyz_says_so(
    server_process: MakeServer, embedded_uri: str
) -> None:
    """A second server that comes meanwhile is refused, however long it takes."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with far_database(embedded_uri) as (proxy, through, directly):
        proxy.delay(SLOW_WAY_S)
        program = (sys.executable, short_lease.__file__)
        server = server_process("--mongo-uri", through, port=port, program=program)
        starting = asyncio.create_task(server.start())
        await until(lambda: is_loading(f"http://127.0.0.1:{port}"))
        began, refused_s = time.monotonic(), 0.0
        while not starting.done():
            with pytest.raises(CannotStart, match="another server writes"):
                async with owned_store(Settings(mongo_uri=directly)):
                    pass
            refused_s = time.monotonic() - began
        await starting
        assert refused_s > short_lease.LEASE_S, "all the time, which is longer than its lease"
        proxy.mend()
        await server.stop()


@pytest.mark.quiet(2)
async def test_sigterm_ends_a_start_that_is_loading_at_once(
    server_process: MakeServer, embedded_uri: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with far_database(embedded_uri) as (proxy, through, _):
        proxy.delay(SLOW_WAY_S)
        server = server_process("--mongo-uri", through, port=port)
        began = time.monotonic()
        starting = asyncio.create_task(server.start())
        await until(lambda: is_loading(f"http://127.0.0.1:{port}"))
        most_s = ENDED_WITHIN_S + 2 * (time.monotonic() - began)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0
        assert time.monotonic() - began < most_s
        with pytest.raises(AssertionError):
            await starting
        assert not any("listening" in line for line in server.output), "it was loading still"
