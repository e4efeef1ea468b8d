"""The REST calls about who the caller is, and who may come in."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from aiohttp import hdrs, web
from msgspec import Struct, UnsetType

from vyomo_rt.domain.audit import What
from vyomo_rt.domain.entry import FRONT_DOOR
from vyomo_rt.domain.errors import Conflict, Forbidden, Unauthorized
from vyomo_rt.domain.grant import Grant, Need
from vyomo_rt.domain.moment import WallClock, iso
from vyomo_rt.domain.news import Matter
from vyomo_rt.stream.rights import Rights
from vyomo_rt.web.addresses import CLIENT
from vyomo_rt.web.answers import json_answer
from vyomo_rt.web.bodies import read_body
from vyomo_rt.web.guard import GRANT
from vyomo_rt.web.origins import Origins
from vyomo_rt.web.routes import API, Route
from vyomo_rt.web.ways_in import COOKIE
from vyomo_rt.wire.access import (
    Me,
    NewRevocation,
    NewTicket,
    RevocationDocument,
    SignIn,
    Ticket,
    me,
    revocation_document,
)
from vyomo_rt.wire.decoding import convert_body, parse_body
from vyomo_rt.wire.query import ticket_query

if TYPE_CHECKING:
    from vyomo_rt.access.gate import Gate

T = TypeVar("T", bound=Struct)

_MAX_BODY_BYTES = 64 * 1024
_CREATED, _CONFLICT, _AWAY = HTTPStatus.CREATED, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
_UNAUTHORIZED = HTTPStatus.UNAUTHORIZED


class AccessRoutes:
    """Handlers of the calls about access."""

    def __init__(self, gate: Gate | None, rights: Rights, origins: Origins, now: WallClock) -> None:
        self._open_gate = gate
        self._rights = rights
        self._origins = origins
        self._now = now

    def routes(self) -> list[Route]:
        """The table of the calls."""
        refused, none = (_CONFLICT, _AWAY), HTTPStatus.NO_CONTENT
        # fmt: off
        return [
            Route("GET", f"{API}/me", Need.ENTER, self.show_me, "access", Me),
            Route("POST", f"{API}/tickets", Need.ENTER, self.issue_ticket, "access", Ticket,
                  _CREATED, body=(NewTicket,), refuses=refused),
            Route("POST", f"{API}/sign-in", None, self.sign_in, "access", Me,
                  body=(SignIn,), refuses=(_UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, *refused)),
            Route("POST", f"{API}/sign-out", Need.ENTER, self.sign_out, "access", None, none,
                  refuses=(_AWAY,)),
            Route("POST", f"{API}/revocations", Need.ADMINISTER, self.revoke, "access",
                  RevocationDocument, _CREATED, body=(NewRevocation,), refuses=refused),
        ]
        # fmt: on

    @property
    def _gate(self) -> Gate:
        """Raises Conflict without access control."""
        if self._open_gate is None:
            words = "there is no access control: start the server with VYOMO_RT_AUTH_KEY"
            raise Conflict(words, "path")
        return self._open_gate

    async def show_me(self, request: web.Request) -> web.Response:
        """Show who the caller is, and what it may do."""
        return json_answer(me(request[GRANT]))

    async def issue_ticket(self, request: web.Request) -> web.Response:
        """Make a ticket, for where no header can be sent.

        It opens the stream at ``path`` and ``query`` as `?ticket=`: a WebSocket once, Server-Sent
        Events until the token expires, one stream at a time. For `/` it is good for a sign-in.
        """
        gate = self._gate
        if hdrs.AUTHORIZATION not in request.headers:
            raise Unauthorized("a ticket is made of a token: send Authorization: Bearer")
        wanted = await _read(request, NewTicket)
        wanted.require_use()
        grant = request[GRANT]
        gate.require_standing(grant)
        path, query = unquote(wanted.path), ticket_query(wanted.query)
        ticket, use_by_ms = await gate.entries.issue_ticket(grant, path, query)
        return json_answer(Ticket(ticket, iso(use_by_ms)), _CREATED)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Sign a browser in, which gets a cookie until the token expires."""
        gate = self._gate
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and not self._origins.is_own(origin, request.headers.get(hdrs.HOST)):
            raise Forbidden("only a page of this server may sign in here", "Origin")
        given = await _read(request, SignIn)
        client = request[CLIENT]
        with gate.attempts.counted(client.key, client.shown):
            if isinstance(given.token, UnsetType):
                assert isinstance(given.ticket, str)
                if gate.entries.are_shared:
                    await gate.entries.fetch(given.ticket, (FRONT_DOOR, ""))
                grant = gate.entries.use_ticket(given.ticket, FRONT_DOOR, "")
            else:
                grant = await gate.by_fresh_token(given.token)
        gate.audit.note(What.SIGN_IN, grant.subject, client.shown, f"as {grant.role}")
        secret = await gate.entries.sign_in(grant)
        response = json_answer(me(grant))
        self._set_cookie(response, secret, origin, self._lasts_s(grant))
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the sign-in of the cookie, and everything that was opened with it."""
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        entry = request[GRANT].entry
        if self._open_gate is not None and entry is not None:
            self._open_gate.entries.end(entry)
            self._rights.end_entry(entry)
            by = request[GRANT].subject
            self._open_gate.audit.note(What.SIGN_OUT, by, request[CLIENT].shown, "")
            await self._open_gate.entries.keep()
            await self._open_gate.tell(Matter.ENDED, entry)
        self._set_cookie(response, "", request.headers.get(hdrs.ORIGIN), 0)
        return response

    async def revoke(self, request: web.Request) -> web.Response:
        """Take tokens back, with all that they have opened.

        One of ``jti``, ``sub`` (what was issued to it up to now) and ``issuedBefore``. It counts
        at once, and is kept until the tokens would have expired anyway.
        """
        gate = self._gate
        by, value = (await _read(request, NewRevocation)).read(self._now())
        gate.require_standing(request[GRANT])
        revocation = gate.revocations.revoke(by, value)
        gate.entries.end_where(revocation.takes_back)
        self._rights.end_where(revocation.takes_back)
        who, detail = request[GRANT].subject, f"{by} {value}"
        gate.audit.note(What.REVOCATION, who, request[CLIENT].shown, detail)
        await gate.revocations.keep(revocation)
        await gate.tell(Matter.REVOKED)
        return json_answer(revocation_document(revocation), _CREATED)

    def _lasts_s(self, grant: Grant) -> int:
        return max(0, ((grant.expires_at_ms or 0) - self._now()) // 1000)

    @staticmethod
    def _set_cookie(response: web.Response, secret: str, origin: str | None, life_s: int) -> None:
        """A cookie that no script sees, and that no other site's page can have sent."""
        response.set_cookie(
            COOKIE,
            secret,
            max_age=life_s,
            path="/",
            httponly=True,
            samesite="Strict",
            # A proxy does TLS; only the browser knows.
            secure=origin is not None and origin.lower().startswith("https://"),
        )


async def _read(request: web.Request, type_: type[T]) -> T:
    return convert_body(parse_body(await read_body(request, _MAX_BODY_BYTES) or b"{}"), type_)
