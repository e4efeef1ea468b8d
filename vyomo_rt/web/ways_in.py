"""How a caller says who it is: where a request may carry a token, and which of them counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from vyomo_rt.domain.errors import Unauthorized
from vyomo_rt.domain.grant import Grant
from vyomo_rt.web.routes import Route

if TYPE_CHECKING:
    from vyomo_rt.access.tokens import Tokens


class WaysIn:
    """Finds the grant of a request.

    The first credential that is there counts; a bad one is not made good by another.
    """

    def __init__(self, tokens: Tokens | None) -> None:
        """Without ``tokens`` everybody may do everything, whatever the request carries."""
        self._tokens = tokens

    async def grant_of(self, request: web.Request, route: Route) -> Grant:
        """What the caller may do. Raises Unauthorized or Unavailable."""
        if self._tokens is None:
            return Grant.EVERYTHING
        if hdrs.AUTHORIZATION in request.headers:
            return await self._tokens.grant(_bearer(request))
        if route.stream is not None and route.stream.takes_auth:
            return Grant.NOTHING
        raise Unauthorized("a token is needed: send Authorization: Bearer and the token")


def _bearer(request: web.Request) -> str:
    lines = request.headers.getall(hdrs.AUTHORIZATION)
    scheme, _, token = lines[0].partition(" ")
    if len(lines) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("expected one Authorization: Bearer and the token")
    return token.strip()
