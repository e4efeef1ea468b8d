"""Whatever happens to the connection, every trade event comes once and in order."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import subprocess
import sys
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import AddrInfoType, TCPConnector

from tests.client.rig import RESUMED, answering, closing_with, event_stream, take
from tests.kit.proxy import proxy_before
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.waiting import until
from vyomo_rt_client import Gap, Message, Position, Stream, connect, links
from vyomo_rt_client import stream as stream_module
from vyomo_rt_client.stream import Choice

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRANSPORTS: tuple[Choice, ...] = ("ws", "sse")
TRADES = ("trade_opened", "trade_closed")


async def read_until_seq(stream: Stream, seq: int, within_s: float = 20) -> list[Message]:
    """All messages up to a trade event."""
    messages: list[Message] = []
    async with asyncio.timeout(within_s):
        while not messages or messages[-1].type not in TRADES or messages[-1].seq != seq:
            messages.append(await anext(stream))
    return messages


def small_socket(address: AddrInfoType) -> socket.socket:
    """A socket that soon has enough of what is not read."""
    sock = socket.socket(*address[:3])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return sock


def events(messages: list[Message]) -> list[int | None]:
    return [message.seq for message in messages if message.type in TRADES]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("seed", range(2))
async def test_connections_cut_at_any_byte_lose_and_double_nothing(
    server: Rest, transport: Choice, seed: int
) -> None:
    chance = random.Random(seed)
    session_id = await server.new_session()
    async with proxy_before(server.url) as proxy:
        proxy.most_bytes = lambda: chance.randrange(3000)
        async with connect(
            proxy.url, session_id=session_id, since=0, update_interval_ms=100, transport=transport
        ) as stream:
            reading = asyncio.create_task(read_until_seq(stream, 60))
            for _ in range(30):
                trade = await server.open_trade(session_id)
                await server.close_trade(trade["tradeId"], chance.randrange(190, 200))
            messages = await reading
        assert events(messages) == [*range(1, 61)]
        assert len(proxy.requests) > 5
        _, session = await server.call("GET", f"/sessions/{session_id}")
        assert stream.position == Position(session_id, 60, session["epoch"])
        assert not [message.gap for message in messages if message.gap]


@pytest.mark.asyncio(loop_scope="function")
async def test_a_server_that_is_killed_and_started_again_loses_and_doubles_nothing(
    server_process: MakeServer,
) -> None:
    process = server_process()
    url = await process.start()
    async with aiohttp.ClientSession() as http:
        rest = Rest(url, http)
        session_id = await rest.new_session()
        async with (
            connect(url, session_id=session_id, transport="ws") as ws,
            connect(url, session_id=session_id, transport="sse") as sse,
        ):
            for stream in (ws, sse):
                await take(stream, "session_update")
            reading = [asyncio.create_task(read_until_seq(stream, 20)) for stream in (ws, sse)]
            for _ in range(10):
                await rest.open_trade(session_id)
            await process.kill()
            again = server_process(port=int(url.rpartition(":")[2]))
            await again.start()
            for _ in range(10):
                await rest.open_trade(session_id)
            for messages in await asyncio.gather(*reading):
                assert events(messages) == [*range(1, 21)]
            for stream in (ws, sse):
                update = await take(stream, "session_update")
                assert (update.seq, update.gap) == (20, None)


async def test_a_server_that_stops_says_when_to_come_back_and_a_program_may_end_before(
    make_settings: MakeSettings,
) -> None:
    async with serve_here(make_settings()) as rest:
        streams = [connect(rest.url, symbols=["A"], transport=kind) for kind in TRANSPORTS]
        reading = [asyncio.create_task(take(stream, "price_update")) for stream in streams]
        await until(lambda: all(stream.status.state == "open" for stream in streams))
    await until(lambda: all(stream.status.state == "waiting" for stream in streams))
    for stream, task in zip(streams, reading, strict=True):
        assert stream.status.detail == "the server shuts down"
        assert stream.status.delay_s is not None
        assert 0.5 <= stream.status.delay_s <= 5.5
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            async with asyncio.timeout(0.2):
                await task


@pytest.mark.parametrize(
    ("loop", "kinds"),
    [("asyncio", ("sse", "ws")), ("uvloop", ("sse", "ws")), ("uvloop", ("ws", "sse"))],
)
async def test_another_process_goes_on_where_the_first_one_stopped(
    server: Rest, loop: str, kinds: tuple[Choice, ...]
) -> None:
    pytest.importorskip(loop)
    session_id = await server.new_session()
    async with connect(server.url, session_id=session_id, since=0) as stream:
        for _ in range(5):
            await server.open_trade(session_id)
        while (await take(stream, "trade_opened")).seq != 3:
            pass
        saved = str(stream.position)
    assert saved.startswith(f"{session_id}-3-")
    program = f"""
