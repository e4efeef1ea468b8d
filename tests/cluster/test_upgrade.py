"""From one server to several and back, and from one build to the next, on the same data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.nodes import Nodes, are_even, running_nodes, serving_nodes
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.store import assert_sound
from tests.kit.trading_anywhere import trade_everywhere
from tests.kit.waiting import until
from vyomo_rt.config import Settings
from vyomo_rt.domain.event import SHAPE
from vyomo_rt.store.client import connect
from vyomo_rt.store.embedded import EmbeddedServer

_NEWER = f"""
import sys
from vyomo_rt.domain import event
event.SHAPE = {SHAPE + 1}
from vyomo_rt.__main__ import main
sys.exit(main())
"""
"""This version, but for a newer shape of events."""


async def trade_on(node: Rest, session_id: int, seq: int) -> int:
    """Open and close a trade, as the next events of a session; returns the number of the last."""
    trade = await node.open_trade(session_id)
    await node.close_trade(trade["tradeId"], 200)
    _, session = await node.call("GET", f"/sessions/{session_id}")
    assert session["seq"] == seq + 2
    return seq + 2


async def test_one_server_becomes_three_on_its_data_and_one_again(
    make_settings: MakeSettings, nats_url: str
) -> None:
    alone, shared = make_settings(), make_settings(nats_url=nats_url)
    async with serve_here(alone) as one:
        session_id = await one.new_session()
        seq = await trade_on(one, session_id, 0)
        left_open = await one.open_trade(session_id)
        seq += 1
    async with serving_nodes(shared, 3) as nodes:
        for node in nodes:
            seq = await trade_on(node, session_id, seq)
        await nodes[2].close_trade(left_open["tradeId"], 200)
    async with serve_here(alone) as one:
        _, session = await one.call("GET", f"/sessions/{session_id}")
        assert (session["openTrades"], session["seq"]) == (0, seq + 1)
        await trade_on(one, session_id, seq + 1)
    await assert_sound(*place_of(alone))


def place_of(settings: Settings) -> tuple[str, str]:
    """The store and the database that settings name."""
    assert settings.mongo_uri is not None
    uri, _, database = settings.mongo_uri.rpartition("/")
    return f"{uri}/", database


@pytest.mark.slow(20)
async def test_nodes_of_two_builds_serve_together_and_go_over_when_the_old_ones_are_gone(
    tmp_path: Path, nats_url: str
) -> None:
    """Each node in turn is replaced by a build that writes a newer shape, while clients trade."""
    store = EmbeddedServer(tmp_path / "store")
    uri = await store.start()
    async with running_nodes(tmp_path / "data", f"{uri}nodes", nats_url, lies=0) as nodes:
        await trade_everywhere(nodes, replace_all(nodes, uri))
        await until(lambda: are_even(nodes.all))
        await until(lambda: writes_newer_events(nodes[0]))
        assert await shapes(uri) == {SHAPE, SHAPE + 1}
        await nodes.processes[2].stop()
        with pytest.raises(AssertionError, match=f"newer vyomo-rt .shape {SHAPE + 1}"):
            await nodes.start(2)
    await store.stop()


async def replace_all(nodes: Nodes, uri: str) -> None:
    """One after the other; until the last one is replaced, there is no event of the newer shape."""
    await replace(nodes, 0)
    await nodes.processes[1].stop()
    await nodes.start(1)  # all that there is can be read by the old build, too
    await replace(nodes, 1)
    await until(lambda: are_even(nodes.all))
    assert await shapes(uri) == {SHAPE}
    await replace(nodes, 2)


async def replace(nodes: Nodes, index: int) -> None:
    """Stop a node and start the newer build in its place."""
    await nodes.processes[index].stop()
    await nodes.start(index, program=(sys.executable, "-c", _NEWER))


async def writes_newer_events(node: Rest) -> bool:
    """Make an event; whether it, and all later ones, are of the newer shape."""
    _, before = await node.call("GET", "/cluster")
    await node.open_trade(await node.new_session())
    return bool(before["shape"] == SHAPE + 1)


async def shapes(uri: str) -> set[Any]:
    """The shapes of all stored events."""
    client = connect(uri)
    events = client["nodes"]["events"].find({}, {"shape": 1})
    found = {event["shape"] for event in await events.to_list(None)}
    client.close()
    return found
