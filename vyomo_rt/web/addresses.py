"""Where each request comes from, and how many connections each address has open."""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler

from vyomo_rt.domain.errors import RateLimited
from vyomo_rt.domain.limits import Tally
from vyomo_rt.web import problems
from vyomo_rt.web.forwarded import Address, Proxies, key_of, read_address

CROWDED = "too many connections from this address: try again later"
_RETRY_AFTER_S = 1.0
_STREAMS = ("/ws/", "/sse/")


class Client(NamedTuple):
    """The other end of a request's connection, or of the one that a proxy passes on."""

    shown: str
    """For people: its address, with the port if that is known."""
    key: str
    """What its address is counted by."""
    seat: str | None
    """The same for connections; None if they are not counted, because it is this machine."""
    crowded: bool
    """Whether its address has too many connections."""


CLIENT = web.RequestKey("client", Client)
"""Where a request carries its client."""


class Addresses:
    """Counts connections by address.

    A direct client's socket counts from the moment it is accepted, whatever it then does. The
    sockets of a trusted proxy count for nobody: behind it a client's requests count while they
    are answered, and its streams while they are open.
    """

    def __init__(self, trusted_proxies: Sequence[str], limit: int) -> None:
        self._proxies = Proxies(trusted_proxies)
        self.seats = Tally(limit)
        # The direct clients' connections that count, and whether each was one too many.
        self._direct: dict[web.RequestHandler, tuple[str, bool]] = {}

    def refuses(self, host: str) -> bool:
        """Whether a new socket is not even answered.

        Whatever is over the limit is told so, which takes a socket; but not without end.
        """
        seat = self._seat(read_address(host))
        return seat is not None and self.seats.count(seat) >= 2 * self.seats.limit

    def arrive(self, connection: web.RequestHandler) -> None:
        """A connection was accepted."""
        if (seat := self._seat(_peer(connection)[0])) is not None:
            self._direct[connection] = seat, not self.seats.enter(seat)

    def depart(self, connection: web.RequestHandler) -> None:
        """It has ended, or become a stream. Idempotent."""
        if found := self._direct.pop(connection, None):
            self.seats.leave(found[0])

    @web.middleware
    async def locate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Put its client into the request; refuse calls of an address with too many connections.

        Streams are refused by their own handlers, in words that their clients read.
        """
        peer, shown = _peer(request.protocol)
        if peer is None or not self._proxies.trusts(peer):
            seat, crowded = self._direct.get(request.protocol, (None, False))
            key = intern(shown if peer is None else key_of(peer))
            return await self._pass(request, handler, Client(shown, key, seat, crowded))
        address = self._proxies.client(peer, request.headers)
        # A client that cannot be told from others counts as the proxy, which then has a limit.
        key = intern(str(peer) if address is None else key_of(address))
        if address != peer:
            shown = f"{address or 'unknown'} through {shown}"
        if address is not None and address.is_loopback:
            return await self._pass(request, handler, Client(shown, key, None, crowded=False))
        crowded = not self.seats.enter(key)
        try:
            return await self._pass(request, handler, Client(shown, key, key, crowded))
        finally:
            self.seats.leave(key)

    async def _pass(
        self, request: web.Request, handler: Handler, client: Client
    ) -> web.StreamResponse:
        request[CLIENT] = client
        if client.crowded and not request.path.startswith(_STREAMS):
            response = problems.answer(RateLimited(CROWDED, _RETRY_AFTER_S))
            response.force_close()
            return response
        return await handler(request)

    def _seat(self, peer: Address | None) -> str | None:
        if peer is None or peer.is_loopback or self._proxies.trusts(peer):
            return None
        return key_of(peer)


def _peer(connection: web.RequestHandler) -> tuple[Address | None, str]:
    """The address at the other end of a socket, and how it is shown with its port."""
    transport = connection.transport
    name: Any = transport.get_extra_info("peername") if transport is not None else None
    if not name:
        return None, "unknown"
    host, port = name[:2]
    return read_address(host), f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
