"""The server stops: everybody is told, each to come back at a time of its own, and it is quick."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.kit.frames import raw_websocket, stall
from tests.kit.machine import Strain
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, ServerProcess
from tests.kit.streams import EventStream, Stream, WebSocket, watching

TRIES = 5
EACH = 100
"""Open streams of each transport."""


@pytest.mark.quiet(3)
@pytest.mark.parametrize("stuck", [False, True], ids=["all read", "one does not read"])
async def test_all_open_streams_are_told_and_closed_and_the_process_ends_within_two_seconds(
    server_process: MakeServer, stuck: bool
) -> None:
    """Several tries: other programs may take the cores meanwhile."""
    times_s: list[float] = []
    while not times_s or (min(times_s) >= 2 and len(times_s) < TRIES):
        times_s.append(await end_s(server_process(), stuck=stuck))
    assert min(times_s) < 2, times_s


async def end_s(process: ServerProcess, *, stuck: bool) -> float:
    """How long the process takes to end, with open streams that are all told of it.

    On a busy machine: how long it would take on a quiet one.
    """
    url = await process.start()
    async with AsyncExitStack() as stack:
        rest = Rest(url, await stack.enter_async_context(aiohttp.ClientSession()))
        session_id = await rest.new_session()
        streams: list[Stream] = await asyncio.gather(
            *(
                stack.enter_async_context(
                    watching(transport, url, sessionId=session_id, symbols=["A", f"S{number}"])
                )
                for transport in ("ws", "sse")
                for number in range(EACH)
            )
        )
        if stuck:
            symbols = [f"S{number}" for number in range(300)]
            for symbol in symbols:
                await rest.tick(symbol, 1)
            raw = await stack.enter_async_context(raw_websocket(url, receive_buffer=4096))
            await stall(raw, session_id, symbols)
            for stream in streams:
                await stream.next("price_update")
        await rest.open_trade(session_id)
        for stream in streams:
            await stream.until_seq(1)
        started, strain = time.monotonic(), Strain()
        stopping = asyncio.create_task(process.stop())
        told = await asyncio.gather(*(stream.next("server_shutdown") for stream in streams))
        times = [message["data"]["reconnectAfterMs"] for message in told]
        assert len(set(times)) == len(times)
        assert all(500 <= at_ms <= 5500 for at_ms in times)
        for stream in streams:
            if isinstance(stream, WebSocket):
                assert await stream.closed() == 4001
            elif isinstance(stream, EventStream):
                await stream.ended()
            assert json.loads(stream.texts[-1])["type"] == "server_shutdown", "the last word"
        assert await stopping == 0
        took_s = (time.monotonic() - started) / strain.factor()
    assert not [line for line in process.output if "Traceback" in line]
    return took_s


@pytest.mark.quiet
async def test_a_second_signal_ends_the_process_at_once(
    server_process: MakeServer,
) -> None:
    process = server_process()
    url = await process.start()
    async with AsyncExitStack() as stack:
        rest = Rest(url, await stack.enter_async_context(aiohttp.ClientSession()))
        session_id = await rest.new_session()
        symbols = [f"S{number}" for number in range(300)]
        for symbol in symbols:
            await rest.tick(symbol, 1)
        # Its goodbye takes until it is dropped, so that the first signal alone is slow.
        raw = await stack.enter_async_context(raw_websocket(url, receive_buffer=4096))
        await stall(raw, session_id, symbols)
        stream = await stack.enter_async_context(watching("sse", url, sessionId=session_id))
        stopping = asyncio.create_task(process.stop(signal.SIGINT))
        await stream.next("server_shutdown")
        assert not stopping.done()
        started, strain = time.monotonic(), Strain()
        process.process.send_signal(signal.SIGINT)
        assert await stopping == 130
        assert time.monotonic() - started < 1.5 * strain.factor()


async def test_a_client_that_was_told_finds_the_next_server_and_loses_nothing(
    server_process: MakeServer,
) -> None:
    process = server_process()
    url = await process.start()
    async with aiohttp.ClientSession() as http:
        rest = Rest(url, http)
        session_id = await rest.new_session()
        async with watching("ws", url, sessionId=session_id) as ws:
            await rest.open_trade(session_id)
            await ws.until_seq(1)
            stopping = asyncio.create_task(process.stop())
            await ws.next("server_shutdown")
            assert await stopping == 0
        again = server_process()
        rest = Rest(await again.start(), http)
        await rest.open_trade(session_id)
        async with watching("ws", rest.url, sessionId=session_id, since=1) as ws:
            assert json.loads(ws.texts[0])["result"]["recovered"] is True
            [event] = await ws.until_seq(2)
            assert json.loads(event)["seq"] == 2
