"""``serve --take-over``: a database goes from one living server to another."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeServer
from tests.kit.waiting import PATIENCE_S, until
from tests.kit.writers import Writer, assert_told_once, everybody_writes, raw_history
from vyomo_rt.store.embedded import EmbeddedServer


async def test_while_everybody_writes_nothing_is_lost_or_doubled_and_the_loser_stops(
    server_process: MakeServer, tmp_path: Path
) -> None:
    mongodb = EmbeddedServer(tmp_path / "mongodb")
    flags = ("--mongo-uri", await mongodb.start())
    first, second = server_process(*flags), server_process(*flags, "--take-over")
    done = asyncio.Event()
    try:
        async with aiohttp.ClientSession() as http:
            rest = Rest(await first.start(), http)
            sessions = [await rest.new_session() for _ in range(2)]
            writers = [Writer(n, rest, sessions[n % 2], done) for n in range(4)]
            writing = [asyncio.create_task(writer.run()) for writer in writers]
            await everybody_writes(writers)

            began = time.monotonic()
            rest.url = await second.start()  # whose writes all come after the first one's last
            assert time.monotonic() - began < 15
            await until(lambda: first.process.returncode is not None)
            assert first.process.returncode == 1
            await everybody_writes(writers)
            done.set()
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*writing)
            for session_id in sessions:
                history = await raw_history(rest, session_id)
                await assert_told_once(rest, session_id, history, writers)
        assert await second.stop() == 0
    finally:
        done.set()
        await mongodb.stop()

    lost = [line for line in first.output if "taken this database over" in line]
    assert len(lost) == 1, first.output
    assert f"process {second.process.pid} on" in lost[0]
    taken = [line for line in second.output if "taking the database over from" in line]
    assert len(taken) == 1
    assert f"process {first.process.pid} on" in taken[0]
    assert any("has stopped" in line for line in second.output)
    assert not any("was not written by this server" in line for line in second.output)
    assert "Traceback" not in "".join(first.output + second.output)


async def test_the_embedded_store_cannot_be_taken_over(server_process: MakeServer) -> None:
    server = server_process("--take-over")
    with pytest.raises(AssertionError, match="--take-over: only a MongoDB"):
        await server.start()
    assert await server.process.wait() == 2
