"""Starting and stopping the real process: what it says, how it exits, what it leaves."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import pytest

from lab.site.machine import children_of
from tests.kit.machine import Strain
from tests.kit.rest import Rest
from tests.kit.server import START_S, MakeServer, ServerProcess
from tests.kit.waiting import until
from vyomo_rt.store.embedded import EmbeddedServer


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def refusal(*flags: str, exit_code: int = 1) -> str:
    """The one line that a server says which does not start."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vyomo_rt", "serve", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(START_S):
            out, err = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    lines = err.decode().splitlines()
    assert (process.returncode, out) == (exit_code, b""), lines
    said = [line for line in lines if line.startswith("vyomo-rt: ")]
    logged = [line for line in lines if " INFO " in line or " WARNING " in line]
    assert len(said) == 1, lines
    assert said + logged == lines[-1:] + lines[:-1], lines
    return said[0].removeprefix("vyomo-rt: ")


# --- a server that cannot start


async def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = await refusal("--port", str(port), "--data-dir", str(tmp_path / "data"))
    assert f"port {port}" in said
    assert "in use" in said
    assert not (tmp_path / "data").exists(), "it looked at the port first"


async def test_of_two_servers_started_at_once_on_one_port_one_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    servers = [ServerProcess(tmp_path / name, port=port) for name in ("one", "other")]
    outcomes = await asyncio.gather(*(each.start() for each in servers), return_exceptions=True)
    refusals = [str(outcome) for outcome in outcomes if isinstance(outcome, AssertionError)]
    for server, outcome in zip(servers, outcomes, strict=True):
        if isinstance(outcome, str):
            await server.stop()
    assert len(refusals) == 1, outcomes
    assert re.fullmatch(rf"vyomo-rt: port {port} .* in use.*\n", refusals[0]), refusals


async def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "data"):
        said = await refusal("--port", "0", "--data-dir", str(folder))
        assert f"data folder {folder}" in said


async def test_a_mongodb_that_cannot_be_reached_or_has_no_usable_uri_is_named_in_seconds() -> None:
    """Within seconds: of both the program must be started, and of one the driver waits."""
    began = time.monotonic()
    said = await refusal("--port", "0", "--mongo-uri", "mongodb://127.0.0.1:99999/")
    assert "VYOMO_RT_MONGO_URI" in said
    to_start_s = time.monotonic() - began
    said = await refusal("--port", "0", "--mongo-uri", "mongodb://user:s3cret@127.0.0.1:1/db")
    assert time.monotonic() - began < 5 + 4 * to_start_s
    assert "127.0.0.1:1" in said
    assert "s3cret" not in said


async def test_a_second_server_on_the_same_data_is_refused_and_the_first_goes_on(
    server_process: MakeServer, tmp_path: Path
) -> None:
    first = server_process()
    await first.start()
    said = await refusal("--port", "0", "--data-dir", str(tmp_path / "data"))
    assert "another server" in said
    assert str(tmp_path / "data") in said
    async with aiohttp.ClientSession() as http, http.get(f"{first.url}/readyz") as response:
        assert response.status == 200


async def test_a_second_server_on_the_same_mongodb_is_refused_and_the_first_goes_on(
    server_process: MakeServer, tmp_path: Path
) -> None:
    mongodb = EmbeddedServer(tmp_path / "mongodb")
    uri = await mongodb.start()
    try:
        first = server_process("--mongo-uri", uri)
        await first.start()
        said = await refusal("--port", "0", "--mongo-uri", uri)
        assert "another server" in said
        assert f"process {first.process.pid}" in said
        await first.kill()
        second = server_process("--mongo-uri", uri)
        await second.start()
        assert not any("waiting to see" in line for line in second.output), "after a crash"
        assert await second.stop() == 0
    finally:
        await mongodb.stop()


async def test_an_open_address_needs_to_be_allowed(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    said = await refusal("--host", "0.0.0.0", "--port", "0", "--data-dir", data, exit_code=2)
    assert "--allow-open" in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["203.0.113.1", "nowhere.invalid"])
