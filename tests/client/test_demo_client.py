"""``scripts/demo_client.py``, as its user runs it."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from tests.kit.rest import Rest
from tests.kit.waiting import PATIENCE_S

SCRIPT = Path(__file__).parents[2] / "scripts" / "demo_client.py"

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def run(*arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "default", SCRIPT, *arguments, stdout=PIPE, stderr=PIPE
    )


async def line(process: Process, error: bool = False) -> str:
    stream = process.stderr if error else process.stdout
    assert stream is not None
    async with asyncio.timeout(PATIENCE_S):
        return (await stream.readline()).decode().rstrip("\n")


async def test_it_shows_what_moves_and_ends_quietly_with_ctrl_c(server: Rest) -> None:
    session_id = await server.new_session()
    await server.tick("NIFTY", 22150.5)
    process = await run(server.url, "--session", str(session_id), "--symbols", "NIFTY,")
    assert await line(process) == "today +0.00, open +0.00"
    assert await line(process) == "NIFTY           22,150.50"
    trade = await server.open_trade(session_id)
    await server.close_trade(trade["tradeId"], 196.3)
    shown: list[str] = []
    while "closed BANKNIFTY: +52.50 (MANUAL)" not in shown:
        shown.append(await line(process))
    assert "opened BUY 50 BANKNIFTY" in shown
    process.send_signal(signal.SIGINT)
    _, complaints = await process.communicate()
    assert process.returncode == 0
    assert [text.split()[1] for text in complaints.decode().splitlines()] == [
        "connecting",
        "open",
        "closed",
    ]


async def test_it_says_what_to_do_where_no_server_is(unused_tcp_port: int) -> None:
    process = await run(f"http://localhost:{unused_tcp_port}")
    while "waiting" not in (text := await line(process, error=True)):
        pass
    assert f"no server answers at localhost:{unused_tcp_port}; is it running (make run)?" in text
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 0


async def test_a_refusal_is_its_last_line(server: Rest) -> None:
    process = await run(server.url, "--session", "999999999")
    _, complaints = await process.communicate()
    assert process.returncode == 1
    assert complaints.decode().splitlines()[-1] == "demo_client: session 999999999 not found"
