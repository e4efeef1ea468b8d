"""Records what happens, in its order, while a thread writes it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from datetime import date

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import DAY_MS, day_start_ms, trading_day
from vyomo_rt.recording.files import RecordFile
from vyomo_rt.wire.record import CallLine, call_line, tick_line

log = logging.getLogger(__name__)

MAX_WAITING = 200_000
"""Lines that wait for the disk; more are lost, because memory has an end."""

LATE_MS = 5_000
"""A tick that came later than this after the moment it names is recorded with both."""

_AT_LEAST_S = 0.005
"""Between two writes: a busy source makes few large ones."""
_RETRY_S = 1.0
_LAST_WRITE_S = 2.0
_LINES_A_WRITE = 5_000
_LOSSES_TOLD_EVERY_S = 60.0


class RecordedCall:
    """The place of a call among the ticks, taken when it is carried out."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        self.line: CallLine | None = None
        self.is_over = False
        """Whether ``line`` is final; without one it has made and changed nothing."""


_Tick = tuple[str, int, int, int]
"""A symbol, its price, the moment that its source names, and when it came."""


class Recorder:
    """Takes ticks and calls at once; a thread of its own writes them.

    The day of a line is that of the market's clock when it came.
    """

    def __init__(self, file: RecordFile, now_ms: int) -> None:
        """``now_ms`` is the market's time."""
        self._file = file
        self._day = trading_day(now_ms)
        self._day_ends_ms = day_start_ms(self._day) + DAY_MS
        self._waiting: deque[_Tick | RecordedCall] = deque()
        self._waking = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._clock_ms = 0
        """The market's time as it follows from the lines so far."""
        self.lost = 0
        """Lines that are not in the record: the disk was full, or too slow."""
        self._lost_told = 0
        self._told_at_s = -_LOSSES_TOLD_EVERY_S

    def start(self) -> None:
        """Open the file, and begin to write. Raises CannotStart."""
        self._file.begin(self._day)
        self._thread.start()

    def take_tick(self, symbol: str, price_e4: int, as_of_ms: int, now_ms: int) -> None:
        """Record a tick that was accepted."""
        self._take((symbol, price_e4, as_of_ms, now_ms))

    def begin_call(self, at_ms: int) -> RecordedCall:
        """Record a call here, at its moment of the market, if it turns out to have an effect."""
        call = RecordedCall(at_ms)
        self._take(call)
        return call

    def end_call(self, call: RecordedCall) -> None:
        """It is known what became of a call."""
        call.is_over = True
        self._waking.set()

    def _take(self, item: _Tick | RecordedCall) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self.lost += 1
            return
        self._waiting.append(item)
        if not self._waking.is_set():
            self._waking.set()

    def close(self) -> None:
        """Write what is left, and end the file; no tick may come any more."""
        self._ending.set()
        self._waking.set()
        self._thread.join()

    # -- in the thread -----------------------------------------------------------

    def _run(self) -> None:
        while not self._ending.is_set():
            self._waking.wait()
            self._waking.clear()
            self._write_waiting()
            self._tell_losses()
            self._ending.wait(_AT_LEAST_S)
        self._write_waiting()
        try:
            self._file.end()
        except OSError as error:
            log.warning("the record could not be ended: %s", error.strerror)

    def _write_waiting(self) -> None:
        while lines := self._next_lines():
            self._file.add(b"".join(lines))
            self._flush()

    def _next_lines(self) -> list[bytes]:
        """What is to be written next, of one day; ends before a call that is under way."""
        lines: list[bytes] = []
        while self._waiting and len(lines) < _LINES_A_WRITE:
            item = self._waiting[0]
            came_ms = item.at_ms if isinstance(item, RecordedCall) else item[3]
            if not self._day_ends_ms - DAY_MS <= came_ms < self._day_ends_ms:
                if lines:
                    break
                self._change_day(came_ms)
            if isinstance(item, RecordedCall):
                if not item.is_over and not self._ending.is_set():
                    break
                if item.line is not None:
                    self._clock_ms = max(self._clock_ms, item.at_ms)
                    lines.append(call_line(item.line))
            else:
                lines.append(self._tick_line(*item))
            self._waiting.popleft()
        return lines

    def _tick_line(self, symbol: str, price_e4: int, as_of_ms: int, came_ms: int) -> bytes:
        clock_ms = max(self._clock_ms, as_of_ms)
        is_late = came_ms - clock_ms > LATE_MS
        self._clock_ms = came_ms if is_late else clock_ms
        return tick_line(symbol, price_e4, as_of_ms, came_ms if is_late else None).encode()

    def _change_day(self, now_ms: int) -> None:
        day = trading_day(now_ms)
        if day > self._day:
            self._rotate(day)
        # A clock that is set back writes into the file that there is.
        self._day_ends_ms = day_start_ms(day) + DAY_MS

    def _rotate(self, day: date) -> None:
        try:
            self._file.change_day(self._day, day)
        except (OSError, CannotStart) as error:
            log.warning("the record of %s could not be set aside: %s", self._day, error)
        self._day = day

    def _flush(self) -> None:
        """Write, again and again while the disk takes nothing."""
        is_told = False
        ends_at_s = None
        while True:
            try:
                self._file.flush()
            except OSError as error:
                if not is_told:
                    log.warning("the record cannot be written and waits: %s", error.strerror)
                    is_told = True
            else:
                if is_told:
                    log.info("the record is written again")
                return
            if self._ending.wait(_RETRY_S):
                ends_at_s = ends_at_s or time.monotonic() + _LAST_WRITE_S
                if time.monotonic() > ends_at_s:
                    return
                time.sleep(_AT_LEAST_S)

    def _tell_losses(self) -> None:
        now_s = time.monotonic()
        if self.lost > self._lost_told and now_s - self._told_at_s >= _LOSSES_TOLD_EVERY_S:
            self._told_at_s, self._lost_told = now_s, self.lost
            log.error("the record lacks %d lines: the disk took them too slowly", self.lost)
