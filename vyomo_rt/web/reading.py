"""How fast clients are read: together only a part of the time, and each at its own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from vyomo_rt.domain.limits import Pace
from vyomo_rt.wire.closing import CloseCode

if TYPE_CHECKING:
    from vyomo_rt.web.connection import WebSocketConnection

_SLICE_S, _REST_S = 0.001, 0.002
_HASTE_S = 10.0


class ReadingTurns:
    """Connections that sent more than is read at once: served in turn, a third of the time.

    However much clients send, the others wait for one slice of it at most, and the driver's
    threads, which need the interpreter too, get on with the trades.
    """

    def __init__(self, slice_s: float = _SLICE_S, rest_s: float = _REST_S) -> None:
        self._slice_s = slice_s
        self._rest_s = rest_s
        self._waiting: deque[WebSocketConnection] = deque()
        self._is_due = False

    def add(self, connection: WebSocketConnection, *, first: bool = False) -> None:
        """It wants to read on: last, or before all others."""
        if first:
            self._waiting.appendleft(connection)
        else:
            self._waiting.append(connection)
        self._continue()

    def _continue(self) -> None:
        if self._waiting and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(self._rest_s, self._serve)

    def _serve(self) -> None:
        until_s = monotonic() + self._slice_s
        while self._waiting and monotonic() < until_s:
            self._waiting.popleft().read_on()
        self._is_due = False
        self._continue()


class Haste:
    """Connections that send more messages than they may: read on at their pace, in one sweep.

    One that has not calmed down after ten seconds is closed. Times are those of ``time_s``.
    """

    def __init__(self, pace: Pace, time_s: Callable[[], float]) -> None:
        self._pace = pace
        self._time_s = time_s
        self._since_s: dict[WebSocketConnection, float] = {}

    def may_take(self, connection: WebSocketConnection) -> bool:
        """Whether a connection's next message may be carried out now; then it counts."""
        now_s = self._time_s()
        if self._pace.wait_s(connection.bucket_s, now_s):
            self._since_s.setdefault(connection, now_s)
            return False
        connection.bucket_s = self._pace.taken(connection.bucket_s, now_s)
        return True

    def sweep(self) -> None:
        """Let each go on as far as it may; call it every 100 ms."""
        now_s = self._time_s()
        for connection, since_s in list(self._since_s.items()):
            must_wait = self._pace.wait_s(connection.bucket_s, now_s)
            if connection.closed or not (must_wait or connection.is_behind):
                del self._since_s[connection]
            elif now_s - since_s >= _HASTE_S:
                connection.close(CloseCode.TOO_FAST, "too many messages")
            else:
                connection.awaiting_pong = False  # it would be read too late
                if not must_wait:
                    connection.ask_for_turn()
