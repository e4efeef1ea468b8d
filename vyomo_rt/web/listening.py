"""Where the server listens, and how many connections the system lets it have."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.limits import Pace

log = logging.getLogger(__name__)

_BACKLOG = 4096
_NO_FILE_LEFT = (errno.EMFILE, errno.ENFILE)
_AFTER_ERROR_S = 0.1
_LEAST_REST_S = 0.02
"""Beginning again costs as much as half a connection."""

_LONGEST_HOLD_S = 0.02
"""Longer than a beat to thousands; where beats never end, newcomers come in between."""

_FILES_KEPT_FREE = 64
_SOCKETS_FOR_REQUESTS = 16
_LEAST_FILES = 128
_NOTSENT_LOWAT_BYTES = 16 * 1024
_USER_TIMEOUT_MS = 30_000


def bind_sockets(host: str | None, port: int) -> list[socket.socket]:
    """Sockets on the host, or on both loopback addresses, whichever exist. Raises CannotStart."""
    if host is not None:
        return [_bound(host, port)]
    sockets = []
    for loopback in ("127.0.0.1", "::1"):
        try:
            sockets.append(_bound(loopback, port))
        except _NoSuchAddress:
            continue
        port = sockets[0].getsockname()[1]
    if not sockets:
        raise CannotStart("this machine has neither 127.0.0.1 nor ::1")
    return sockets


class _NoSuchAddress(CannotStart):
    pass


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise _NoSuchAddress(f"cannot listen on {host}: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _tune(sock)
        sock.bind(address)
        # Listen at once: two servers that start together may both bind, and the loop would not
        # report that only one can listen. Clients wait until the server is up.
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(
                f"port {port} on {host} is in use: stop the other program or choose a --port"
            ) from error
        kind_of = CannotStart if isinstance(error, PermissionError) else _NoSuchAddress
        raise kind_of(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return sock


def _tune(sock: socket.socket) -> None:
    """What every connection inherits: few unsent bytes in the kernel, an end after 30 s lost."""
    for name, value in (
        ("TCP_NOTSENT_LOWAT", _NOTSENT_LOWAT_BYTES),
        ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MS),
    ):
        if option := getattr(socket, name, None):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


class Acceptor:
    """Takes connections from the queues of listening sockets at a pace, whatever comes.

    Those that are here come before those that come: a loop that is busy takes fewer, and while
    ``is_busy``, such as with a beat, none for a few milliseconds.
    ``admit`` makes the protocol of a connection from that address, or refuses it by None.
    ``no_file_left`` is told when the process may not open another file.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        admit: Callable[[str], asyncio.Protocol | None],
        pace: Pace,
        no_file_left: Callable[[], None],
        is_busy: Callable[[], bool],
    ) -> None:
        self._listeners = listeners
        self._admit = admit
        self._pace = pace
        self._bucket_s = 0.0
        self._no_file_left = no_file_left
        self._is_busy = is_busy
        self._held_since_s = math.inf
        self._connecting: set[asyncio.Task[None]] = set()
        self._is_stopped = False
        self._resting: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, or go on."""
        loop = asyncio.get_running_loop()
        self._resting = None
        for listener in self._listeners:
            listener.setblocking(False)
            loop.add_reader(listener.fileno(), self._accept, listener)

    def stop(self) -> None:
        """Accept nothing more; who connects now is refused."""
        if self._resting is None:
            self._remove_readers()
        else:
            self._resting.cancel()
        self._is_stopped = True
        for listener in self._listeners:
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        """Take a connection; the loop does everything else before it takes the next one."""
        if self._has_to_hold() or (accepted := self._next(listener)) is None:
            return
        connection, host = accepted
        if (protocol := self._admit(host)) is None:
            connection.close()
            return
        task = asyncio.create_task(self._connect(protocol, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, protocol: asyncio.Protocol, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted)
        except OSError:  # it has left already
            accepted.close()
            return
        # Not cancelled in between: uvloop would close the handle under a protocol that is told
        # of a connection, and whose transport does not know.
        if self._is_stopped:
            transport.abort()

    def _has_to_hold(self) -> bool:
        """Whether newcomers wait; meanwhile the loop turns, and asks again in each turn."""
        if not self._is_busy():
            self._held_since_s = math.inf
            return False
        now_s = asyncio.get_running_loop().time()
        self._held_since_s = min(self._held_since_s, now_s)
        return now_s - self._held_since_s < _LONGEST_HOLD_S

    def _next(self, listener: socket.socket) -> tuple[socket.socket, str] | None:
        """A connection and its address; None if none is there, or it is not yet time for one."""
        now_s = asyncio.get_running_loop().time()
        if wait_s := self._pace.wait_s(self._bucket_s, now_s):
            self._rest(max(wait_s, _LEAST_REST_S))
            return None
        try:
            accepted, address = listener.accept()
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _NO_FILE_LEFT:
                self._no_file_left()
            self._rest(_AFTER_ERROR_S)
            return None
        self._bucket_s = self._pace.taken(self._bucket_s, now_s)
        return accepted, address[0]

    def _rest(self, wait_s: float) -> None:
        self._remove_readers()
        self._resting = asyncio.get_running_loop().call_later(wait_s, self.start)

    def _remove_readers(self) -> None:
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener.fileno())


class FileLimits(NamedTuple):
    """How many files the process may open, and for what."""

    files: int
    sockets: int
    """Accepted ones; the rest is for the store."""
    streams: int
    """Of the sockets; the rest is for requests."""


def file_limits(wanted: int) -> FileLimits:
    """How many of the wanted streams the process's file limit allows, raised as far as possible.

    Raises CannotStart if it allows next to nothing.
    """
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if files == resource.RLIM_INFINITY:
        files = sys.maxsize
    if files < _LEAST_FILES:
        raise CannotStart(
            f"the limit of open files is {files}, and the server needs {_LEAST_FILES} or more: "
            "raise it (`ulimit -n`, systemd's `LimitNOFILE=`)"
        )
    sockets = files - _FILES_KEPT_FREE
    streams = min(wanted, sockets - _SOCKETS_FOR_REQUESTS)
    if streams < wanted:
        log.warning("only %d connections fit into the file limit of %d", streams, files)
    return FileLimits(files, sockets, streams)
