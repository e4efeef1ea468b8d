"""Prices on several nodes: one runs the sources, the others follow it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date

import msgspec

from vyomo_rt.app.notices import SharedNotices
from vyomo_rt.app.rooms import Rooms
from vyomo_rt.bus.link import Bus, NoAnswer, NotSent, comes_by_itself
from vyomo_rt.domain.errors import Unavailable, VyomoError
from vyomo_rt.domain.market import PreviousClose
from vyomo_rt.domain.quote import FeedState, FeedStatus, Quote
from vyomo_rt.domain.shard import PRICES
from vyomo_rt.ending import end
from vyomo_rt.market.common_clock import CommonClock
from vyomo_rt.market.relay import Relay
from vyomo_rt.market.relayed_board import RelayedBoard
from vyomo_rt.market.wishes import Wishes
from vyomo_rt.store.nodes import Node
from vyomo_rt.web.pushing import Pushing

log = logging.getLogger(__name__)

_BEAT_MS = 250
_STATUS_MS = 500
_STATUS_COUNTS_S = 2.0
_LOST_S = 2.0
"""A node that owns the prices and is not heard for so long owns them no more."""
_STANDSTILL_S = 1.5
"""After so long without a beat, another node may own the prices."""

_CLOSES_MS = 1000
_TICKED, _WISHES, _STATUS, _CLOSES = "prices", "wishes", "status", "closes"
_MISSED, _PUSHED = "missed", "ticks"

_decode_wishes = msgspec.msgpack.Decoder(tuple[str, list[str]]).decode
_decode_status = msgspec.msgpack.Decoder(FeedStatus).decode
_decode_closes = msgspec.msgpack.Decoder(dict[str, tuple[int, int]]).decode
_encode = msgspec.msgpack.Encoder().encode


class SharedPrices:
    """Begins and ends to own the prices; fulfils ``vyomo_rt.web.pushing.PriceOwner``."""

    def __init__(
        self,
        rooms: Rooms,
        node: Node,
        bus: Bus,
        clock: CommonClock,
        hear_price: Callable[[Quote, int], None],
    ) -> None:
        time_s = asyncio.get_running_loop().time
        assert isinstance(rooms.board, RelayedBoard)
        rooms.board.hear_price = hear_price
        self.term: int | None = None
        """By which this node owns the prices; None if another does."""
        self._rooms = rooms
        self._node = node
        self._bus = bus
        self._clock = clock
        self._sources: list[asyncio.Task[None]] = []
        self._notices = SharedNotices(rooms)
        self.relay = Relay(
            rooms.board,
            clock,
            say=lambda message: bus.say(_TICKED, message),
            ask=self._ask,
            time_s=time_s,
        )
        self.pushing = Pushing(self, rooms.board, rooms.pricing.posted_source)
        rooms.intake = replace(rooms.intake, elsewhere=self.pushing.elsewhere)
        self._wishes = Wishes(rooms.demand, time_s)
        self._status: FeedStatus | None = None
        self._status_at_s = 0.0
        self._former: str | None = None
        """The other node that owns the prices, or did last."""
        self._beaten_s, self._woke_s = time.monotonic(), 0.0
        rooms.monitor.elsewhere = self._owners_status
        self.hears: dict[str, Callable[[bytes], None]] = {
            _TICKED: self.relay.hear,
            _WISHES: lambda message: self._wishes.hear(*_decode_wishes(message)),
            _STATUS: self._hear_status,
            _CLOSES: self._hear_closes,
        }
        """What is said to all nodes, by kind."""

    def wind_up(self) -> None:
        """Add all periodic work to the clock."""
        clock = self._rooms.clock
        clock.add("the prices of all nodes", _BEAT_MS, self._beat)
        clock.add("what is watched here", _BEAT_MS, self._tell_wishes)
        clock.add("how the feed is doing", _STATUS_MS, self._tell_status)
        clock.add("the closes before", _CLOSES_MS, self._tell_closes)

    async def answer(self, kind: str, message: bytes) -> bytes:
        """What another node asks."""
        if kind == _PUSHED:
            return await self.pushing.answer(message)
        return self.relay.answer(message)

    # -- owning them -----------------------------------------------------------

    async def own(self, term: int | None) -> None:
        """Own the prices by a term, or leave them to another node.

        Raises Unavailable while it is not sure that this machine's clock is right.
        """
        if term == self.term:
            return
        self.term = None
        await self.end()
        self.relay.end()
        if term is None:
            return
        if self._clock.wall_is_far:
            await self._node.clock.compare()
            if not self._node.clock.confirms:
                raise Unavailable("the clock of this machine is wrong")
        self.term = term
        self._rooms.pricing.closes_elsewhere = {}
        await self.relay.catch_up(self._ask)
        self.relay.begin(term)
        self._rooms.bar_keeper.begin()
        with suppress(VyomoError):
            await self._rooms.pricing.keeper.look()
        log.info("this node owns the prices")
        self._sources = [asyncio.create_task(job) for job in self._rooms.pricing.sources()]
        for task in self._sources:
            task.add_done_callback(_tell)
        self._notices.begin()

    async def end(self) -> None:
        """End the sources and the notices, if they run here."""
        await self._notices.end()
        await end(*self._sources)
        self._sources = []

    async def _beat(self) -> None:
        now_s = time.monotonic()
        if now_s - self._beaten_s > _STANDSTILL_S:
            self._woke_s = now_s
            self._node.look()
        self._beaten_s = now_s
        self._judge_clock()
        self._former = self.price_owner() or self._former
        self.relay.beat()
        # Who has just woken up or come to the bus cannot have heard of anybody yet.
        awake_s = now_s - self._woke_s
        if min(self.relay.silent_s, self._bus.connected_s, awake_s) > _LOST_S:
            await self._node.take_prices()

    def _judge_clock(self) -> None:
        """A clock that was set while it is everybody's has to be compared with the store's."""
        doubted_s = self._clock.doubted_s
        if doubted_s is None or not self.relay.is_owner:
            return
        stores = self._node.clock
        if stores.compared_s < doubted_s:
            stores.doubt()
            self._node.look()
        elif stores.confirms:
            self._clock.begin()

    # -- what is watched, and how the sources are doing ------------------------

    def _tell_wishes(self) -> None:
        self._wishes.forget_silent()
        if (symbols := self._wishes.due()) is not None:
            self._bus.say(_WISHES, _encode((self._node.id, symbols)))

    def _tell_status(self) -> None:
        if self.owns_prices():
            self._bus.say(_STATUS, _encode(self._rooms.monitor.status()))

    def _hear_status(self, message: bytes) -> None:
        self._status = _decode_status(message)
        self._status_at_s = asyncio.get_running_loop().time()

    def _tell_closes(self) -> None:
        if self.owns_prices():
            find, demand = self._rooms.pricing.previous_close, self._rooms.demand
            closes = {
                symbol: (close.price_e4, close.date.toordinal())
                for symbol in demand
                if (close := find(symbol)) is not None
            }
            if closes:
                self._bus.say(_CLOSES, _encode(closes))

    def _hear_closes(self, message: bytes) -> None:
        self._rooms.pricing.closes_elsewhere = {
            symbol: PreviousClose(price_e4, date.fromordinal(day))
            for symbol, (price_e4, day) in _decode_closes(message).items()
        }

    def _owners_status(self) -> FeedStatus | None:
        """How the sources are doing, as their node says; None if that is this one."""
        if self.owns_prices():
            return None
        now_s = asyncio.get_running_loop().time()
        if self._status is None or now_s - self._status_at_s > _STATUS_COUNTS_S:
            source = ",".join(self._rooms.settings.feed)
            words = "the node that owns the prices is not heard: the last ones stand, and are stale"
            if self._status is None or self._status.message != words:
                now_ms = self._rooms.clocks.market()
                self._status = FeedStatus(source, FeedState.DEGRADED, words, now_ms)
        return self._status

    # -- ticks from outside ----------------------------------------------------

    def owns_prices(self) -> bool:
        """Whether this node does, as far as it can know: after a standstill it has to look."""
        is_awake = time.monotonic() - self._beaten_s <= _STANDSTILL_S
        return self.relay.is_owner and is_awake and self._node.looked_s > self._woke_s

    def price_owner(self) -> str | None:
        found = self._node.owner(PRICES)
        return None if found == self._node.id else found

    def tell_prices(self) -> int:
        return self.relay.flush()

    async def follow_prices(self, number: int) -> None:
        await comes_by_itself(lambda: self.relay.last >= number)

    async def ask_ticks(self, node: str, message: bytes, within_s: float) -> bytes:
        return await self._bus.ask(node, _PUSHED, message, within_s)

    async def _ask(self, message: bytes, within_s: float) -> bytes:
        node = self.price_owner() or self._former
        if node is None:
            raise ConnectionError
        try:
            return await self._bus.ask(node, _MISSED, message, within_s)
        except (NotSent, NoAnswer) as error:
            raise ConnectionError from error


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a source of prices failed", exc_info=error)
