"""Three processes, of which any is killed or frozen, as are the bus and the store."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from lab.site.nats_server import NatsServer, running_nats
from tests.kit.nodes import Nodes, are_even, running_nodes
from tests.kit.store import assert_sound
from tests.kit.trading_anywhere import trade_everywhere
from tests.kit.waiting import until
from vyomo_rt.store.embedded import EmbeddedServer

Disturb = Callable[[Nodes, NatsServer, EmbeddedServer], Awaitable[None]]


@pytest.fixture
async def nats() -> AsyncIterator[NatsServer]:
    async with running_nats() as server:
        yield server


@pytest.fixture
async def own_store(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedServer, str]]:
    server = EmbeddedServer(tmp_path / "store")
    yield server, await server.start()
    await server.stop()


async def kill_a_node(nodes: Nodes, _nats: NatsServer, _store: EmbeddedServer) -> None:
    await nodes.processes[1].kill()
    await asyncio.sleep(8)
    await nodes.start(1)


async def freeze_a_node(nodes: Nodes, _nats: NatsServer, _store: EmbeddedServer) -> None:
    process = nodes.processes[2].process
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(8)
    process.send_signal(signal.SIGCONT)
    await asyncio.sleep(3)


async def stop_a_node(nodes: Nodes, _nats: NatsServer, _store: EmbeddedServer) -> None:
    await nodes.processes[0].stop()
    await asyncio.sleep(2)
    await nodes.start(0)


async def kill_the_bus(_nodes: Nodes, nats: NatsServer, _store: EmbeddedServer) -> None:
    await nats.stop()
    await asyncio.sleep(4)
    await nats.start()


async def freeze_the_store(_nodes: Nodes, _nats: NatsServer, store: EmbeddedServer) -> None:
    assert store.pid is not None
    os.kill(store.pid, signal.SIGSTOP)
    await asyncio.sleep(6)
    os.kill(store.pid, signal.SIGCONT)


async def amid(disturbance: Awaitable[None]) -> None:
    """Some time before it, and some after it."""
    await asyncio.sleep(2)
    await disturbance
    await asyncio.sleep(4)


@pytest.mark.slow(20)
@pytest.mark.parametrize(
    "disturb", [kill_a_node, freeze_a_node, stop_a_node, kill_the_bus, freeze_the_store]
)
async def test_whatever_fails_nothing_is_lost_or_doubled(
    tmp_path: Path, nats: NatsServer, own_store: tuple[EmbeddedServer, str], disturb: Disturb
) -> None:
    store, uri = own_store
    async with running_nodes(tmp_path / "data", f"{uri}nodes", nats.url) as nodes:
        await trade_everywhere(nodes, amid(disturb(nodes, nats, store)))
        await until(lambda: are_even(nodes.all))
        for process in nodes.processes:
            assert not [line for line in process.output if "Traceback" in line], process.output
    await assert_sound(uri, "nodes")
