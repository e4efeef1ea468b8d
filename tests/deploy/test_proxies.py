"""The recipes of docs/deploy.md, run by the real proxies: everything passes, at once and for long.

All clients here speak TLS to the proxy, by the name of the recipes.
"""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from itertools import pairwise

import aiohttp
import pytest
import pytest_asyncio

from tests.deploy.proxies import KEEP_ALIVE_S, NAME, PROXIES, SHORT_TIMEOUT_S, Proxy, recipe
from tests.deploy.through import through
from tests.kit.machine import Strain
from tests.kit.server import ServerProcess
from tests.kit.streams import Stream
from tests.kit.waiting import until
from vyomo_rt.config import Settings

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.quiet,
    pytest.mark.xdist_group("proxies"),
]

BEATS, TRIES = 12, 5


@pytest.fixture(scope="module")
def timeout_s() -> float:
    return SHORT_TIMEOUT_S


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    settings_behind_a_proxy: None, server_port: int, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    """The server behind all proxies of this file, with quick keep-alives."""
    quick = {
        "VYOMO_RT_SSE_KEEP_ALIVE_S": str(KEEP_ALIVE_S),
        "VYOMO_RT_PING_INTERVAL_S": str(KEEP_ALIVE_S),
        "VYOMO_RT_PONG_TIMEOUT_S": str(0.9 * KEEP_ALIVE_S),
    }
    server = ServerProcess(tmp_path_factory.mktemp("data"), port=server_port, **quick)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest, start_proxy: Callable[[str], Proxy]) -> Proxy:
    return start_proxy(request.param)


async def test_calls_and_both_streams_pass(proxy: Proxy, server: ServerProcess) -> None:
    log_before = len(server.output)
    async with through(proxy) as site:
        status, session = await site.call(
            "POST", "/sessions", {"startingCapital": 50_000}, Origin=proxy.site.url
        )
        assert status == 201, session
        session_id = session["sessionId"]
        path = f"/sse/sessions/{session_id}"
        await site.tick("M&M", 22150.5)
        async with (
            site.websocket(Origin=proxy.site.url) as ws,
            site.events(path, types=["trade_opened", "trade_closed"]) as sse,
            site.events("/sse/prices", symbols=["M&M", "NIFTY 50"]) as prices,
        ):
            await ws.ask("subscribe_session", sessionId=session_id)
            await sse.next("ack")
            assert (await prices.next("ack"))["result"]["symbols"] == ["M&M", "NIFTY 50"]
            trade = await site.open_trade(session_id, symbol="M&M", entryPrice=22150.5)
            await site.close_trade(trade["tradeId"])
            events = await ws.until_seq(2)
            assert len(events) == 2
            assert await sse.until_seq(2) == events
            assert (await prices.next("price_update"))["data"]["price"] == 22150.5
            await until(lambda: len(_found(server, log_before, r" opened from 127\.0\.0\.1:")) == 3)


async def test_refusals_of_the_server_pass_as_they_are(proxy: Proxy, server: ServerProcess) -> None:
    async with through(proxy) as site:
        async with site.events("/sse/sessions/99") as sse:
            assert sse.response.status == 404
        async with site.events("/sse/auto-trader") as sse:
            assert sse.response.status == 400
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with site.websocket(Origin="https://elsewhere.example.com"):
                pass
        assert refused.value.status == 403


async def test_the_probes_pass_and_the_metrics_stay_inside(
    proxy: Proxy, server: ServerProcess
) -> None:
    async with through(proxy) as site:
        for path, expected in (("/livez", 200), ("/readyz", 200), ("/metrics", 404)):
            async with site.http.get(site.url + path) as response:
                assert response.status == expected, path
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}/metrics") as response,
    ):
        assert response.status == 200


async def test_nothing_is_held_back_or_bunched(proxy: Proxy, server: ServerProcess) -> None:
    async with through(proxy) as site:
        await site.tick("NIFTY", 22150.5)
        async with site.websocket() as ws:
            began, strain = time.monotonic(), Strain()
            async with site.events("/sse/prices", symbols="NIFTY", priceInterval=100) as sse:
                await sse.next("ack")
                await sse.next("price_update")
                assert time.monotonic() - began < 0.5 * strain.factor()
                await ws.send("subscribe_prices", symbols=["NIFTY"], priceInterval=100)
                await ws.next("price_update")
                found: list[list[float]] = []
                while not found or not all(map(are_even, found[-2:])):
                    assert len(found) < 2 * TRIES, found  # a busy machine bunches now and then
                    found += await asyncio.gather(gaps_s(sse), gaps_s(ws))


