"""Pushed ticks that come to one node while another owns the prices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from secrets import token_hex
from time import perf_counter
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Raw, Struct

from vyomo_rt.bus.link import NoAnswer, NotSent
from vyomo_rt.bus.once import Once
from vyomo_rt.domain.errors import OutcomeUnknown, Unavailable
from vyomo_rt.market.board import Board
from vyomo_rt.web.command import LIMIT_S
from vyomo_rt.web.ticks import Batch, required
from vyomo_rt.wire.encoding import encode
from vyomo_rt.wire.tick import TicksAnswer
from vyomo_rt.wire.tick_rows import Rows

TURN_S = 0.004
"""After this long with the rows of a body, the loop may turn."""
_AN_ANSWER_S = 0.7
_RETRY_S = 0.05
_MARGIN_S = 0.2
_PART_BYTES = 256 * 1024

Push = Callable[[Rows], Awaitable[TicksAnswer]]


class PriceOwner(Protocol):
    """Who takes ticks."""

    def price_owner(self) -> str | None:
        """The node that owns the prices, if it lives."""

    def owns_prices(self) -> bool:
        """Whether this node does."""

    def tell_prices(self) -> int:
        """Tell all nodes of what was taken; returns the number of the last tick."""

    async def follow_prices(self, number: int) -> None:
        """Wait a moment for a tick of this number."""

    async def ask_ticks(self, node: str, message: bytes, within_s: float) -> bytes:
        """The answer of a node. Raises NotSent or NoAnswer."""


class _Pushed(Struct, array_like=True):
    request_id: str
    rows: list[bytes]


class _Taken(Struct, array_like=True):
    last: int
    answer: bytes


_taken = msgspec.msgpack.Decoder(_Taken).decode
_pushed = msgspec.msgpack.Decoder(_Pushed).decode
_pack = msgspec.msgpack.Encoder().encode
_answer = msgspec.json.Decoder(TicksAnswer).decode
_NOT_MINE = b""


async def take_all(rows: Rows, board: Board, source: str | None) -> TicksAnswer:
    """Take ticks here, a few at a time. Raises Conflict if none may be pushed."""
    source = required(source)
    batch = Batch(rows, board, source)
    all_taken = False
    while not all_taken:
        await asyncio.sleep(0)
        all_taken = batch.take(perf_counter() + TURN_S)
    return batch.answer()


class Pushing:
    """Takes ticks here or where the prices are owned, those of one request once and in order."""

    def __init__(self, owner: PriceOwner, board: Board, posted_source: str | None) -> None:
        self._owner = owner
        self._board = board
        self._source = posted_source
        self._once: Once[TicksAnswer] = Once()

    def elsewhere(self) -> Push | None:
        """How ticks get to the owner of the prices; None if that is this node."""
        return None if self._owner.owns_prices() else self._push

    async def push(self, rows: Rows) -> TicksAnswer:
        """Have ticks taken. Raises Unavailable or OutcomeUnknown."""
        return await (self._take if self._owner.owns_prices() else self._push)(rows)

    async def _take(self, rows: Rows) -> TicksAnswer:
        answer = await take_all(rows, self._board, self._source)
        # Who has pushed a price finds it on any node, without waiting for more to be told with it.
        self._owner.tell_prices()
        return answer

    async def _push(self, rows: Rows) -> TicksAnswer:
        """In parts, because NATS takes a megabyte; the first that fails is the last."""
        answer, done = TicksAnswer(0, []), 0
        until_s = asyncio.get_running_loop().time() + LIMIT_S - _MARGIN_S
        for part in _parts([_as_bytes(row) for row in rows]):
            try:
                there = await self._push_part(part, until_s)
            except Unavailable as error:
                if done and not isinstance(error, OutcomeUnknown):
                    raise OutcomeUnknown(f"only the first {done} ticks were taken") from error
                raise
            answer.accepted += there.accepted
            for rejected in there.rejected:
                rejected.index += done
                answer.rejected.append(rejected)
            if there.held is not UNSET:
                before = [] if answer.held is UNSET else answer.held
                answer.held = sorted({*before, *there.held})
            done += len(part)
        return answer

    async def _push_part(self, rows: list[bytes], until_s: float) -> TicksAnswer:
        message = _pack(_Pushed(token_hex(8), rows))
        loop = asyncio.get_running_loop()
        asked: str | None = None
        """The node that may have taken them: another one would take them twice."""
        while (left_s := until_s - loop.time()) > 0:
            if asked is None and self._owner.owns_prices():
                return await self._take(rows)
            node = self._owner.price_owner()
            if asked is not None and node != asked:
                break
            try:
                if node is not None:
                    within_s = min(_AN_ANSWER_S, left_s)
                    answer = await self._owner.ask_ticks(node, message, within_s)
                    if answer != _NOT_MINE:
                        taken = _taken(answer)
                        # Who has pushed a price finds it here.
                        await self._owner.follow_prices(taken.last)
                        return _answer(taken.answer)
            except NoAnswer:
                asked = node
                continue
            except NotSent:
                pass
            await asyncio.sleep(_RETRY_S)
        if asked is not None:
            raise OutcomeUnknown("the node that owns the prices has not answered; try again")
        raise Unavailable("the node that owns the prices cannot be reached; try again")

    async def answer(self, message: bytes) -> bytes:
        """Take what another node sends, once, however often it comes."""
        if not self._owner.owns_prices() or self._source is None:
            return _NOT_MINE
        pushed = _pushed(message)
        answer = await self._once.outcome(
            pushed.request_id, lambda: take_all(pushed.rows, self._board, self._source)
        )
        return _pack(_Taken(self._owner.tell_prices(), encode(answer)))


def _parts(rows: list[bytes]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for row in rows:
        if part and size + len(row) > _PART_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += len(row)
    yield part


def _as_bytes(row: Any) -> bytes:
    return bytes(row) if isinstance(row, bytes | Raw) else msgspec.json.encode(row)