import {loop}
from vyomo_rt_client import connect
async def main():
    for kind in {kinds}:
        async for message in connect({server.url!r}, session_id={session_id}, since={saved!r}, transport=kind):
            print(message.type, message.seq, message.recovered)
            if message.type == "session_update":
                break
{loop}.run(main())
"""  # noqa: E501
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "default", "-c", program),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, complaints = await process.communicate()
    missed = ["trade_opened 4 None", "trade_opened 5 None", "session_update 5 True"]
    assert output.decode().splitlines() == missed * 2
    assert complaints == b"", "an iteration that is left closes its connection"


@pytest.mark.parametrize(
    ("types", "first"), [(None, "session_update"), (["trade_opened"], "trade_opened")]
)
async def test_what_cannot_be_replayed_is_told_as_a_gap(
    server: Rest, transport: Choice, types: list[str] | None, first: str
) -> None:
    session_id = await server.new_session()
    for _ in range(2):
        await server.open_trade(session_id)
    async with connect(
        server.url, session_id=session_id, since=f"{session_id}-1-wiped", types=types,
        symbols=["NIFTY"], transport=transport,
    ) as stream:  # fmt: skip
        reading = asyncio.create_task(take(stream, *TRADES, "session_update"))
        await until(lambda: stream.status.state == "open")
        await server.open_trade(session_id)
        message = await reading
        assert message.type == first
        assert message.recovered is (False if types is None else None)
        _, session = await server.call("GET", f"/sessions/{session_id}")
        now = Position(session_id, 2, session["epoch"])
        assert message.gap == Gap(before=Position(session_id, 1, "wiped"), now=now)
        await server.open_trade(session_id)
        assert (await take(stream, "trade_opened")).gap is None, "it is told once"


@pytest.mark.parametrize(
    ("types", "gaps"),
    [
        (None, [None, None, (12, 13), None, (14, 16), None]),
        (["trade_opened", "trade_closed"], [None] * 6),
    ],
)
async def test_a_number_that_is_left_out_is_told_as_a_gap(
    transport: Choice, types: list[str] | None, gaps: list[tuple[int, int] | None]
) -> None:
    told = [
        {"type": kind, "data": {"sessionId": 6}, "seq": seq}
        for kind, seq in [
            ("trade_closed", 11), ("kind_that_came_later", 12), ("trade_closed", 14),
            ("session_update", 14), ("session_update", 16), ("trade_closed", 17),
        ]
    ]  # fmt: skip
    ack = RESUMED | {"id": "session"}
    async with (
        answering(closing_with(1000, ack, *told), event_stream(RESUMED, *told)) as url,
        connect(url, session_id=6, since="6-10-e", types=types, transport=transport) as stream,
    ):
        messages = [await anext(stream) for _ in told]
        assert stream.position == Position(6, 17, "e")
    assert [message.gap for message in messages] == [
        gap and Gap(Position(6, gap[0], "e"), Position(6, gap[1], "e")) for gap in gaps
    ]


@pytest.mark.usefixtures("quick")
async def test_a_program_that_pauses_longer_than_the_heartbeat_misses_no_trade(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """aiohttp answers pings only while a message is waited for, so the server gives it up."""
    caplog.set_level(logging.INFO)
    settings = make_settings(ping_interval_s=0.1, pong_timeout_s=0.1)
    async with serve_here(settings) as rest:
        session_id = await rest.new_session()
        async with connect(rest.url, session_id=session_id, transport="ws") as stream:
            seen = [await anext(stream)]
            for _ in range(3):
                await rest.open_trade(session_id)
            await until(lambda: "closed from" in caplog.text and "4012 no pong" in caplog.text)
            await rest.open_trade(session_id)
            seen += await read_until_seq(stream, 4)
            assert events(seen) == [1, 2, 3, 4]


@pytest.mark.usefixtures("quick")
async def test_programs_that_read_too_slowly_are_not_sent_more_and_miss_no_trade(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing reads ahead: the pressure reaches the server, which gives them up after a while."""
    caplog.set_level(logging.INFO)
    settings = make_settings(slow_timeout_s=0.4)
    symbols = [f"S{number}" for number in range(200)]
    async with (
        serve_here(settings) as rest,
        aiohttp.ClientSession(connector=TCPConnector(socket_factory=small_socket)) as http,
        AsyncExitStack() as stack,
    ):
        session_id = await rest.new_session()
        ticks = [{"symbol": symbol, "price": 1} for symbol in symbols]
        await rest.call("POST", "/ticks", ticks)
        streams = [
            await stack.enter_async_context(
                connect(
                    rest.url, session_id=session_id, symbols=symbols, price_interval_ms=100,
                    transport=transport, session=http,
                )
            )
            for transport in TRANSPORTS
        ]  # fmt: skip
        for stream in streams:
            await take(stream, "session_update")
        for _ in range(3):
            await rest.open_trade(session_id)
        await until(lambda: caplog.text.count("4008 too slow") == 2)
        await rest.open_trade(session_id)
        for stream in streams:
            assert events(await read_until_seq(stream, 4)) == [1, 2, 3, 4]