def are_even(gaps: list[float]) -> bool:
    """What waits for others comes with them: gaps of nothing, then long ones."""
    return 0.05 < statistics.median(gaps) < 0.15 and max(gaps) < 0.5


async def gaps_s(stream: Stream) -> list[float]:
    """The times between the next beats."""
    times = []
    for _ in range(BEATS):
        await stream.next("price_update")
        times.append(time.monotonic())
    return [after - before for before, after in pairwise(times)]


async def test_an_idle_stream_is_left_open_and_a_server_that_hangs_is_not_waited_for(
    proxies: list[Proxy], server: ServerProcess
) -> None:
    """All proxies at one time, because this is mostly waiting."""
    async with AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(through(proxy)) for proxy in proxies]
        session_id = await sites[0].new_session()
        path = f"/sse/sessions/{session_id}"
        streams: dict[str, list[Stream]] = {}
        for proxy, site in zip(proxies, sites, strict=True):
            ws = await stack.enter_async_context(site.websocket())
            await ws.ask("subscribe_session", sessionId=session_id, types=["trade_opened"])
            sse = await stack.enter_async_context(site.events(path, types="trade_opened"))
            await sse.next("ack")
            streams[proxy.name] = [ws, sse]
        everybody = [stream for pair in streams.values() for stream in pair]
        news = [asyncio.create_task(stream.next("trade_opened")) for stream in everybody]
        await asyncio.sleep(2.5 * SHORT_TIMEOUT_S)
        assert not any(task.done() for task in news)
        await sites[0].open_trade(session_id)
        await asyncio.gather(*news)

        # The time-outs are really that short: without keep-alives they end the streams.
        server.process.send_signal(signal.SIGSTOP)
        try:
            for stream in [*streams["nginx"], *streams["haproxy"]]:
                with pytest.raises((AssertionError, aiohttp.ClientError)):
                    await stream.next("nothing", within_s=3 * SHORT_TIMEOUT_S)
        finally:
            server.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_a_proxy_holds_little_of_what_a_client_does_not_read(
    name: str, start_proxy: Callable[[str], Proxy], server: ServerProcess
) -> None:
    """Else the client would get seconds of old prices where the server could send the newest."""
    proxy = start_proxy(name)
    symbols = [f"S{number}" for number in range(500)]
    async with through(proxy) as site:
        ticks = [{"symbol": symbol, "price": 22150.5} for symbol in symbols]
        assert (await site.call("POST", "/ticks", ticks))[1]["accepted"] == len(symbols)
    log_before = len(server.output)
    with socket.create_connection(("127.0.0.1", proxy.site.port)) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with proxy.site.tls().wrap_socket(plain, server_hostname=NAME) as sock:
            path = f"/sse/prices?priceInterval=100&symbols={','.join(symbols)}"
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            await asyncio.sleep(2)  # 20 beats of 100 KB
    # Lines about earlier streams may come late.
    (stream,) = await until(lambda: _found(server, log_before, r" sse (\w+) opened from "))
    (line,) = await until(lambda: _found(server, log_before, rf" sse {stream} closed from .*"))
    sent = int(re.findall(r"(\d+) bytes sent", line)[0])
    assert 100_000 < sent < 1_000_000


def _found(server: ServerProcess, log_before: int, pattern: str) -> list[str]:
    """What the server has logged of a kind since its log was that long."""
    return re.findall(pattern, "".join(server.output[log_before:]))


@pytest.mark.parametrize(
    ("language", "setting"),
    [
        ("nginx", "proxy_read_timeout"),
        ("haproxy", "timeout client"),
        ("haproxy", "timeout server"),
    ],
)
async def test_the_time_outs_of_the_recipes_leave_room_for_keep_alives(
    language: str, setting: str
) -> None:
    defaults = Settings()
    longest_s = max(defaults.ping_interval_s, defaults.sse_keep_alive_s)
    (found,) = re.findall(rf"^ *{setting} (\d+)s", recipe(language, {}), re.M)
    assert int(found) >= 2 * longest_s
    assert SHORT_TIMEOUT_S >= 2 * KEEP_ALIVE_S
