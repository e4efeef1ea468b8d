"""How a caller says who it is: where a request may carry a token, and which of them counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from vyomo_rt.domain.audit import What
from vyomo_rt.domain.errors import Forbidden, Unauthorized
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.news import Matter
from vyomo_rt.web.addresses import CLIENT
from vyomo_rt.web.handshake import offered_tokens
from vyomo_rt.web.origins import Origins
from vyomo_rt.web.routes import Route, require_few_parameters
from vyomo_rt.wire.query import ticket_query

if TYPE_CHECKING:
    from vyomo_rt.access.gate import Gate

COOKIE = "vyomo-rt"
_SAFE = frozenset((hdrs.METH_GET, hdrs.METH_HEAD))


class WaysIn:
    """Finds the grant of a request.

    The first credential that is there counts: ``Authorization``, a subprotocol, a ticket, a
    cookie. A bad one is not made good by another.
    """

    def __init__(self, gate: Gate | None, origins: Origins) -> None:
        """Without a ``gate`` everybody may do everything, whatever the request carries."""
        self._gate = gate
        self._origins = origins

    async def grant_of(self, request: web.Request, route: Route) -> Grant:
        """What the caller may do. Raises Unauthorized, RateLimited, Forbidden or Unavailable."""
        gate, stream = self._gate, route.stream
        if gate is None:
            return Grant.EVERYTHING
        client = request[CLIENT]
        with gate.attempts.counted(client.key, client.shown):
            grant = await self._find(gate, request, route)
            if grant is not None and stream is not None:
                gate.require_fresh(grant)
        if grant is None and stream is not None and stream.takes_auth:
            return Grant.NOTHING
        if grant is None:
            raise Unauthorized("a token is needed: send Authorization: Bearer and the token")
        return grant

    def count(self, grant: Grant, route: Route) -> None:
        """Count a call, whatever becomes of it. Raises RateLimited if it is one too many."""
        if self._gate is not None and grant.subject is not None and route.is_call:
            self._gate.calls.take(grant.subject)

    def note_refusal(self, grant: Grant, request: web.Request, route: Route, why: str) -> None:
        """Remember that a role was not enough."""
        if self._gate is not None:
            detail = f"{request.method} {route.path}: {why}"
            self._gate.audit.note(What.REFUSED, grant.subject, request[CLIENT].shown, detail)

    def require_standing(self, grant: Grant) -> None:
        """Raise Unauthorized if a grant was taken back since it was found."""
        if self._gate is not None and grant is not Grant.NOTHING:
            self._gate.require_standing(grant)

    async def _find(self, gate: Gate, request: web.Request, route: Route) -> Grant | None:
        stream = route.stream
        if hdrs.AUTHORIZATION in request.headers:
            return await gate.by_token(_bearer(request))
        if stream is not None and stream.is_websocket and (tokens := offered_tokens(request)):
            if len(tokens) > 1:
                raise Unauthorized("offer one token", "Sec-WebSocket-Protocol")
            return await gate.by_token(tokens[0])
        if stream is not None and _has_ticket(request):
            return await self._by_ticket(gate, request)
        takes_cookie = stream is None or stream.takes_auth or route.is_event_stream
        if takes_cookie and (cookie := request.cookies.get(COOKIE)) is not None:
            if gate.entries.are_shared:
                await gate.entries.fetch(cookie)
            grant = gate.entries.by_cookie(cookie)
            if request.method not in _SAFE:
                self._require_own_page(request)
            return grant
        return None

    async def _by_ticket(self, gate: Gate, request: web.Request) -> Grant:
        tickets = request.query.getall("ticket")
        if len(tickets) > 1:
            raise Unauthorized("send one ticket", "ticket")
        query = ticket_query(request.rel_url.raw_query_string)
        only_look = request.method == hdrs.METH_HEAD
        if gate.entries.are_shared:
            await gate.entries.fetch(tickets[0], None if only_look else (request.path, query))
        grant = gate.entries.use_ticket(tickets[0], request.path, query, only_look=only_look)
        if grant.one_stream:
            await gate.tell(Matter.USED, grant.entry or "")
        return grant

    def _require_own_page(self, request: web.Request) -> None:
        """A browser sends the cookie whoever asks it to, so the page that asks is looked at."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or not self._origins.is_own(origin, request.headers.get(hdrs.HOST)):
            words = "with a cookie, only a page of this server may change something"
            raise Forbidden(words, "Origin")


def _has_ticket(request: web.Request) -> bool:
    if "ticket=" not in request.rel_url.raw_query_string:
        return False
    require_few_parameters(request)
    return "ticket" in request.query


def _bearer(request: web.Request) -> str:
    lines = request.headers.getall(hdrs.AUTHORIZATION)
    scheme, _, token = lines[0].partition(" ")
    if len(lines) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("expected one Authorization: Bearer and the token")
    return token.strip()
