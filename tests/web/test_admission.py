"""Sockets that say nothing: they are counted and ended, and those that speak have room."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.kit.frames import raw_socket
from tests.kit.machine import cpu_ms, program
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, ServerProcess, serve_here
from tests.kit.streams import watching
from tests.kit.waiting import until
from vyomo_rt.app import server as server_module
from vyomo_rt.clockwork import Clockwork
from vyomo_rt.domain.limits import Pace
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.web import listening
from vyomo_rt.web.addresses import Addresses
from vyomo_rt.web.admission import Admission
from vyomo_rt.web.listening import Acceptor, FileLimits

TICKS = "/api/auto-trader/ticks"
UNFINISHED = {
    "nothing": b"",
    "half a line": b"GET /livez HT",
    "half a head": b"GET /livez HTTP/1.1\r\nHost: localhost\r\n",
}
HALF_A_BODY = f"POST {TICKS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n[".encode()
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
async def test_a_connection_without_a_whole_request_is_ended_in_time(
    make_settings: MakeSettings, sent: bytes
) -> None:
    async with (
        serve_here(make_settings(request_timeout_s=0.4)) as server,
        watching("ws", server.url, symbols=["A"]) as stream,
        raw_socket(server.url) as silent,
    ):
        await silent.send(sent)
        assert await silent.rest() == b""
        await server.tick("A", 1)
        await stream.next("price_update")


async def test_a_body_that_does_not_come_is_answered_by_408_and_the_end(
    make_settings: MakeSettings,
) -> None:
    async with serve_here(make_settings(request_timeout_s=0.4)) as server:
        for before in (b"", LIVEZ):
            async with raw_socket(server.url) as silent:
                if before:
                    await silent.send(before)
                    assert (await silent.answer())[0] == 200
                await silent.send(HALF_A_BODY)
                status, problem = await silent.answer()
                assert (status, problem["code"]) == (408, "bad_request")
                assert problem["detail"] == "the body did not come within 0.4 s"
                assert await silent.rest() == b""


async def test_an_idle_connection_is_ended_later_and_one_in_use_is_not(
    make_settings: MakeSettings,
) -> None:
    async with (
        serve_here(make_settings(request_timeout_s=0.2, idle_timeout_s=1)) as server,
        raw_socket(server.url) as idle,
        raw_socket(server.url) as used,
    ):
        for raw in (idle, used):
            await raw.send(LIVEZ)
            assert (await raw.answer())[0] == 200
        ended = asyncio.create_task(idle.rest())
        while not ended.done():
            await used.send(LIVEZ)
            assert (await used.answer())[0] == 200
            await asyncio.sleep(0.05)
        assert await ended == b""


async def test_what_waited_in_the_socket_while_the_server_stood_still_is_answered(
    server_process: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VYOMO_RT_REQUEST_TIMEOUT_S", "1")
    process = server_process()
    url = await process.start()
    async with raw_socket(url) as raw:
        await raw.send(LIVEZ[:20])
        process.process.send_signal(signal.SIGSTOP)
        try:
            await raw.send(LIVEZ[20:])
            await asyncio.sleep(2)
        finally:
            process.process.send_signal(signal.SIGCONT)
        assert (await raw.answer())[0] == 200


async def test_the_longest_idle_connection_makes_room_for_a_new_one(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limited(monkeypatch, sockets=4, streams=2)
    async with serve_here(make_settings()) as server, AsyncExitStack() as stack:
        stream = await stack.enter_async_context(watching("ws", server.url, symbols=["A"]))
        first, second, third = [
            await stack.enter_async_context(raw_socket(server.url)) for _ in range(3)
        ]
        for raw in (second, first, third):
            await raw.send(LIVEZ)
            assert (await raw.answer())[0] == 200
        async with raw_socket(server.url) as newcomer:
            await newcomer.send(LIVEZ)
            assert (await newcomer.answer())[0] == 200
            assert await second.rest() == b"", "the first to be answered"
        for raw in (first, third):
            await raw.send(LIVEZ)
            assert (await raw.answer())[0] == 200
        await server.tick("A", 1)
        await stream.next("price_update")
    assert "no file left" not in caplog.text


async def test_a_body_that_does_not_come_makes_room_too_without_a_word_in_the_log(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limited(monkeypatch, sockets=2, streams=1)
    async with serve_here(make_settings()) as server, AsyncExitStack() as stack:
        halves = [await stack.enter_async_context(raw_socket(server.url)) for _ in range(2)]
        for raw in halves:
            await raw.send(HALF_A_BODY)
        await until(lambda: answers(server.url))
        assert await halves[0].rest() == b""
    assert not caplog.records


async def answers(url: str) -> bool:
    """Whether a new connection is served."""
    async with raw_socket(url) as raw:
        with suppress(EOFError, ConnectionError):
            await raw.send(LIVEZ)
            return (await raw.answer())[0] == 200
    return False


async def test_where_all_are_served_a_newcomer_is_dropped_and_the_log_says_why_once(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limited(monkeypatch, sockets=2, streams=2)
    async with serve_here(make_settings()) as server, AsyncExitStack() as stack:
        for transport in ("ws", "sse"):
            await stack.enter_async_context(watching(transport, server.url, symbols=["A"]))
        for _ in range(20):
            async with raw_socket(server.url) as newcomer:
                assert await newcomer.rest() == b""
        [warning] = [text for text in caplog.messages if "no file left" in text]
        assert warning == "no file left for new connections (limit 256)"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_newcomer_is_dropped_on_either_loop(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    def no_room() -> web.RequestHandler:
        raise AssertionError("it was let in")

    async def story() -> None:
        full = Admission(
            Clockwork(lambda: MarketMs(0)),
            FileLimits(256, 0, 0),
            (),
            Addresses((), limit=1),
            request_timeout_s=1,
            idle_timeout_s=1,
        )
        sock = socket.create_server(("127.0.0.1", 0))
        admit = partial(full.admit, no_room)
        acceptor = Acceptor([sock], admit, Pace(500, 1), full.no_file_left, lambda: False)
        acceptor.start()
        async with raw_socket(f"http://127.0.0.1:{sock.getsockname()[1]}") as newcomer:
            assert await newcomer.rest() == b""
        acceptor.stop()

    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(story())
    assert caplog.messages == ["no file left for new connections (limit 256)"]


@asynccontextmanager
async def acceptor_while(
    is_busy: Callable[[], bool],
) -> AsyncIterator[tuple[str, list[asyncio.Protocol]]]:
    """The address of an acceptor, and the connections that it has taken."""
    taken: list[asyncio.Protocol] = []

    def admit(_host: str) -> asyncio.Protocol:
        taken.append(asyncio.Protocol())
        return taken[-1]

    sock = socket.create_server(("127.0.0.1", 0))
    acceptor = Acceptor([sock], admit, Pace(500, 10), lambda: None, is_busy)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}", taken
    finally:
        acceptor.stop()
        await asyncio.sleep(0)  # those that were being connected are dropped


async def test_newcomers_wait_while_a_beat_is_written_and_are_then_taken_one_in_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "_LONGEST_HOLD_S", 60)
    busy = True
    async with acceptor_while(lambda: busy) as (url, taken), AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(raw_socket(url))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not taken
        busy = False
        counts = []
        while len(taken) < 3:
            await asyncio.sleep(0)
            counts.append(len(taken))
        assert {1, 2, 3} <= set(counts)


async def test_newcomers_come_in_where_beats_never_end() -> None:
    async with acceptor_while(lambda: True) as (url, taken), raw_socket(url):
        await until(lambda: taken)


def limited(monkeypatch: pytest.MonkeyPatch, sockets: int, streams: int) -> None:
    limits = FileLimits(256, sockets, streams)
    monkeypatch.setattr(server_module, "file_limits", lambda _wanted: limits)


LOOPS = {
    "uvloop": ["-m", "vyomo_rt"],
    "asyncio": [
        "-c",
        "import sys; sys.modules['uvloop'] = None; from vyomo_rt.__main__ import main; main()",
    ],
}


@asynccontextmanager
async def on_loop(
    process: ServerProcess, loop: str, *prefix: str
) -> AsyncIterator[tuple[Rest, Callable[[], list[str]]]]:
    """A server process on an event loop, and its log so far."""
    process.command = [*prefix, sys.executable, *LOOPS[loop], *process.command[3:]]
    async with aiohttp.ClientSession() as http:
        yield Rest(await process.start(), http), lambda: process.output


@pytest.mark.parametrize("loop", LOOPS)
async def test_silent_connections_as_many_as_the_file_limit_hold_up_nobody(
    loop: str, server_process: MakeServer
) -> None:
    prlimit = (program("prlimit"), "--nofile=256:256")
    async with on_loop(server_process(), loop, *prlimit) as (server, log), AsyncExitStack() as all_:
        session_id = await server.new_session()
        silent = [await all_.enter_async_context(raw_socket(server.url)) for _ in range(300)]
        for number, raw in enumerate(silent):
            with suppress(ConnectionError):  # some have been ended already
                await raw.send([b"", UNFINISHED["half a line"], HALF_A_BODY][number % 3])
        await until(lambda: answers(server.url))
        for _ in range(5):
            async with aiohttp.ClientSession() as http:
                await Rest(server.url, http).open_trade(session_id)
        async with watching("ws", server.url, sessionId=session_id) as stream:
            await server.open_trade(session_id)
            await stream.next("trade_opened")
        text = "".join(log())
        assert "only 176 connections fit into the file limit of 256" in text
        assert "Traceback" not in text
        assert text.count("no file left") <= 1


def files_of(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.parametrize("loop", LOOPS)
async def test_without_any_file_left_the_log_says_so_once_and_it_goes_on_when_there_is_one(
    loop: str, server_process: MakeServer
) -> None:
    process = server_process()
    async with on_loop(process, loop) as (server, log), AsyncExitStack() as stack:
        await server.new_session()
        pid = process.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = files_of(pid)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
        for _ in range(50):
            with suppress(ConnectionError):
                raw = await stack.enter_async_context(raw_socket(server.url))
                await raw.send(LIVEZ)
        await until(lambda: "no file left for new connections" in "".join(log()))
        spent_ms = cpu_ms(pid)
        await asyncio.sleep(2)
        assert cpu_ms(pid) - spent_ms < 1000, "it spins"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        await until(lambda: answers(server.url))
        text = "".join(log())
        assert text.count("no file left") == 1
        assert "Traceback" not in text


async def test_a_file_limit_that_leaves_nothing_for_connections_is_named_at_the_start(
    server_process: MakeServer,
) -> None:
    process = server_process()
    process.command = [program("prlimit"), "--nofile=100:100", *process.command]
    with pytest.raises(AssertionError) as caught:
        await process.start()
    assert "the limit of open files is 100, and the server needs 128 or more: raise it" in str(
        caught.value
    )
    assert await process.process.wait() == 1
