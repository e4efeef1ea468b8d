"""Several nodes behind the recipes of docs/nodes.md, run by the real proxies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import aiohttp
import pytest

from lab.site.nats_server import running_nats
from tests.deploy.proxies import NAME, Proxy, Site, free_port
from tests.deploy.through import Through, through
from tests.kit.nodes import are_even
from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import WebSocket
from tests.kit.waiting import until

pytestmark = [pytest.mark.slow(10), pytest.mark.xdist_group("proxies")]


class Nodes:
    """Three nodes in this process, of which one can be stopped."""

    def __init__(self, rests: list[Rest], life_of_last: AsyncExitStack) -> None:
        self.rests = rests
        self._life_of_last = life_of_last

    async def name_of_last(self) -> str:
        _, cluster = await self.rests[-1].call("GET", "/cluster")
        return str(cluster["node"])

    async def stop_last(self) -> None:
        """Stop one as SIGTERM does."""
        await self._life_of_last.aclose()

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(int(rest.url.rpartition(":")[2]) for rest in self.rests)


@pytest.fixture
async def nodes(make_settings: MakeSettings) -> AsyncIterator[Nodes]:
    async with running_nats() as nats, AsyncExitStack() as stack:
        settings = make_settings(nats_url=nats.url, allowed_hosts=(NAME,))
        lives = [await stack.enter_async_context(AsyncExitStack()) for _ in range(3)]
        rests = [await life.enter_async_context(serve_here(settings)) for life in lives]
        await until(lambda: are_even(rests))
        yield Nodes(rests, lives[-1])


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_clients_are_spread_over_nodes_and_go_on_when_one_stops(
    name: str, nodes: Nodes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = Site(tmp_path_factory.mktemp(name), free_port(), free_port(), nodes.ports)
    proxy = await asyncio.to_thread(Proxy, name, site)
    try:
        async with through(proxy) as rest, AsyncExitStack() as stack:
            session_id = await rest.new_session()
            streams: dict[str, list[WebSocket]] = {}
            for _ in range(6):
                stream = await stack.enter_async_context(rest.websocket())
                ack = await stream.ask("subscribe_session", sessionId=session_id)
                streams.setdefault(ack["node"], []).append(stream)
            assert sorted(map(len, streams.values())) == [2, 2, 2]
            trading = asyncio.create_task(trade(rest, session_id))
            gone = streams.pop(await nodes.name_of_last())
            stopping = asyncio.create_task(nodes.stop_last())
            for stream in gone:
                await stream.next("server_shutdown")
                assert await stream.closed() == 4001
            await stopping
            async with rest.websocket() as stream:
                ack = await stream.ask("subscribe_session", sessionId=session_id, since=0)
                assert ack["result"]["recovered"]
                assert ack["node"] in streams
            until_seq = await trading
            for stream in (stream for each in streams.values() for stream in each):
                assert len(await stream.until_seq(until_seq)) == until_seq
    finally:
        await asyncio.to_thread(proxy.stop)


async def trade(rest: Through, session_id: int) -> int:
    """Open trades for a while; returns how many.

    A proxy cannot repeat what was sent to a node that is gone: the client does, with its key.
    """
    order = {"symbol": "NIFTY", "quantity": 1, "entryPrice": 100}
    url = f"{rest.url}{API}/sessions/{session_id}/trades"
    until_s, count = asyncio.get_running_loop().time() + 2.5, 0
    while asyncio.get_running_loop().time() < until_s:
        count += 1
        while (status := await attempt(rest, url, order, str(count))) != 201:
            assert status in {None, 502, 503}
    return count


async def attempt(rest: Through, url: str, order: dict[str, object], key: str) -> int | None:
    """The status of one request; None if the proxy closed the connection without an answer."""
    with suppress(aiohttp.ServerDisconnectedError):
        async with rest.http.post(url, json=order, headers={"Idempotency-Key": key}) as response:
            return response.status
    return None
