"""How soon others take over from a node that is gone."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.kit.nodes import Nodes
from tests.kit.rest import Rest
from tests.kit.server import ServerProcess
from tests.kit.waiting import until
from vyomo_rt.domain.shard import SHARDS

BUSY_S = 3.0
"""What a busy machine may add."""


async def owner_of_prices(nodes: Nodes, asked: int) -> int:
    _, cluster = await nodes[asked].call("GET", "/cluster")
    pids = [process.process.pid for process in nodes.processes]
    [owner] = [node["pid"] for node in cluster["nodes"] if node["prices"]]
    return pids.index(owner)


@pytest.mark.slow(8)
@pytest.mark.quiet
async def test_prices_and_shards_of_a_killed_node_have_new_owners_soon(three_nodes: Nodes) -> None:
    """Prices within 3 s, shards within 6 s."""
    gone = await owner_of_prices(three_nodes, 0)
    left = [index for index in range(3) if index != gone]
    await three_nodes.processes[gone].kill()
    killed = time.monotonic()

    async def is_priced() -> bool:
        body = {"symbol": "NIFTY", "price": 100}
        return (await three_nodes[left[0]].call("POST", "/ticks", body))[0] == 200

    await until(is_priced)
    prices_s = time.monotonic() - killed
    assert prices_s < 3 + BUSY_S

    async def is_decided() -> bool:
        found = [
            (await three_nodes[index].call("GET", "/cluster"))[1]["deciding"] for index in left
        ]
        return bool(sum(found) == SHARDS)

    await until(is_decided)
    shards_s = time.monotonic() - killed
    print(f"after a kill, prices have an owner in {prices_s:.2f} s, shards in {shards_s:.2f} s")
    assert shards_s < 6 + BUSY_S


@pytest.mark.slow(3)
@pytest.mark.quiet
async def test_a_node_that_stops_hands_over_at_once(three_nodes: Nodes) -> None:
    """Commands of its sessions that come to another node wait, at most for a second."""
    sessions = [await three_nodes[0].new_session() for _ in range(12)]
    has_stopped = asyncio.Event()
    waited = await asyncio.gather(
        *(trade_until(three_nodes[0], session_id, has_stopped) for session_id in sessions),
        stop(three_nodes.processes[2], has_stopped),
    )
    print(f"the longest wait for a command while a node stops: {max(waited):.2f} s")
    assert max(waited) < 1 + BUSY_S


async def stop(process: ServerProcess, has_stopped: asyncio.Event) -> float:
    assert await process.stop() == 0
    has_stopped.set()
    return 0.0


async def trade_until(node: Rest, session_id: int, is_over: asyncio.Event) -> float:
    """Open trades, none of which is refused; returns how long the longest one took."""
    longest_s = 0.0
    while not is_over.is_set():
        began = time.monotonic()
        order = {"symbol": "BANKNIFTY", "quantity": 50, "entryPrice": 195.25}
        status, trade = await node.call("POST", f"/sessions/{session_id}/trades", order)
        assert status == 201, trade
        longest_s = max(longest_s, time.monotonic() - began)
        await asyncio.sleep(0.05)
    return longest_s
