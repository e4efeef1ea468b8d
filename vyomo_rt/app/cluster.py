"""Makes a server one of several nodes: what it tells the others, and what it hears of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from vyomo_rt.app.rooms import Rooms
from vyomo_rt.app.shared_prices import SharedPrices
from vyomo_rt.app.shared_streams import SharedStreams
from vyomo_rt.bus.link import Bus, comes_by_itself
from vyomo_rt.domain.errors import NewerData, Unavailable
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.shard import PRICES, shard_of
from vyomo_rt.domain.state import SessionState
from vyomo_rt.market.common_clock import CommonClock
from vyomo_rt.store.nodes import Node
from vyomo_rt.store.packing import pack_events, unpack_events
from vyomo_rt.trading.following import Following
from vyomo_rt.trading.heads import Heads
from vyomo_rt.trading.own_shards import OwnShards
from vyomo_rt.trading.recent_prices import RecentPrices
from vyomo_rt.web.forwarding import Forwarding
from vyomo_rt.wire.cluster import ClusterDocument, NodeDocument

if TYPE_CHECKING:
    from vyomo_rt.app.shared_rights import SharedRights

_BEAT_MS = 250
_RETRY_S = 0.1
_HAND_OVER_S = 1.0
_EVENTS_A_MESSAGE = 200
"""NATS takes a megabyte."""

_EVENTS, _BORN, _HEADS, _ROWS, _RIGHTS = "events", "born", "heads", "rows", "rights"
_COMMAND = "command"

_Heads = tuple[dict[int, int], dict[int, int]]
_decode_heads = msgspec.msgpack.Decoder(_Heads).decode
_encode = msgspec.msgpack.Encoder().encode


class Cluster:
    """The other nodes, for this one; fulfils ``vyomo_rt.web.forwarding.Cluster``."""

    def __init__(self, rooms: Rooms, node: Node, common_clock: CommonClock) -> None:
        settings, desk = rooms.settings, rooms.desk
        assert settings.nats_url is not None
        self.node = node
        self._rooms = rooms
        self._replica = rooms.replica
        self._sessions = desk.sessions
        self._journal = rooms.store
        self._common_clock = common_clock
        self._terms: dict[int, int] = {}
        """The shards about which this node decides, with the terms by which it does."""
        self._syncing = asyncio.Lock()
        time_s = asyncio.get_running_loop().time
        self.heads = Heads(time_s)
        self.following = Following(
            rooms.store,
            rooms.replica,
            desk.sessions,
            self.heads,
            time_s=time_s,
            watched=rooms.hub.watched,
        )
        recent = RecentPrices(rooms.demand.is_held, time_s)
        self.own = OwnShards(
            rooms.store,
            rooms.replica,
            desk.sessions,
            desk.ledgers,
            self.following,
            late_writes=desk.late_writes,
            recent=recent,
            drop_ids=desk.drop_ids,
            catch_up=desk.catch_up,
            resume=desk.resume,
        )
        self.bus = Bus(
            settings.nats_url,
            node.bus_name,
            credentials=settings.nats_credentials_file,
            ca=settings.nats_ca_file,
            hear=self._hear,
            answer=self._answer,
            on_gap=self.following.doubt_everything,
        )
        self.prices = SharedPrices(rooms, node, self.bus, common_clock, recent.note)
        self.streams = SharedStreams(rooms.streaming, node, self.bus)
        self.forwarding = Forwarding(self, rooms.know, rooms.require_standing)
        rooms.hub.node = node.id
        desk.owners.is_shared = True
        desk.sessions.joins += [self.heads.add, self._tell_birth]
        # Other nodes hear of an event before it is written to the clients of this one.
        rooms.replica.followers[:0] = [self]
        rooms.replica.followers += [self.heads, recent]
        node.give_up = self._give_up
        self._rights: SharedRights | None = None
        if rooms.gate is not None:
            # Only with a key: it loads a library of cryptography.
            from vyomo_rt.app.shared_rights import SharedRights  # noqa: PLC0415

            self._rights = SharedRights(rooms.gate, rooms.rights, rooms.store, rooms.clocks.wall)
            self._rights.news.wake_others = lambda: self.bus.say(_RIGHTS, b"")

    # -- life ------------------------------------------------------------------

    def wind_up(self) -> None:
        """Add all periodic work to the clock."""
        clock = self._rooms.clock
        clock.add("the heads of sessions", _BEAT_MS, self._tell_heads)
        clock.add("silent nodes", _BEAT_MS, self.following.look_after_silent)
        self.prices.wind_up()

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """What runs by itself once everything is loaded."""
        self.node.get_ready()
        rights = [] if self._rights is None else [self._rights.run()]
        relaying = self.prices.relay.run()
        return [self.bus.run(), self.following.run(), relaying, self._tend(), *rights]

    async def hand_over(self) -> None:
        """Give everything to the other nodes; commands still go to them.

        A store that hangs delays the end a little, one that is away does not; then the others take
        what has no owner.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_HAND_OVER_S if self._journal.available else 0):
                await self.node.hand_over()
        self.bus.say(_ROWS, b"")
        await self.bus.flush()

    async def stop(self) -> None:
        """End the sources of prices, if they run here."""
        await self.prices.end()

    # -- shards ----------------------------------------------------------------

    async def _tend(self) -> None:
        """Decide about the shards that the store says are this node's, and no others."""
        node = self.node
        name = ""
        while True:
            await node.changed.wait()
            node.changed.clear()
            if node.id != name:
                name = self._rooms.hub.node = node.id
                await self.bus.listen_as(name)
            self.bus.say(_ROWS, b"")
            try:
                await self._sync()
            except Unavailable:
                await asyncio.sleep(_RETRY_S)
                node.changed.set()

    async def _sync(self) -> None:
        async with self._syncing:
            owned = {shard: term for shard, term in self.node.owned.items() if shard != PRICES}
            lost = {s for s, term in self._terms.items() if owned.get(s) != term}
            if lost:
                self.own.forget(lost)
                self._terms = {s: term for s, term in self._terms.items() if s not in lost}
            gained = {s: term for s, term in owned.items() if s not in self._terms}
            # Neither waits for the other: commands for these shards wait already.
            prices = asyncio.create_task(self.prices.own(self.node.owned.get(PRICES)))
            try:
                if gained:
                    await self.own.take_over(gained)
                    self._terms |= gained
            finally:
                await prices

    async def _give_up(self, shards: Collection[int]) -> None:
        async with self._syncing:
            if PRICES in shards:
                await self.prices.own(None)
            await self.own.give_up(shards)
            self._terms = {s: term for s, term in self._terms.items() if s not in shards}

    # -- what is told ----------------------------------------------------------

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        # What is written last in a shard that is given up is told, too.
        if state.session.session_id in self._rooms.desk.ledgers:
            about = f"{_EVENTS}.{shard_of(state.session.session_id)}"
            for start in range(0, len(events), _EVENTS_A_MESSAGE):
                self.bus.say(about, pack_events(events[start : start + _EVENTS_A_MESSAGE]))
        else:
            # This node may decide next: a session's moments do not go back.
            self._common_clock.reach(events[-1].at_ms)

    def publish_state(self, _: SessionState) -> None:
        """Each node knows the date by itself."""

    def _tell_birth(self, state: SessionState) -> None:
        if self._sessions.decides(state.session.session_id):
            self.bus.say(_BORN, str(state.session.session_id).encode())

    def _tell_heads(self) -> None:
        shards = self._sessions.shards
        heads = {session_id: self.seq(session_id) for session_id in self.heads.lately(shards)}
        self.bus.say(_HEADS, _encode((heads, self.heads.sums_of(shards))))

    def _hear(self, about: str, message: bytes) -> None:
        kind = about.partition(".")[0]
        if kind == _EVENTS:
            with suppress(NewerData):  # this node slept: the store will tell it
                self.following.take(unpack_events(message))
        elif kind == _BORN:
            self.following.hear_of(int(message))
        elif kind == _HEADS:
            self.following.hear_heads(*_decode_heads(message))
        elif kind == _RIGHTS and self._rights is not None:
            self._rights.look()
        elif kind == _ROWS:
            self.node.look()
        elif (hear := self.prices.hears.get(kind)) is not None:
            hear(message)

    def document(self) -> ClusterDocument:
        """What this node knows of itself and the others."""
        node, rows, relay = self.node, self.node.rows.values(), self.prices.relay
        return ClusterDocument(
            node=node.id,
            bus=self.bus.is_connected,
            deciding=len(self._sessions.shards),
            gaps_repaired=self.following.gaps + relay.gaps,
            doubled=self.following.doubled + relay.doubled,
            dropped=self.bus.dropped,
            hops=self.forwarding.hops,
            shape=self._journal.shape,
            prices_ms=None if relay.is_owner else int(relay.silent_s * 1000),
            nodes=[
                NodeDocument(
                    node=name,
                    host=lease["host"],
                    pid=lease["pid"],
                    version=lease["version"],
                    reads=lease["reads"],
                    shards=sum(row.node == name for row in rows) - (node.owner(PRICES) == name),
                    prices=node.owner(PRICES) == name,
                )
                for name, lease in sorted(node.nodes.items())
            ],
        )

    def readings(self) -> list[tuple[str, str, Callable[[], float]]]:
        """Figures for ``/metrics``: a name, what it is, how it is looked up."""
        following, relay = self.following, self.prices.relay
        return [
            ("shards", "Shards in which this node decides", lambda: len(self._sessions.shards)),
            ("prices_term", "The term by which it owns the prices", lambda: self.prices.term or 0),
            ("gaps_repaired", "What it had to ask for", lambda: following.gaps + relay.gaps),
            ("doubled", "What it got again", lambda: following.doubled + relay.doubled),
            ("dropped", "Messages not handled in time", lambda: self.bus.dropped),
            ("hops", "Commands carried out by other nodes", lambda: self.forwarding.hops),
            ("bus_up", "1 if it is connected to NATS", lambda: self.bus.is_connected),
        ]

    # -- for commands ----------------------------------------------------------

    def decides(self, session_id: int) -> bool:
        return self._sessions.decides(session_id)

    def owner(self, session_id: int) -> str | None:
        found = self.node.owner(shard_of(session_id))
        return None if found == self.node.id else found

    @property
    def shards(self) -> frozenset[int]:
        return self._sessions.shards

    def deciders(self, shards: Collection[int]) -> set[str]:
        owners = {self.node.owner(shard) for shard in shards} - {self.node.id}
        return {owner for owner in owners if owner is not None}

    async def ask(self, node: str, message: bytes, within_s: float) -> bytes:
        return await self.bus.ask(node, _COMMAND, message, within_s)

    async def session_of(self, ids: Mapping[str, int]) -> int:
        records = self._rooms.desk.records
        if "tradeId" in ids:
            return (await records.trade(ids["tradeId"])).session_id
        if "orderId" in ids:
            return (await records.order(ids["orderId"])).session_id
        return ids["sessionId"]

    async def draw_session_id(self) -> int:
        return await self._journal.reserve_ids("sessions", 1)

    def seq(self, session_id: int) -> int:
        state = self._replica.find(session_id)
        return 0 if state is None else state.seq

    async def follow(self, session_id: int, seq: int) -> None:
        def has_come() -> bool:
            return session_id in self._replica and self.seq(session_id) >= seq

        if not await comes_by_itself(has_come):
            with suppress(Unavailable):  # it has happened all the same
                await self.following.read([session_id])

    @property
    def last_tick(self) -> int:
        return self.prices.relay.last

    async def follow_prices(self, number: int) -> None:
        await self.prices.follow_prices(number)

    async def _answer(self, kind: str, message: bytes) -> bytes:
        if kind == _COMMAND:
            return await self.forwarding.answer(message)
        if (answer := self.streams.answers.get(kind)) is not None:
            return answer(message)
        return await self.prices.answer(kind, message)
