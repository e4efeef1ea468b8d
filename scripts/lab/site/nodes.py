"""Several nodes to measure or to disturb, with the one store and the NATS that they share."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
import msgspec
from pymongo import AsyncMongoClient

from lab.site.lying_bus import LyingBus
from lab.site.machine import pin
from lab.site.nats_server import NatsServer
from lab.site.server import Server, ServerUnderTest, off_first_core, room_for
from lab.site.target import API, AWAY
from vyomo_rt.domain.shard import SHARDS
from vyomo_rt.store.embedded import EmbeddedServer

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_EVEN_S = 60.0
Role = Literal["alone", "owns", "follows", "foreign"]
"""What is measured: a server alone; a node that owns the prices, or follows them; or one that
hears of a session about which another decides."""


class NotEven(Exception):
    """The nodes have not come to hear each other and to divide all shards; the text says why."""


class Nodes:
    """Real processes: so many nodes, NATS, and the embedded store or any other.

    With a ``lying_part``, each node's way to NATS loses, doubles, delays and reorders that part
    of what it hears.
    """

    def __init__(
        self,
        folder: Path,
        count: int,
        *flags: str,
        kind: type[ServerUnderTest] = ServerUnderTest,
        settings: Mapping[str, str] | None = None,
        lying_part: float = 0.0,
        seed: str = "",
    ) -> None:
        self.nats = NatsServer()
        self.store: EmbeddedServer | None = None
        """None if VYOMO_RT_TEST_MONGO_URI names another one."""
        self.uri = _elsewhere()
        if not self.uri:
            self.store = EmbeddedServer(folder / "store")
        self.buses: list[LyingBus] = []
        self.servers = [ServerUnderTest(folder / f"node{number}") for number in range(count)]
        self.urls = ["" for _ in self.servers]
        self._folder = folder
        self._kind = kind
        self._flags = flags
        self._settings = dict(settings or {})
        self._lying_part = lying_part
        self._seed = seed

    async def start(self) -> None:
        """Start the store, NATS and all nodes, and wait until these are even.

        Raises ServerFailed, CannotStart or NotEven.
        """
        if self.store is not None:
            self.uri = f"{await self.store.start()}lab"
        await self.nats.start()
        if self._lying_part:
            for number in range(len(self.servers)):
                bus = LyingBus(self.nats.url, self._lying_part, f"{self._seed} {number}")
                await bus.start()
                self.buses.append(bus)
        for number in range(len(self.servers)):
            await self.start_node(number)
        await self.become_even()

    async def start_node(self, number: int, *, clock_off: str = "") -> None:
        """Start a node, where it was if it ran before, on a machine whose clock may be wrong."""
        url = self.buses[number].url if self.buses else self.nats.url
        shared = {"VYOMO_RT_MONGO_URI": self.uri, "VYOMO_RT_NATS_URL": url}
        port = urlsplit(self.urls[number]).port or 0
        server = self._kind(
            self._folder / f"node{number}",
            *("--port", str(port), *self._flags),
            clock_off=clock_off,
            **shared | self._settings,
        )
        self.servers[number] = server
        self.urls[number] = await server.start()

    async def documents(self) -> list[dict[str, Any] | None]:
        """What each node says of itself and the others; None of one that is away."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as http:
            return list(await asyncio.gather(*(_document(http, url) for url in self.urls)))

    async def become_even(self, within_s: float = _EVEN_S) -> None:
        """Wait until all hear each other, decide about their part, and know the prices.

        Raises NotEven.
        """
        found: list[dict[str, Any] | None] = []
        try:
            async with asyncio.timeout(within_s):
                # Nodes tell nobody.
                while not _are_even(found := await self.documents()):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            said = msgspec.json.encode(found).decode()
            raise NotEven(f"not within {within_s:g} s, but {said}") from None

    async def stop(self, *signals: int) -> list[int]:
        """Stop the nodes one after the other; returns their exit codes."""
        return [await server.stop(*signals) for server in self.servers]

    async def drop(self) -> None:
        """Remove the database from a MongoDB that goes on."""
        if self.store is None:
            client: AsyncMongoClient[Any] = AsyncMongoClient(self.uri)
            await client.drop_database(urlsplit(self.uri).path[1:])
            await client.close()

    async def close(self) -> None:
        """End everything else."""
        for bus in self.buses:
            await bus.stop()
        if self.nats.port > 0:
            await self.nats.stop()
        if self.store is not None:
            await self.store.stop()


@asynccontextmanager
async def one_of_nodes(
    kind: type[Server],
    count: int,
    connections: int,
    feed: str,
    role: Role,
) -> AsyncIterator[tuple[Server, list[int], str]]:
    """One of some nodes, or a server alone beside them, on the first core; all else on the others.

    What is compared runs among the same: with a node goes an idle server, and with the server
    idle nodes. A foreign node has its clients and NATS on its core: if both nodes' clients shared
    one, those of the second would wait for those of the first.

    Yields it with the cores for the load, and where prices are pushed and trades are made. Raises
    ServerFailed, CannotStart or NotEven.
    """
    with tempfile.TemporaryDirectory(prefix="vyomo-load-") as folder, off_first_core() as cores:
        settings = room_for(connections)
        nodes = Nodes(Path(folder), count, "--feed", feed, kind=kind, settings=settings)
        alone = kind(Path(folder, "alone"), "--feed", feed, **settings)
        try:
            # Of the nodes, whoever comes first owns the prices.
            await asyncio.gather(nodes.start(), *([] if role == "foreign" else [alone.start()]))
            server = alone if role == "alone" else nodes.servers[0 if role == "owns" else -1]
            assert isinstance(server, kind)
            if cores and server.pid:
                pin(server.pid, cores[0])
            if cores and role == "foreign":
                pin(nodes.nats.process.pid, cores[0])
            url = alone.url if role == "alone" else nodes.urls[0]
            yield server, cores if role == "foreign" else cores[1:], url
        finally:
            await asyncio.gather(alone.stop(), nodes.stop())
            await nodes.drop()
            await nodes.close()


def _elsewhere() -> str:
    """A database of our own in the MongoDB that is named; empty if none is."""
    uri = os.environ.get("VYOMO_RT_TEST_MONGO_URI", "")
    return urlsplit(uri)._replace(path=f"/lab_{secrets.token_hex(6)}").geturl() if uri else ""


async def _document(http: aiohttp.ClientSession, url: str) -> dict[str, Any] | None:
    try:
        async with http.get(f"{url}{API}/cluster") as response:
            found: dict[str, Any] = await response.json()
            return found if response.status == 200 else None
    except AWAY:
        return None


def _are_even(documents: list[dict[str, Any] | None]) -> bool:
    found = [document for document in documents if document is not None]
    deciding = [document["deciding"] for document in found]
    return (
        len(found) == len(documents) > 0
        and all(each["bus"] and len(each["nodes"]) == len(documents) for each in found)
        and sum(deciding) == SHARDS
        and max(deciding) - min(deciding) <= 1
        and sum(each["pricesMs"] is None for each in found) == 1
        and all((each["pricesMs"] or 0) < 1000 for each in found)
    )
