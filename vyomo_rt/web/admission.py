"""How many sockets may be open, and how long one may be silent: one sweep for all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sized
from itertools import chain, islice, takewhile

from aiohttp import web
from aiohttp.typedefs import Handler

from vyomo_rt.clockwork import Clockwork
from vyomo_rt.web.addresses import Addresses
from vyomo_rt.web.bodies import RequestUnfinished
from vyomo_rt.web.listening import FileLimits

log = logging.getLogger(__name__)

_OVERLAP = 32
"""A closing socket keeps its file until the loop's next turn."""

_WARN_AGAIN_S = 60.0


class Admission:
    """Every accepted socket, and what it waits for.

    Times are those of `Clockwork.time_s`: a client is not blamed while this process stands still.
    """

    def __init__(
        self,
        clock: Clockwork,
        limits: FileLimits,
        streams: Sized,
        addresses: Addresses,
        *,
        request_timeout_s: float,
        idle_timeout_s: float,
    ) -> None:
        self.sweep_ms = max(1, int(1000 * min(1.0, request_timeout_s / 4, idle_timeout_s / 4)))
        self._clock = clock
        self._limits = limits
        self._streams = streams
        self._addresses = addresses
        self._request_timeout_s = request_timeout_s
        self._idle_timeout_s = idle_timeout_s
        # Since when each waits for its client: for the first request, or for another one. Both
        # are in the order of these times.
        self._new: dict[web.RequestHandler, float] = {}
        self._idle: dict[web.RequestHandler, float] = {}
        # The request that is answered, and from when on its body is due.
        self._busy: dict[web.RequestHandler, tuple[web.Request, float]] = {}
        self._ending: set[web.RequestHandler] = set()
        self._warned_s: float | None = None

    def __len__(self) -> int:
        parts: tuple[Sized, ...] = (self._new, self._idle, self._busy, self._ending, self._streams)
        return sum(map(len, parts))

    # -- one connection ----------------------------------------------------------

    def admit(
        self, connect: Callable[[], web.RequestHandler], host: str
    ) -> web.RequestHandler | None:
        """The protocol of a socket that was just accepted; None if it is to be dropped.

        At the limit the client that has been silent longest makes room; if all are being served,
        the newcomer is dropped. In the kernel's queue it would only wait in vain.
        """
        if self._addresses.refuses(host):
            return None
        excess = len(self) - self._limits.sockets
        if excess >= 0 and (excess >= _OVERLAP or not self._make_room()):
            self._warn()
            return None
        return connect()

    def enter(self, connection: web.RequestHandler) -> None:
        """It is connected."""
        self._addresses.arrive(connection)
        self._new[connection] = self._clock.time_s()

    def leave(self, connection: web.RequestHandler) -> None:
        """It has ended, or become a stream."""
        self._addresses.depart(connection)
        self._new.pop(connection, None)
        self._idle.pop(connection, None)
        self._busy.pop(connection, None)
        self._ending.discard(connection)

    @web.middleware
    async def track(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Track which connections have a request that is being answered."""
        connection = request.protocol
        if not connection.connected:
            raise ConnectionResetError("ended before its request was looked at")
        now_s = self._clock.time_s()
        # Head and body of a first request count together.
        since_s = self._new.pop(connection, now_s)
        self._idle.pop(connection, None)
        self._busy[connection] = (request, since_s + self._request_timeout_s)
        try:
            return await handler(request)
        finally:
            if self._busy.pop(connection, None):
                self._idle[connection] = self._clock.time_s()

    # -- all of them -------------------------------------------------------------

    def sweep(self) -> None:
        """End connections that have waited too long for their client."""
        now_s = self._clock.time_s()
        for waiting, timeout_s in (
            (self._new, self._request_timeout_s),
            (self._idle, self._idle_timeout_s),
        ):
            due = takewhile(lambda c: waiting[c] + timeout_s <= now_s, waiting)  # noqa: B023
            for connection in list(due):
                self._end(connection)
        for request in list(self._unfinished(now_s)):
            words = f"the body did not come within {self._request_timeout_s:g} s"
            request.content.set_exception(RequestUnfinished(words))

    def no_file_left(self) -> None:
        """The process may not open another file: somebody has to make room."""
        self._warn()
        self._make_room()

    def _unfinished(self, now_s: float) -> Iterator[web.Request]:
        for request, due_s in self._busy.values():
            if due_s <= now_s and not request.content.is_eof():
                yield request

    def _make_room(self) -> bool:
        """End a connection that waits for its client, the longest idle one first."""
        first = [*islice(self._new.items(), 1), *islice(self._idle.items(), 1)]
        first.sort(key=lambda waiting: waiting[1])
        unfinished = (c for c, (request, _) in self._busy.items() if not request.content.is_eof())
        longest = next(chain((connection for connection, _ in first), unfinished), None)
        if longest is None:
            return False
        self._end(longest)
        return True

    def _end(self, connection: web.RequestHandler) -> None:
        if busy := self._busy.get(connection):
            # Or its handler would take the end for a fault of the server.
            busy[0].content.set_exception(ConnectionResetError("ended to make room"))
        self.leave(connection)
        self._ending.add(connection)
        connection.force_close()

    def _warn(self) -> None:
        now_s = self._clock.time_s()
        if self._warned_s is None or now_s - self._warned_s >= _WARN_AGAIN_S:
            self._warned_s = now_s
            log.warning("no file left for new connections (limit %d)", self._limits.files)
