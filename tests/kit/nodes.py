"""Several nodes as processes, with a store and a bus between them that the test can disturb."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from lab.site.lying_bus import KINDS, LyingBus
from tests.kit.rest import Rest
from tests.kit.server import ServerProcess, serve_here
from tests.kit.waiting import until
from vyomo_rt.config import Settings
from vyomo_rt.domain.shard import SHARDS

_COUNT = 3


async def are_even(nodes: Sequence[Rest]) -> bool:
    """Whether all nodes have their part, and hear each other."""
    parts = []
    for node in nodes:
        try:
            _, cluster = await node.call("GET", "/cluster")
        except aiohttp.ClientError:
            return False
        parts.append(cluster["deciding"])
        if not cluster["bus"] or len(cluster["nodes"]) != len(nodes):
            return False
    return bool(sum(parts) == SHARDS and max(parts) - min(parts) <= 1)


@asynccontextmanager
async def serving_nodes(settings: Settings, count: int) -> AsyncIterator[list[Rest]]:
    """Nodes in this process, each with an even part."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(serve_here(settings)) for _ in range(count)]
        await until(lambda: are_even(nodes))
        yield nodes


async def foreign_session(here: Rest) -> int:
    """A new session about which another node decides."""
    while True:
        session_id = await here.new_session()
        before = await hops(here)
        await here.call("PATCH", f"/sessions/{session_id}", {"name": "Foreign"})
        if await hops(here) > before:
            return session_id


async def owns_prices(node: Rest) -> bool:
    """Whether a node owns the prices."""
    _, cluster = await node.call("GET", "/cluster")
    return any(each["prices"] for each in cluster["nodes"] if each["node"] == cluster["node"])


async def hops(node: Rest) -> int:
    """How many commands others have carried out for a node's clients."""
    _, cluster = await node.call("GET", "/cluster")
    return int(cluster["hops"])


class Nodes:
    """Some nodes, each with its way to the bus."""

    def __init__(self, data_dir: Path, store_uri: str, nats_url: str, lies: float) -> None:
        self.http = aiohttp.ClientSession()
        self.buses = [LyingBus(nats_url, lies, seed) for seed in range(_COUNT)]
        self.processes: list[ServerProcess] = []
        self._data_dir = data_dir
        self._store_uri = store_uri
        self._port = [0] * _COUNT

    async def start(self, index: int, **more: Any) -> None:
        """Start a node, on its former port if it ran before."""
        bus = self.buses[index]
        process = ServerProcess(
            self._data_dir,
            "--mongo-uri",
            self._store_uri,
            port=self._port[index],
            VYOMO_RT_NATS_URL=bus.url,
            **more,
        )
        url = await process.start()
        self._port[index] = int(url.rpartition(":")[2])
        self.processes[index : index + 1] = [process]

    def __getitem__(self, index: int) -> Rest:
        return Rest(self.processes[index].url, self.http)

    def __len__(self) -> int:
        return len(self.processes)

    @property
    def all(self) -> list[Rest]:
        return [self[index] for index in range(len(self))]

    def lies(self) -> dict[str, int]:
        """What became of messages on all buses."""
        return {kind: sum(getattr(bus, kind) for bus in self.buses) for kind in KINDS}


@asynccontextmanager
async def running_nodes(
    data_dir: Path, store_uri: str, nats_url: str, *, lies: float = 0.05
) -> AsyncIterator[Nodes]:
    """Three nodes, each with an even part; of each kind of lie their buses tell a part."""
    nodes = Nodes(data_dir, store_uri, nats_url, lies)
    try:
        for bus in nodes.buses:
            await bus.start()
        for index in range(_COUNT):
            await nodes.start(index)
        await until(lambda: are_even(nodes.all))
        yield nodes
    finally:
        for process in nodes.processes:
            await process.kill()
        for bus in nodes.buses:
            await bus.stop()
        await nodes.http.close()
