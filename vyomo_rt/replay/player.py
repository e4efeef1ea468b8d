"""Plays a recorded day: ticks, calls, and what the clock decides between them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from time import monotonic, perf_counter
from typing import NamedTuple, TypeVar

from vyomo_rt.domain.moment import MINUTE_MS, iso, minute_of
from vyomo_rt.domain.replay import ReplayState
from vyomo_rt.market.board import Board
from vyomo_rt.market.feed import Feed
from vyomo_rt.recording.day import RecordedDay
from vyomo_rt.replay.calls import Calls
from vyomo_rt.replay.clock import ReplayClock
from vyomo_rt.trading.desk import Desk
from vyomo_rt.wire.record import RecordLine, recorded_tick

log = logging.getLogger(__name__)

T = TypeVar("T")

_TURN_S = 0.004
"""After this long the loop may turn, however fast the record is played."""
_SHOWN_S = 0.95
"""For so long clients are shown the same time: it is told each second."""
_LOOK_EVERY = 64
"""Ticks between two looks at the time."""


class Speed(NamedTuple):
    """How fast a replay goes, and until when it goes as fast as it can."""

    rate: float
    from_ms: int = 0
    is_paused: bool = False


class Player:
    """Takes the lines of a record, one by one, to the board and to the desk.

    The market's clock stands while one is taken, and until what it decided is stored. Moments at
    which the clock decides something lie between lines, and are taken alike.
    """

    def __init__(
        self,
        day: RecordedDay,
        clock: ReplayClock,
        speed: Speed,
        *,
        feed: Feed,
        board: Board,
        desk: Desk,
        calls: Calls,
        on_minute: Callable[[], Awaitable[None]],
    ) -> None:
        """``on_minute`` is called as each minute of the market begins."""
        self.speed = speed
        self.is_over = False
        self._day = day
        self._clock = clock
        self._feed = feed
        self._board = board
        self._desk = desk
        self._calls = calls
        self._on_minute = on_minute
        self._changed = asyncio.Event()
        self._turn_ends_s = 0.0
        self._shown_ms = clock.at_ms
        self._shown_until_s = 0.0
        self._minute_ends_ms = _next_minute_ms(clock.at_ms)

    def state(self) -> ReplayState:
        """How far it has come, to be shown: its time changes once a second at most."""
        now_s = monotonic()
        if now_s >= self._shown_until_s or self.speed.is_paused or self.is_over:
            self._shown_ms, self._shown_until_s = self._clock(), now_s + _SHOWN_S
        return ReplayState(self._shown_ms, self.speed.rate, self.speed.is_paused, self.is_over)

    def change(self, rate: float | None, is_paused: bool | None) -> None:
        """Go faster or slower from here on, or stand still, or go on."""
        speed = self.speed
        if rate is not None:
            speed = speed._replace(rate=rate, from_ms=0)
        if is_paused is not None:
            speed = speed._replace(is_paused=is_paused)
        self.speed = speed
        self._clock.stop()
        if not speed.is_paused:
            self._clock.start(self._running_rate)
        self._changed.set()

    async def run(self) -> None:
        """Play the record to its end; there the clock stands."""
        log.info("playing %s from %s on", self._day.path, iso(self._clock.at_ms))
        self._clock.start(self._running_rate)
        lines = iter(self._day)
        while (block := await asyncio.to_thread(_next, lines)) is not None:
            await self._play(block)
        self.is_over = True
        words = f"the record is over: the market's clock stands at {iso(self._clock.at_ms)}"
        self._feed.resting = words
        log.info("%s", words)

    async def _play(self, lines: list[RecordLine]) -> None:
        clock, board, undecided = self._clock, self._board, self._desk.undecided
        source = self._feed.source
        for count, line in enumerate(lines):
            if line.call is not None:
                await self._call(line)
                continue
            tick = recorded_tick(line, source)
            if tick is None:
                board.refuse(source, None, "a line is neither a tick nor a call")
                continue
            at_ms = line.at or tick.as_of_ms or 0
            if at_ms > clock.at_ms:
                if at_ms < self._desk.due_ms and at_ms < self._minute_ends_ms and self._flies:
                    clock.set(at_ms)
                else:
                    await self._go_to(at_ms)
            board.accept(tick)
            if undecided:
                await self._desk.rest()
            if not count % _LOOK_EVERY and perf_counter() > self._turn_ends_s:
                await self._turn()

    @property
    def _flies(self) -> bool:
        """Whether lines are taken as fast as possible."""
        speed = self.speed
        return speed.rate == math.inf and not speed.is_paused

    @property
    def _running_rate(self) -> float:
        """The rate at which the clock runs between lines, where it runs at all."""
        return 1.0 if self.speed.rate == math.inf else self.speed.rate

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        self._turn_ends_s = perf_counter() + _TURN_S

    async def _call(self, line: RecordLine) -> None:
        if line.at is not None and line.at > self._clock.at_ms:
            await self._go_to(line.at)
        await self._calls.carry_out(line)
        await self._desk.rest()

    async def _go_to(self, at_ms: int) -> None:
        """Let the market come to a moment; what the clock decides before is stored at its own."""
        while (due_ms := min(self._desk.due_ms, self._minute_ends_ms)) <= at_ms:
            await self._wait_until(max(int(due_ms), self._clock.at_ms))
            self._desk.pass_time()
            await self._desk.rest()
            if self._clock.at_ms >= self._minute_ends_ms:
                self._minute_ends_ms = _next_minute_ms(self._clock.at_ms)
                await self._on_minute()
        await self._wait_until(at_ms)

    async def _wait_until(self, at_ms: int) -> None:
        clock = self._clock
        while True:
            self._changed.clear()
            speed = self.speed
            if speed.is_paused:
                await self._changed.wait()
                continue
            if speed.rate == math.inf or at_ms <= speed.from_ms:
                break
            if clock.at_ms < speed.from_ms:
                clock.set(speed.from_ms)
                clock.start(speed.rate)
            delay_s = clock.run_to(at_ms)
            if delay_s <= 0:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._changed.wait()
        clock.set(at_ms)


def _next_minute_ms(at_ms: int) -> int:
    return minute_of(at_ms) + MINUTE_MS


def _next(lines: Iterator[T]) -> T | None:
    return next(lines, None)
