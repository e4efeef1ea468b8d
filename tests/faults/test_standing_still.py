"""A server that stood still for longer than its lease, as a real process."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import datetime
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from lab.site import skewed
from tests.kit import short_lease
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, ServerProcess
from tests.kit.store import new_database
from tests.kit.waiting import until

PROGRAM = (sys.executable, str(Path(short_lease.__file__)))


async def test_a_server_that_wakes_up_after_another_took_over_carries_out_nothing_that_waited(
    server_process: MakeServer, embedded_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    flags = ("--mongo-uri", new_database(embedded_uri))
    first = server_process(*flags, program=PROGRAM)
    second = server_process(*flags, program=PROGRAM)
    async with aiohttp.ClientSession() as http:
        rest = Rest(await first.start(), http)
        session_id = await rest.new_session()
        first.process.send_signal(signal.SIGSTOP)
        # As if it were on a machine of its own, where nobody can see that it is only stopped.
        order = {"symbol": "NIFTY", "quantity": 10, "entryPrice": 100, "stopLoss": 99}
        path = f"/sessions/{session_id}/trades"
        opening = asyncio.create_task(rest.call("POST", path, order, Idempotency_Key="key"))
        other = Rest(await second.start(), http)
        first.process.send_signal(signal.SIGCONT)
        status, problem = await opening
        assert (status, problem["code"]) == (503, "unavailable")
        await until(lambda: first.process.returncode is not None)
        assert first.process.returncode == 1
        await first.logged("taken this database over")

        _, session = await other.call("GET", f"/sessions/{session_id}")
        assert (session["seq"], session["openTrades"]) == (0, 0)
        status, trade = await other.call("POST", path, order, Idempotency_Key="key")
        assert status == 201
        await other.tick("NIFTY", 90)

        async def is_stopped() -> bool:
            _, closed = await other.call("GET", f"/trades/{trade['tradeId']}")
            return bool(closed["exitReason"] == "SL")

        await until(is_stopped)
    assert "Traceback" not in "".join(first.output + second.output)


async def test_a_server_that_stood_still_alone_goes_on(
    server_process: MakeServer, embedded_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    server = server_process("--mongo-uri", new_database(embedded_uri), program=PROGRAM)
    async with aiohttp.ClientSession() as http:
        rest = Rest(await server.start(), http)
        session_id = await rest.new_session()
        server.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(short_lease.LEASE_S)
        server.process.send_signal(signal.SIGCONT)

        async def is_opened() -> bool:
            order = {"symbol": "NIFTY", "quantity": 10, "entryPrice": 100}
            status, _ = await rest.call("POST", f"/sessions/{session_id}/trades", order)
            return status == 201

        await until(is_opened)


@pytest.mark.slow(25)
async def test_servers_whose_clocks_differ_rob_nobody_and_replace_the_dead_in_time(
    server_process: MakeServer, embedded_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By seconds and by an hour, all at one time, because this is mostly waiting."""
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    async with asyncio.TaskGroup() as group:
        for offset_s in (-3600, -20, 20, 3600):
            uri = new_database(embedded_uri)
            group.create_task(
                replace_a_dead_one(partial(server_process, "--mongo-uri", uri), offset_s)
            )


async def replace_a_dead_one(make: MakeServer, offset_s: int) -> None:
    """Each in a process-number namespace of its own, as on another machine."""
    apart = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable)
    first = make(program=(*apart, "-m", "vyomo_rt"))
    await first.start()
    shifted = (*apart, str(Path(skewed.__file__)), str(offset_s))

    refused = make(program=shifted)
    with pytest.raises(AssertionError, match="another server writes to this database"):
        await refused.start()
    assert await refused.process.wait() == 1
    assert first.process.returncode is None

    await first.kill()
    second = make(program=shifted)
    await second.start()
    waits_at, takes_at = [
        await _logged_at(second, words) for words in ("waiting to see", "taking its place")
    ]
    assert 15 <= takes_at - waits_at <= 16.5


async def _logged_at(server: ServerProcess, words: str) -> float:
    """The moment of a line in the server's log, on its own clock."""
    line = await server.logged(words)
    return datetime.fromisoformat(line.split()[0]).timestamp()
