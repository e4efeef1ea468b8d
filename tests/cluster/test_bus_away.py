"""Two nodes without the bus between them: the store is enough to see, not to command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from lab.site.nats_server import NatsServer
from tests.kit.nodes import are_even
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until


class Pair:
    """Two nodes, the bus between them, and a session that each decides about."""

    def __init__(self, nodes: list[Rest], nats: NatsServer, own: dict[int, int]) -> None:
        self.nodes = nodes
        self.nats = nats
        self.own = own
        """The session of each node."""


@pytest.fixture
async def pair(make_settings: MakeSettings) -> AsyncIterator[Pair]:
    nats = NatsServer()
    async with AsyncExitStack() as stack:
        settings = make_settings(nats_url=await nats.start())
        nodes = [await stack.enter_async_context(serve_here(settings)) for _ in range(2)]
        await until(lambda: are_even(nodes))
        for _ in range(8):
            await nodes[0].new_session()
        for index in (0, 1):
            await nodes[index].tick("NIFTY", 100)
        yield Pair(nodes, nats, await owned(nodes, nats))
    await nats.stop()


async def owned(nodes: list[Rest], nats: NatsServer) -> dict[int, int]:
    """A session that each node decides about: it takes commands without the bus."""
    await nats.stop()
    found: dict[int, int] = {}

    async def is_found() -> bool:
        for session_id in range(1, 9):
            for index, node in enumerate(nodes):
                if index in found or session_id in found.values():
                    continue
                path = f"/sessions/{session_id}"
                status, _ = await node.call("PATCH", path, {"name": f"Own {session_id}"})
                if status == 200:
                    found[index] = session_id
        return len(found) == len(nodes)

    await until(is_found)
    return found


async def test_commands_to_others_are_refused_for_now_and_what_others_store_is_seen(
    pair: Pair,
) -> None:
    here, there = pair.nodes
    foreign = pair.own[1]
    order = {"symbol": "NIFTY", "quantity": 1, "entryPrice": 100}
    url = f"{here.url}/api/auto-trader/sessions/{foreign}/trades"
    async with here.http.post(url, json=order) as response:
        problem = await response.json()
        assert (response.status, problem["code"]) == (503, "unavailable")
        assert int(response.headers["Retry-After"]) > 0
        assert "idempotencyKey" not in problem, "it was certainly not sent"
    async with here.http.ws_connect(here.url.replace("http", "ws") + "/ws/auto-trader") as stream:
        await stream.send_json({"type": "subscribe_session", "sessionId": foreign, "id": 1})
        await stream.receive_json()
        trade = await there.open_trade(foreign, symbol="NIFTY")
        message = await stream.receive_json(timeout=5)
        while message["type"] != "trade_opened":
            message = await stream.receive_json(timeout=5)
        assert message["data"]["tradeId"] == trade["tradeId"]
        assert (await here.call("GET", f"/trades/{trade['tradeId']}"))[1]["status"] == "OPEN"


async def test_only_the_owner_of_the_prices_takes_ticks_and_elsewhere_they_are_stale(
    pair: Pair,
) -> None:
    async def stale() -> list[bool]:
        answers = [await node.call("GET", "/prices?symbols=NIFTY") for node in pair.nodes]
        return [answer["prices"][0]["stale"] for _, answer in answers]

    async def are_stale(count: int) -> bool:
        return sum(await stale()) == count

    await until(lambda: are_stale(1))
    pushed = [
        (await node.call("POST", "/ticks", {"symbol": "NIFTY", "price": 101}))[0]
        for node in pair.nodes
    ]
    assert pushed == [503 if is_stale else 200 for is_stale in await stale()]
    await pair.nats.start()
    await until(lambda: are_stale(0))
