"""Carries accepted ticks from the node that owns the prices to all others, each once, in order."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice

import msgspec
from msgspec import Struct

from vyomo_rt.domain.quote import Tick
from vyomo_rt.market.book import Row
from vyomo_rt.market.common_clock import CommonClock
from vyomo_rt.market.relayed_board import RelayedBoard

log = logging.getLogger(__name__)

JOINED_S = 0.02
KEPT_S = 30.0
_A_MESSAGE = 2000
_WAITING = 2000
_SILENT_S = 1.0
"""After so long without hearing of the owner, or with a gap, prices are stale."""
_ANSWER_S = 0.3
_RETRY_S = 0.1

Entry = tuple[str, int, int | None, str, int, int]
"""A tick, and the moments by which its owner judged it: now, and its arrival."""


class Prices(Struct, array_like=True):
    """Ticks ``first``, ``first + 1`` …; without any, ``first`` is the next one's number.

    ``before`` is where the owner stood in its predecessor's numbers.
    """

    term: int
    first: int
    now_ms: int
    before: tuple[int, int]
    entries: list[Entry] = []


class Question(Struct, array_like=True):
    """Asks for the ticks of a term from a number on, or for everything (0)."""

    term: int
    first: int


class Whole(Struct, array_like=True):
    """All that the owner's books hold, as of a tick."""

    term: int
    last: int
    now_ms: int
    rows: dict[str, list[Row]]


_prices = msgspec.msgpack.Decoder(Prices)
_question = msgspec.msgpack.Decoder(Question)
_whole = msgspec.msgpack.Decoder(Whole)
_encode = msgspec.msgpack.Encoder().encode
_NOTHING = b""


