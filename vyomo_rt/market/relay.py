"""Carries accepted ticks from the node that owns the prices to all others, each once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress

import msgspec
from msgspec import Struct

from vyomo_rt.domain.quote import Tick
from vyomo_rt.market.book import Row
from vyomo_rt.market.common_clock import CommonClock
from vyomo_rt.market.relayed_board import RelayedBoard
from vyomo_rt.market.tick_log import Entry, TickLog

JOINED_S = 0.02
Ask = Callable[[bytes, float], Awaitable[bytes]]

_NONE = -1
_A_MESSAGE = 2000
_WAITING = 2000
_SILENT_S = 1.0
"""After so long without hearing of the owner, or with a gap, prices are stale."""
_ANSWER_S = 0.3
_RETRY_S = 0.1


class Prices(Struct, array_like=True):
    """Ticks ``first``, ``first + 1`` …; without any, ``first`` is the next one's number.

    Numbers go on from one owner to the next: ``before`` is the term that the owner had followed,
    and the number that it had come to.
    """

    term: int
    first: int
    now_ms: int
    before: tuple[int, int]
    entries: Sequence[Entry] = []


class Question(Struct, array_like=True):
    """Asks for the ticks from a number on, or for everything (0)."""

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
_NOT_OWNER, _NOT_KEPT = b"", b"-"


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
        ask: Ask,
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
        self._log = TickLog(time_s)
        # Of the owner.
        self._term: int | None = None
        self._unsaid: list[Entry] = []
        """Ticks that were taken and not told yet."""
        self._joining: asyncio.TimerHandle | None = None
        self._before = (0, 0)
        self._owned = _NONE
        """The last term by which this node owned the prices."""
        # Of a follower.
        self._followed = 0
        """The term that is followed."""
        self._waiting: dict[int, Sequence[Entry]] = {}
        # As if its owner had just fallen silent: prices are stale until one is heard.
        self._heard_s = time_s() - 2 * _SILENT_S
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
        if self._needs_whole:
            # What it followed is broken off: nobody can go on from there tick by tick.
            self._log.go_on_from(self._log.last)
            self._followed = _NONE
        self._before = (self._followed, self._log.last)
        self._term = term
        self._clock.begin()
        # Behind a gap that nobody can fill any more.
        for entry in self._behind_the_gap():
            self._repeat(entry)
            self._unsaid.append(entry)
        self._waiting.clear()
        self._board.note = self._note
        self.beat()

    def _behind_the_gap(self) -> Iterator[Entry]:
        last = self._log.last
        for first in sorted(self._waiting):
            entries = self._waiting[first]
            yield from entries[max(0, last + 1 - first) :]
            last = max(last, first + len(entries) - 1)

    def end(self) -> None:
        """Another node owns the prices."""
        if self._term is None:
            return
        self.flush()
        self._followed = self._owned = self._term
        self._term = None
        self._clock.end()
        self._board.note = lambda _tick, _now_ms, _arrived_ms: None
        self._heard_s = self._time_s()
        self._missing_since_s = None
        self._needs_whole = False

    def beat(self) -> None:
        """Say how far the prices are, and what time it is: four times a second."""
        if self._term is not None:
            self.flush()
            self._tell(self._log.last + 1, [])

    def _note(self, tick: Tick, now_ms: int, arrived_ms: int) -> None:
        self._unsaid.append((*tick, now_ms, arrived_ms))
        if self._joining is None:
            loop = asyncio.get_running_loop()
            self._joining = loop.call_later(JOINED_S, self.flush)

    @property
    def last(self) -> int:
        """The number of the newest tick that was taken."""
        return self._log.last + len(self._unsaid)

    def flush(self) -> int:
        """Say all that was taken now; returns the number of the newest."""
        if self._joining is not None:
            self._joining.cancel()
            self._joining = None
        unsaid, self._unsaid = self._unsaid, []
        for start in range(0, len(unsaid), _A_MESSAGE):
            first, entries = self._log.last + 1, unsaid[start : start + _A_MESSAGE]
            self._log.add(entries)
            self._tell(first, entries)
        return self._log.last

    def _tell(self, first: int, entries: Sequence[Entry]) -> None:
        assert self._term is not None
        self._say(_encode(Prices(self._term, first, self._clock(), self._before, entries)))

    def answer(self, message: bytes) -> bytes:
        """What a follower asks for, if this node is the owner, or was it last, and has it still."""
        question = _question.decode(message)
        term = self._term
        if term is None and self._owned == self._followed:
            term = self._owned
        if term is None:
            return _NOT_OWNER
        self.flush()
        if not question.first:
            whole = Whole(term, self._log.last, self._clock(), self._board.rows())
            return _encode(whole)
        if (entries := self._log.since(question.first, _A_MESSAGE)) is None:
            return _NOT_KEPT
        answer = Prices(term, question.first, self._clock(), self._before, entries)
        return _encode(answer)

    # -- a follower ------------------------------------------------------------

    async def catch_up(self, ask: Ask) -> None:
        """Before this node owns the prices: have what the former owner took last, if it lives."""
        with suppress(OSError):
            for _ in range(2):  # ticks first; if they do not go on from here, the whole
                first = self._first_missed
                self._take_answer(first, await ask(_encode(Question(first)), _ANSWER_S))
                if not self._needs_whole:
                    break

    def hear(self, message: bytes) -> None:
        """What the owner says."""
        prices = _prices.decode(message)
        if self._term is None and prices.term >= self._followed:
            self._heard_s = self._time_s()
            self._clock.hear(prices.now_ms, prices.term)
            self._take(prices)

    def _follow_another(self, prices: Prices) -> None:
        """A new owner: it may have come as far as this node or further, or not so far."""
        term, last = prices.before
        self._waiting.clear()
        if term != self._followed or last < self._log.last:
            self._needs_whole = True
            self._miss()
        self._followed = prices.term

    def _take(self, prices: Prices) -> None:
        if prices.term > self._followed:
            self._follow_another(prices)
        if prices.entries:
            known = self._waiting.get(prices.first, [])
            if prices.first + len(prices.entries) <= self._log.last + 1:
                self.doubled += 1
            elif len(prices.entries) > len(known):
                if len(self._waiting) >= _WAITING:
                    self._waiting.clear()  # what is missing is asked for
                self._waiting[prices.first] = prices.entries
            self._act()
        elif prices.first > self._log.last + 1:
            self._miss()

    def _act(self) -> None:
        """Act on all that follows without a gap."""
        if self._needs_whole:
            return
        for first in sorted(self._waiting):
            if first > self._log.last + 1:
                self._miss()
                return
            entries = self._waiting.pop(first)[self._log.last + 1 - first :]
            self._log.add(entries)
            try:
                for entry in entries:
                    self._repeat(entry)
            except Exception:
                self._needs_whole = True  # nothing has acted on the rest of them
                self._miss()
                raise
        self._missing_since_s = None

    def _repeat(self, entry: Entry) -> None:
        symbol, price_e4, as_of_ms, source, now_ms, arrived_ms = entry
        self._board.repeat(Tick(symbol, price_e4, as_of_ms, source), now_ms, arrived_ms)

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

    @property
    def _first_missed(self) -> int:
        return 0 if self._needs_whole else self._log.last + 1

    async def _ask_owner(self) -> bool:
        """Whether something came."""
        first = self._first_missed
        try:
            answer = await self._ask(_encode(Question(first)), _ANSWER_S)
        except OSError:
            answer = _NOT_OWNER
        return self._term is not None or self._take_answer(first, answer)

    def _take_answer(self, first: int, answer: bytes) -> bool:
        """Whether it is one."""
        if answer == _NOT_OWNER:
            return False
        if not first:
            return self._take_whole(_whole.decode(answer))
        if answer == _NOT_KEPT:
            self._needs_whole = True
        else:
            self._take_missed(_prices.decode(answer))
        return True

    def _take_missed(self, missed: Prices) -> None:
        if missed.term < self._followed:
            return
        before = self._log.last
        self._clock.hear(missed.now_ms, missed.term)
        self._take(missed)
        self.gaps += self._log.last - before
        if not missed.entries and not self._needs_whole:
            self._missing_since_s = None

    def _take_whole(self, whole: Whole) -> bool:
        if whole.term < self._followed:
            return False
        self._clock.hear(whole.now_ms, whole.term)
        self._followed = whole.term
        self._log.go_on_from(whole.last)
        self._board.take_over(whole.rows)
        self._needs_whole, self._missing_since_s = False, None
        self._heard_s = self._time_s()
        self._waiting = {
            first: entries
            for first, entries in self._waiting.items()
            if first + len(entries) > self._log.last + 1
        }
        self._act()
        return True
