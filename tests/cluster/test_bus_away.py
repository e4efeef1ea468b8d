"""Two nodes without the bus between them: the store is enough to see, not to command."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.site.nats_server import NatsServer, running_nats
from tests.conftest import KNOWN_YEARS
from tests.kit.nodes import foreign_session, serving_nodes
from tests.kit.rest import Rest
from tests.kit.store import new_database
from tests.kit.waiting import PATIENCE_S, until
from vyomo_rt.config import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Pair:
    """Two nodes, the bus between them, and a session that each decides about."""

    def __init__(self, nodes: list[Rest], nats: NatsServer, own: list[int]) -> None:
        self.nodes = nodes
        self.nats = nats
        self.own = own
        """The session of each node."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_pair(embedded_uri: str) -> AsyncIterator[Pair]:
    async with running_nats() as nats:
        settings = Settings(
            port=0,
            mongo_uri=new_database(embedded_uri),
            nats_url=nats.url,
            calendar=KNOWN_YEARS,
        )
        async with serving_nodes(settings, 2) as nodes:
            for node in nodes:
                await node.tick("NIFTY", 100)
            own = [await foreign_session(other) for other in reversed(nodes)]
            yield Pair(nodes, nats, own)


@pytest_asyncio.fixture(loop_scope="module")
async def pair(running_pair: Pair) -> Pair:
    """Without the bus."""
    await running_pair.nats.stop()
    return running_pair


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
        message = await stream.receive_json(timeout=PATIENCE_S)
        while message["type"] != "trade_opened":
            message = await stream.receive_json(timeout=PATIENCE_S)
        assert message["data"]["tradeId"] == trade["tradeId"]
        assert (await here.call("GET", f"/trades/{trade['tradeId']}"))[1]["status"] == "OPEN"


async def test_what_nobody_watches_is_read_from_the_store_when_it_is_asked_for(pair: Pair) -> None:
    here, there = pair.nodes
    foreign = pair.own[1]
    await until(lambda: is_known_to_be_away(here, there, foreign))
    trade = await there.open_trade(foreign, symbol="NIFTY", quantity=5)
    path = f"/trades/{trade['tradeId']}"
    assert (await here.call("GET", path))[1]["status"] == "OPEN"
    await there.close_trade(trade["tradeId"], 110)
    assert (await here.call("GET", path))[1]["status"] == "CLOSED"
    _, session = await here.call("GET", f"/sessions/{foreign}")
    _, listed = await here.call("GET", f"/sessions/{foreign}/trades")
    _, report = await here.call("GET", f"/sessions/{foreign}/report?by=symbol")
    assert session["totalTrades"] == len(listed["trades"])
    assert session["totalTrades"] - session["openTrades"] == report["total"]["trades"]


async def is_known_to_be_away(here: Rest, there: Rest, session_id: int) -> bool:
    """Whether a node reads what it shows of another's session, after a change that it missed."""
    name = f"Session {random.random()}"
    await there.call("PATCH", f"/sessions/{session_id}", {"name": name})
    _, session = await here.call("GET", f"/sessions/{session_id}")
    return bool(session["name"] == name)


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
