"""Prices that last for one tick, and a bus that lies: the owner of each session acts on each."""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from lab.site.lying_bus import LyingBus
from tests.kit.nodes import Nodes, are_even, owns_prices
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until

ROUNDS = 8
CHANCE = random.Random(1)


@pytest.mark.slow(10)
async def test_a_spike_of_one_tick_closes_what_it_hits_on_all_shards(
    make_settings: MakeSettings, nats_url: str
) -> None:
    buses = [LyingBus(nats_url, 0.05, seed) for seed in range(3)]
    async with AsyncExitStack() as stack:
        nodes: list[Rest] = []
        for bus in buses:
            await bus.start()
            stack.push_async_callback(bus.stop)
            server = serve_here(make_settings(nats_url=bus.url))
            nodes.append(await stack.enter_async_context(server))
        await until(lambda: are_even(nodes))
        body = {"startingCapital": 1e6}
        made = [await eventually(nodes, "/sessions", body) for _ in range(9)]
        for number in range(ROUNDS):
            await spike(nodes, [each["sessionId"] for each in made], f"S{number}")
        assert all(bus.dropped for bus in buses)


@pytest.mark.slow(10)
async def test_a_spike_while_a_node_is_dead_closes_what_it_hits_once_others_have_its_shards(
    three_nodes: Nodes,
) -> None:
    made = [
        await eventually(three_nodes.all, "/sessions", {"startingCapital": 1e6}) for _ in range(9)
    ]
    await push(three_nodes.all, "NIFTY", 100)
    for node in three_nodes.all:
        await until(partial(is_priced, node, "NIFTY"))
    order = {"symbol": "NIFTY", "quantity": 1, "stopLoss": 95, "entryPrice": 100}
    paths = [f"/sessions/{session['sessionId']}/trades" for session in made]
    trades = [await eventually(three_nodes.all, path, order) for path in paths]
    gone = 1 if await owns_prices(three_nodes[0]) else 0
    await three_nodes.processes[gone].kill()
    living = [three_nodes[index] for index in range(3) if index != gone]
    for price in (94, 100):
        await push(living, "NIFTY", price)
    for trade in trades:
        closed = await living[0].closed(trade["tradeId"])
        assert (closed["exitReason"], closed["exitPrice"]) == ("SL", 94)


@pytest.mark.slow(10)
async def test_a_tick_that_waited_for_a_frozen_owner_of_the_prices_reaches_all_or_is_refused(
    three_nodes: Nodes,
) -> None:
    """The owner wakes up, and does not know yet that there is another one."""
    await push(three_nodes.all, "NIFTY", 100)
    [frozen] = [index for index in range(3) if await owns_prices(three_nodes[index])]
    others = [three_nodes[index] for index in range(3) if index != frozen]
    three_nodes.processes[frozen].process.send_signal(signal.SIGSTOP)
    tick = {"symbol": "NIFTY", "price": 101}
    waiting = asyncio.create_task(three_nodes[frozen].call("POST", "/ticks", tick))

    async def has_another_owner() -> bool:
        return any([await owns_prices(node) for node in others])

    await until(has_another_owner)
    three_nodes.processes[frozen].process.send_signal(signal.SIGCONT)
    status, _ = await waiting
    assert status in {200, 503}
    for node in three_nodes.all if status == 200 else ():
        await until(partial(has_price, node, 101))


async def has_price(node: Rest, price: float) -> bool:
    _, found = await node.call("GET", "/prices?symbols=NIFTY")
    return [each["price"] for each in found["prices"]] == [price]


async def spike(nodes: list[Rest], sessions: list[int], symbol: str) -> None:
    await push(nodes, symbol, 100)
    for node in nodes:
        await until(partial(is_priced, node, symbol))
    order = {"symbol": symbol, "quantity": 1, "stopLoss": 95, "entryPrice": 100}
    trades = [await eventually(nodes, f"/sessions/{id_}/trades", order) for id_ in sessions]
    await push(nodes, symbol, 94)
    await push(nodes, symbol, 100)
    for trade in trades:
        closed = await CHANCE.choice(nodes).closed(trade["tradeId"])
        assert (closed["exitReason"], closed["exitPrice"], closed["pnl"]) == ("SL", 94, -6)


async def push(nodes: list[Rest], symbol: str, price: float) -> None:
    """Push a price once; 503 means that it may be there, and the same again is no new one."""
    async with asyncio.timeout(20):
        while True:
            node = CHANCE.choice(nodes)
            status, _ = await node.call("POST", "/ticks", {"symbol": symbol, "price": price})
            if status == 200:
                return


async def is_priced(node: Rest, symbol: str) -> bool:
    _, found = await node.call("GET", f"/prices?symbols={symbol}")
    return bool(found["prices"]) and not found["prices"][0]["stale"]


async def eventually(nodes: list[Rest], path: str, body: object) -> dict[str, Any]:
    """Ask any node, and again under the same key while the answer is 503."""
    key = f"{CHANCE.random()}"
    async with asyncio.timeout(20):
        while True:
            status, answer = await CHANCE.choice(nodes).call(
                "POST", path, body, Idempotency_Key=key
            )
            if status == 201:
                return answer
            assert status == 503, answer
