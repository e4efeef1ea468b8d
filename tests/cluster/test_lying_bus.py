"""Three processes, and a bus that loses, doubles, delays and reorders what it carries."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.kit.nodes import running_nodes
from tests.kit.store import assert_sound, new_database
from tests.kit.trading_anywhere import trade_everywhere


async def test_whatever_the_bus_loses_doubles_or_delays_every_node_says_the_same(
    tmp_path: Path, embedded_uri: str, nats_url: str
) -> None:
    uri = new_database(embedded_uri)
    async with running_nodes(tmp_path / "data", uri, nats_url) as nodes:
        await trade_everywhere(nodes, asyncio.sleep(2))
        lies = nodes.lies()
    assert all(lies.values()), lies
    await assert_sound(embedded_uri, uri.rpartition("/")[2])