@pytest.mark.usefixtures("quick")
async def test_a_link_that_fell_silent_is_given_up(
    server: Rest, transport: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the sleep of a laptop: nobody says that the connection is gone."""
    monkeypatch.setattr(links, "_PATIENCE_S", 0.3)
    session_id = await server.new_session()
    lost: list[str] = []
    async with (
        proxy_before(server.url) as proxy,
        connect(
            proxy.url, session_id=session_id, update_interval_ms=100, transport=transport,
            on_status=lambda status: lost.append(status.detail) if status.delay_s else None,
        ) as stream,
    ):  # fmt: skip
        await take(stream, "session_update")
        proxy.silent = True
        reading = asyncio.create_task(take(stream, "trade_opened"))
        await until(lambda: lost)
        await server.open_trade(session_id)
        proxy.silent = False
        proxy.drop()
        assert (await reading).seq == 1
    assert lost[0] == "the server fell silent"


@pytest.mark.usefixtures("quick")
async def test_where_no_websocket_can_be_opened_it_takes_sse_and_stays_with_it(
    server: Rest,
) -> None:
    session_id = await server.new_session()
    async with (
        proxy_before(server.url) as proxy,
        connect(proxy.url, session_id=session_id, symbols=["NIFTY"]) as stream,
    ):
        proxy.refuses_websockets = True
        await take(stream, "session_update")
        assert stream.transport == "sse"
        await server.open_trade(session_id)
        await take(stream, "trade_opened")

        proxy.refuses_websockets = False
        proxy.drop()
        await server.open_trade(session_id)
        assert (await take(stream, "trade_opened")).seq == 2
        ws, sse = "/ws/auto-trader", "/sse/auto-trader"
        assert proxy.paths == [ws, ws, sse, sse]


@pytest.mark.usefixtures("quick")
async def test_a_websocket_that_opens_and_carries_nothing_is_not_stayed_with(
    server: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "_OPEN_S", 0.3)
    session_id = await server.new_session()
    async with proxy_before(server.url) as proxy:
        proxy.swallows_frames = True
        async with connect(proxy.url, session_id=session_id) as stream:
            await take(stream, "session_update")
            assert stream.transport == "sse"


@pytest.mark.usefixtures("quick")
async def test_a_transport_that_worked_is_kept(server: Rest) -> None:
    session_id = await server.new_session()
    async with (
        proxy_before(server.url) as proxy,
        connect(proxy.url, session_id=session_id) as stream,
    ):
        await take(stream, "session_update")
        proxy.refuses_websockets = True
        proxy.drop()
        reading = asyncio.create_task(take(stream, "trade_opened"))
        await until(lambda: len(proxy.requests) > 5)
        proxy.refuses_websockets = False
        await server.open_trade(session_id)
        await reading
        assert set(proxy.paths) == {"/ws/auto-trader"}


async def test_a_server_that_is_not_there_yet_is_found_when_it_is(
    make_settings: MakeSettings, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that nobody was there says nothing against WebSocket."""
    monkeypatch.setattr(stream_module, "_BACK_OFF_S", 0.01)
    url = f"http://127.0.0.1:{unused_tcp_port}"
    states: list[str] = []
    async with connect(url, symbols=["A"], on_status=lambda s: states.append(str(s))) as stream:
        reading = asyncio.create_task(take(stream, "price_update", within_s=20))
        await until(lambda: len(states) > 8)
        assert all(f"no server answers at 127.0.0.1:{unused_tcp_port}" in s for s in states[1::2])
        async with serve_here(make_settings(port=unused_tcp_port)) as rest:
            await rest.tick("A", 1)
            await reading
            assert stream.transport == "ws"
            await stream.aclose()