async def test_an_address_that_is_not_of_this_machine_is_named(host: str, tmp_path: Path) -> None:
    flags = ("--host", host, "--allow-open", "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert f"cannot listen on {host}" in await refusal(*flags)


# --- the end


@asynccontextmanager
async def streaming(url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A client that watches a session's prices."""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/ws/auto-trader") as peer:
        await peer.send_json({"type": "subscribe_prices", "symbols": ["NIFTY"], "id": 1})
        assert (await peer.receive_json())["type"] == "ack"
        yield peer


@pytest.mark.quiet(2)
@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_in_under_two_seconds_tells_its_clients_and_leaves_no_process(
    server_process: MakeServer, signal_: int
) -> None:
    server = server_process()
    await server.start()
    (child,) = children_of(server.process.pid)
    async with streaming(server.url) as peer:
        began, strain = time.monotonic(), Strain()
        ending = asyncio.create_task(server.stop(signal_))
        messages: list[Any] = [message async for message in peer]
        assert '"server_shutdown"' in messages[-1].data
        assert peer.close_code == 4001
        assert await ending == 0
    assert time.monotonic() - began < 2 * strain.factor()
    assert not is_running(child)
    assert "Traceback" not in "".join(server.output)


async def test_a_second_ctrl_c_ends_it_at_once(server_process: MakeServer) -> None:
    server = server_process()
    await server.start()
    (child,) = children_of(server.process.pid)
    os.kill(child, signal.SIGSTOP)  # the last write keeps the first Ctrl-C waiting
    try:
        server.process.send_signal(signal.SIGINT)
        await until(lambda: any("stopping" in line for line in server.output))
        server.process.send_signal(signal.SIGINT)
        # Not by wait(), which also waits for the child that holds the other end of the output.
        await until(lambda: server.process.returncode is not None)
        assert server.process.returncode == 130, "a first one that ends it leaves 0"
    finally:
        os.kill(child, signal.SIGCONT)
    await until(lambda: not is_running(child))


# --- what an operator's probes see


async def test_it_is_not_ready_while_its_store_is_frozen_but_alive_all_the_same(
    server_process: MakeServer,
) -> None:
    server = server_process()
    await server.start()
    (child,) = children_of(server.process.pid)
    async with aiohttp.ClientSession(server.url) as http:
        took_s = []

        async def probe(path: str) -> tuple[int, Any]:
            began = time.monotonic()
            async with http.get(path) as response:
                document = await response.json()
            took_s.append(time.monotonic() - began)
            return response.status, document

        async def ready() -> bool:
            return (await probe("/readyz"))[0] == 200

        async def not_ready() -> bool:
            return not await ready()

        status, document = await probe("/readyz")
        assert (status, document["status"], document["store"]) == (200, "ok", "ok")
        os.kill(child, signal.SIGSTOP)
        try:
            await until(not_ready)
            status, document = await probe("/readyz")
            assert (status, document["store"]) == (503, "unavailable")
            assert (await probe("/livez"))[0] == 200
        finally:
            os.kill(child, signal.SIGCONT)
        await until(ready)
    assert median(took_s) < 1, "a probe answers at once"


async def test_simulated_prices_are_fresh_from_the_first_request_on(
    server_process: MakeServer,
) -> None:
    """Also after a restart, when the prices that were kept are stale."""
    for _ in range(2):
        server = server_process("--feed", "sim")
        url = await server.start()
        async with aiohttp.ClientSession() as http:
            rest = Rest(url, http)
            _, answer = await rest.call("GET", "/prices")
            assert len(answer["prices"]) > 10
            assert not any(price["stale"] for price in answer["prices"])
        await server.stop()


async def test_a_terminal_that_closes_stops_it_as_well(server_process: MakeServer) -> None:
    server = server_process()
    await server.start()
    assert await server.stop(signal.SIGHUP) == 0
    assert "stopped" in server.output[-1]
