"""Several soaked nodes on one store, and a bus that lies: killed, frozen, at another time."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from lab.site.lying_bus import KINDS
from lab.site.nodes import Nodes, NotEven
from lab.site.server import ServerUnderTest
from lab.soak.processes import SETTINGS, Fault, Processes, back, freeze, send
from lab.soak.site import Site
from lab.soak.violated import Violated

_LYING_PART = 0.05
_PAST_A_LEASE_S = (5.5, 8.0)
_CLOCKS_OFF_S = ("-600", "-3", "3", "180")
_GAPS_S = 10.0
_COUNTED = {"gapsRepaired": "gaps repaired", "doubled": "doubles overlooked", "hops": "hops"}


class Cluster(Processes):
    """Nodes that hear each other over buses that lie."""

    def __init__(self, site: Site, folder: Path, count: int, seed: str) -> None:
        super().__init__(site, folder)
        self._nodes = Nodes(folder, count, lying_part=_LYING_PART, seed=seed, settings=SETTINGS)
        self._counts: dict[tuple[int, str], int] = {}
        """What each process has counted, by its number."""
        self._wrong: int | None = None
        """The node whose clock is wrong."""
        self._store_is_needed = asyncio.Lock()
        """A node does not start without the store; whoever runs it would start it again."""

    @property
    def faults(self) -> list[Fault]:
        faults: list[Fault] = [
            ("kill -9 of a node", self._kill_node),
            ("a node frozen past its lease", self._freeze_node),
            ("SIGTERM of a node and a new start", self._restart_node),
            ("kill -9 of NATS", self._kill_nats),
            ("NATS frozen", self._freeze_nats),
            ("a node's clock is wrong", self._change_clock),
            ("a node, and what all nodes need", self._two_at_once),
        ]
        if self._nodes.store is not None:
            faults.append(("kill -9 of the store", self._kill_store))
            faults.append(("store frozen", self._freeze_store))
        return faults

    @property
    def servers(self) -> Sequence[ServerUnderTest]:
        return self._nodes.servers

    @property
    def store(self) -> dict[str, str]:
        return {"VYOMO_RT_MONGO_URI": self._nodes.uri}

    async def start(self) -> None:
        began_s = time.monotonic()
        await self._nodes.start()
        self._site.urls = self._nodes.urls
        for server in self.servers:
            self._started(server, began_s)
        for bus in self._nodes.buses:
            bus.force()

    async def recover(self) -> None:
        try:
            await self._nodes.become_even()
        except NotEven as problem:
            raise Violated(f"after a fault the nodes divide all shards: {problem}") from None
        await self.count()

    async def crash(self) -> None:
        await self._nodes.stop(signal.SIGKILL)
        for number in range(len(self.servers)):
            await self._start_node(number)
        await self.recover()

    async def forget(self) -> None:
        """Remove what is stored where others store, too."""
        await self._nodes.drop()

    async def close(self) -> None:
        await self._nodes.stop(signal.SIGKILL)
        await self._nodes.close()

    # -- what the bus did --------------------------------------------------------

    async def count(self) -> dict[str, int]:
        """What the buses told wrongly so far, and what the nodes made of it."""
        for server, document in zip(self.servers, await self._nodes.documents(), strict=True):
            for figure, name in _COUNTED.items():
                if document is not None:
                    self._counts[server.pid or 0, name] = document[figure]
        counts = dict.fromkeys(("messages", *KINDS, *_COUNTED.values()), 0)
        for (_, name), count in self._counts.items():
            counts[name] += count
        for bus in self._nodes.buses:
            for kind in ("messages", *KINDS):
                counts[kind] += getattr(bus, kind)
        return counts

    async def require_lies(self) -> None:
        """Each kind of lie was told, and a gap was found. Raises Violated."""
        counts, until_s = await self.count(), time.monotonic() + _GAPS_S
        while not counts["gaps repaired"] and time.monotonic() < until_s:
            await asyncio.sleep(0.1)
            counts = await self.count()
        if missing := [name for name in (*KINDS, "gaps repaired", "hops") if not counts[name]]:
            raise Violated(f"the bus lies in each way: none {', '.join(missing)} of {counts}")

    # -- faults ------------------------------------------------------------------

    async def _kill_node(self) -> None:
        number = self._any_node()
        await self.servers[number].stop(signal.SIGKILL)
        await self._sleep(0, 8)
        await self._start_node(number)

    async def _freeze_node(self) -> None:
        pid = self.servers[self._any_node()].pid
        assert pid is not None
        await freeze([pid], self._site.rng.uniform(*_PAST_A_LEASE_S))

    async def _restart_node(self) -> None:
        number = self._any_node()
        await self._stop(self.servers[number])
        await self._start_node(number)

    async def _change_clock(self) -> None:
        """Start a node anew, at another time; it is always one at most whose clock is wrong."""
        number = self._any_node() if self._wrong is None else self._wrong
        await self.servers[number].stop(signal.SIGKILL)
        await self._start_node(number, clock_off=self._site.rng.choice(_CLOCKS_OFF_S))

    async def _kill_nats(self) -> None:
        nats = self._nodes.nats
        await nats.stop()
        await self._sleep(0, 5)
        await nats.start()

    async def _freeze_nats(self) -> None:
        await freeze([self._nodes.nats.process.pid], self._site.rng.uniform(0.5, 6))

    async def _two_at_once(self) -> None:
        """A node and NATS or the store, neither knowing of the other."""
        rng = self._site.rng
        shared = [self._kill_nats, self._freeze_nats]
        if self._nodes.store is not None:
            shared += [self._kill_store, self._freeze_store]
        node = rng.choice([self._kill_node, self._freeze_node])
        await asyncio.gather(node(), rng.choice(shared)())

    async def _kill_store(self) -> None:
        store = self._nodes.store
        assert store is not None
        assert store.pid is not None
        before = store.pid
        async with self._store_is_needed:
            send(signal.SIGKILL, [before])
            await back(lambda: store.pid != before)

    async def _freeze_store(self) -> None:
        store = self._nodes.store
        assert store is not None
        assert store.pid is not None
        async with self._store_is_needed:
            await freeze([store.pid], self._site.rng.uniform(*_PAST_A_LEASE_S))

    def _any_node(self) -> int:
        return self._site.rng.randrange(len(self.servers))

    async def _start_node(self, number: int, *, clock_off: str = "") -> None:
        if clock_off or number == self._wrong:
            self._wrong = number if clock_off else None
        async with self._store_is_needed:
            began_s = time.monotonic()
            await self._nodes.start_node(number, clock_off=clock_off)
        self._started(self.servers[number], began_s)

    async def _sleep(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self._site.rng.uniform(least_s, most_s))