class Relay:
    """Sends as the owner, and follows as any other node.

    ``say`` tells all nodes; ``ask`` asks the owner, and raises an OSError if it cannot.
    """

    def __init__(
        self,
        board: RelayedBoard,
        clock: CommonClock,
        *,
        say: Callable[[bytes], None],
        ask: Callable[[bytes, float], Awaitable[bytes]],
        time_s: Callable[[], float],
    ) -> None:
        self.gaps = 0
        """Ticks that had to be asked for."""
        self.doubled = 0
        self._board = board
        self._clock = clock
        self._say = say
        self._ask = ask
        self._time_s = time_s
        board.is_doubtful = self._is_doubtful
        # Of the owner.
        self._term: int | None = None
        self._sent: deque[tuple[float, Entry]] = deque()
        """The last 30 s; the newest are not yet said."""
        self._last = 0
        """The number of the newest tick, or of the last that was followed."""
        self._unsaid = 0
        self._joining: asyncio.TimerHandle | None = None
        self._before = (0, 0)
        # Of a follower.
        self._followed = 0
        """The term that is followed."""
        self._waiting: dict[int, list[Entry]] = {}
        self._heard_s = -_SILENT_S
        self._missing_since_s: float | None = self._heard_s
        self._needs_whole = True
        self._wake = asyncio.Event()
        self._wake.set()

    @property
    def is_owner(self) -> bool:
        return self._term is not None

    @property
    def silent_s(self) -> float:
        """For how long nothing was heard of the owner; 0 for the owner."""
        return 0.0 if self.is_owner else self._time_s() - self._heard_s

    def _is_doubtful(self) -> bool:
        if self._term is not None:
            return False
        now_s = self._time_s()
        since_s = self._missing_since_s
        return now_s - self._heard_s > _SILENT_S or (
            since_s is not None and now_s - since_s > _SILENT_S
        )

    # -- the owner -------------------------------------------------------------

    def begin(self, term: int) -> None:
        """This node owns the prices: it goes on from the books that it has followed."""
        self._before = (self._followed, self._last)
        self._term, self._last, self._unsaid = term, 0, 0
        self._sent.clear()
        self._waiting.clear()
        self._clock.is_owner = True
        self._board.note = self._note
        self.beat()

    def end(self) -> None:
        """Another node owns the prices."""
        if self._term is None:
            return
        self._flush()
        self._followed, self._term = self._term, None
        self._clock.is_owner = False
        self._board.note = lambda _tick, _now_ms, _arrived_ms: None
        self._clock.hear(self._clock(), self._followed)
        self._heard_s = self._time_s()
        self._missing_since_s = None
        self._needs_whole = False

    def beat(self) -> None:
        """Say how far the prices are, and what time it is: four times a second."""
        if self._term is not None:
            self._flush()
            self._tell(self._last + 1, [])

    def _note(self, tick: Tick, now_ms: int, arrived_ms: int) -> None:
        self._last += 1
        self._unsaid += 1
        entry = (tick.symbol, tick.price_e4, tick.as_of_ms, tick.source, now_ms, arrived_ms)
        self._sent.append((self._time_s(), entry))
        if self._joining is None:
            loop = asyncio.get_running_loop()
            self._joining = loop.call_later(JOINED_S, self._flush)

    @property
    def last(self) -> int:
        """The number of the newest tick that was taken."""
        return self._last

    def flush(self) -> int:
        """Say all that was taken now; returns the number of the newest."""
        self._flush()
        return self._last

    def _flush(self) -> None:
        if self._joining is not None:
            self._joining.cancel()
            self._joining = None
        while self._unsaid:
            first = self._last - self._unsaid + 1
            entries = self._from(first, _A_MESSAGE)
            self._tell(first, entries)
            self._unsaid -= len(entries)
        oldest = self._time_s() - KEPT_S
        while self._sent and self._sent[0][0] < oldest:
            self._sent.popleft()

    def _from(self, first: int, most: int) -> list[Entry]:
        start = len(self._sent) - (self._last - first + 1)
        return [entry for _, entry in islice(self._sent, start, start + most)]

    def _tell(self, first: int, entries: list[Entry]) -> None:
        assert self._term is not None
        self._say(_encode(Prices(self._term, first, self._clock(), self._before, entries)))

    def answer(self, message: bytes) -> bytes:
        """What a follower asks for; nothing if this node is not the owner, or has it no more."""
        question = _question.decode(message)
        if self._term is None:
            return _NOTHING
        self._flush()
        if not question.first:
            whole = Whole(self._term, self._last, self._clock(), self._board.rows())
            # Ten thousand symbols are nearly the most that NATS takes in one message.
            return zlib.compress(_encode(whole), 1)
        is_kept = question.first > self._last - len(self._sent)
        if question.term != self._term or not is_kept:
            return _NOTHING
        entries = self._from(question.first, _A_MESSAGE)
        now_ms = self._clock()
        return _encode(Prices(self._term, question.first, now_ms, self._before, entries))

    # -- a follower ------------------------------------------------------------

    def hear(self, message: bytes) -> None:
        """What the owner says."""
        prices = _prices.decode(message)
        if self._term is not None or prices.term < self._followed:
            return
        if prices.term > self._followed:
            self._follow_another(prices)
        self._heard_s = self._time_s()
        self._clock.hear(prices.now_ms, prices.term)
        self._take(prices)

    def _follow_another(self, prices: Prices) -> None:
        """A new owner: it may have known more of its predecessor than this node, or less."""
        if prices.before != (self._followed, self._last):
            self._needs_whole = True
            self._missing_since_s = self._missing_since_s or self._time_s()
            self._wake.set()
        self._followed, self._last = prices.term, 0
        self._waiting.clear()

    def _take(self, prices: Prices) -> None:
        if prices.entries:
            known = self._waiting.get(prices.first, [])
            if prices.first + len(prices.entries) <= self._last + 1:
                self.doubled += 1
            elif len(prices.entries) > len(known):
                if len(self._waiting) >= _WAITING:
                    self._waiting.clear()  # what is missing is asked for
                self._waiting[prices.first] = prices.entries
            self._act()
        elif prices.first > self._last + 1:
            self._miss()

    def _act(self) -> None:
        """Act on all that follows without a gap."""
        if self._needs_whole:
            return
        for first in sorted(self._waiting):
            if first > self._last + 1:
                self._miss()
                return
            entries = self._waiting.pop(first)[self._last + 1 - first :]
            for symbol, price_e4, as_of_ms, source, now_ms, arrived_ms in entries:
                self._last += 1
                tick = Tick(symbol, price_e4, as_of_ms, source)
                self._board.repeat(tick, now_ms, arrived_ms)
        self._missing_since_s = None

    def _miss(self) -> None:
        if self._missing_since_s is None:
            self._missing_since_s = self._time_s()
        self._wake.set()

    async def run(self) -> None:
        """Ask for what is missing, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._term is None and self._missing_since_s is not None:
                if not await self._ask_owner():
                    await asyncio.sleep(_RETRY_S)

    async def _ask_owner(self) -> bool:
        """Whether something came."""
        term, first = self._followed, 0 if self._needs_whole else self._last + 1
        try:
            answer = await self._ask(_encode(Question(term, first)), _ANSWER_S)
        except OSError:
            is_late = self._time_s() - (self._missing_since_s or 0) > _SILENT_S
            self._needs_whole = self._needs_whole or is_late
            return False
        if self._term is not None or term != self._followed:
            return True
        if not first:
            is_owner = answer != _NOTHING
            return is_owner and self._take_whole(_whole.decode(zlib.decompress(answer)))
        if answer == _NOTHING:
            self._needs_whole = True
        else:
            prices = _prices.decode(answer)
            self.gaps += max(0, first + len(prices.entries) - 1 - self._last)
            self._take(prices)
            if not prices.entries:
                self._missing_since_s = None
        return True

    def _take_whole(self, whole: Whole) -> bool:
        if whole.term < self._followed:
            return False
        self._board.take_over(whole.rows)
        self._clock.hear(whole.now_ms, whole.term)
        self._followed, self._last = whole.term, whole.last
        self._needs_whole, self._missing_since_s = False, None
        self._heard_s = self._time_s()
        self._waiting = {
            first: entries
            for first, entries in self._waiting.items()
            if first + len(entries) > self._last + 1
        }
        self._act()
        return True
