"""Where the server listens, and how many connections the system lets it have."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

from vyomo_rt.domain.errors import CannotStart

log = logging.getLogger(__name__)

_BACKLOG = 4096
ACCEPTED_AT_ONCE = 32
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


async def accept_on(sock: socket.socket, connect: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    """Accept connections on a bound socket."""
    loop = asyncio.get_running_loop()
    # asyncio accepts this many in one step, and tries this often when no file is left.
    server = await loop.create_server(connect, sock=sock, backlog=ACCEPTED_AT_ONCE)
    sock.listen(_BACKLOG)
    return server


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
