"""Several nodes as processes, with a store and a bus between them that the test can disturb."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from tests.kit.rest import Rest
from tests.kit.server import ServerProcess
from tests.kit.waiting import until


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
    return bool(sum(parts) == 64 and max(parts) - min(parts) <= 1)


class LyingBus:
    """Between a node and NATS: of what NATS says, it loses, doubles, delays and reorders a part."""

    def __init__(self, target_port: int, part: float, seed: int) -> None:
        self.dropped = self.doubled = self.delayed = self.reordered = 0
        self.port = 0
        self.part = part
        self._target_port = target_port
        self._chance = random.Random(seed)
        self._flows: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._held: tuple[asyncio.StreamWriter, bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Nothing goes through any more."""
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        for flow in list(self._flows):
            flow.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, there[1]}
        for flow in (self._pass_on(reader, there[1]), self._lie(there[0], writer)):
            task = asyncio.create_task(flow)
            self._flows.add(task)
            task.add_done_callback(self._flows.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def _lie(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                words = line.split()
                if words[0] in (b"MSG", b"HMSG"):
                    body = await reader.readexactly(int(words[-1]) + 2)
                    self._tell(writer, line + body)
                else:
                    writer.write(line)
        writer.close()

    def _tell(self, writer: asyncio.StreamWriter, message: bytes) -> None:
        held, self._held = self._held, None
        fate = self._chance.random()
        if fate < self.part:
            self.dropped += 1
        elif fate < 2 * self.part:
            self.doubled += 1
            writer.write(message * 2)
        elif fate < 3 * self.part:
            self.delayed += 1
            late_s = self._chance.uniform(0.01, 0.6)
            asyncio.get_running_loop().call_later(late_s, _write, writer, message)
        elif fate < 4 * self.part and held is None:
            self.reordered += 1
            self._held = writer, message
        else:
            writer.write(message)
        if held is not None:
            _write(*held)


def _write(writer: asyncio.StreamWriter, message: bytes) -> None:
    if not writer.is_closing():
        writer.write(message)


class Nodes:
    """Some nodes, each with its way to the bus."""

    def __init__(self, data_dir: Path, store_uri: str, nats_port: int, count: int) -> None:
        self.http = aiohttp.ClientSession()
        self.buses = [LyingBus(nats_port, 0.05, seed) for seed in range(count)]
        self.processes: list[ServerProcess] = []
        self._data_dir = data_dir
        self._store_uri = store_uri
        self._port = [0] * count

    async def start(self, index: int) -> None:
        """Start a node, on its former port if it ran before."""
        bus = self.buses[index]
        process = ServerProcess(
            self._data_dir,
            "--mongo-uri",
            self._store_uri,
            port=self._port[index],
            VYOMO_RT_NATS_URL=bus.url,
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
        kinds = ("dropped", "doubled", "delayed", "reordered")
        return {kind: sum(getattr(bus, kind) for bus in self.buses) for kind in kinds}


@asynccontextmanager
async def running_nodes(
    data_dir: Path, store_uri: str, nats_port: int, count: int = 3
) -> AsyncIterator[Nodes]:
    """So many nodes, each with an even part."""
    nodes = Nodes(data_dir, store_uri, nats_port, count)
    try:
        for bus in nodes.buses:
            await bus.start()
        for index in range(count):
            await nodes.start(index)
        await until(lambda: are_even(nodes.all))
        yield nodes
    finally:
        for process in nodes.processes:
            await process.kill()
        for bus in nodes.buses:
            await bus.stop()
        await nodes.http.close()
