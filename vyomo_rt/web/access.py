"""The REST calls about who the caller is."""

from __future__ import annotations

from aiohttp import web

from vyomo_rt.domain.grant import Need
from vyomo_rt.web.answers import json_answer
from vyomo_rt.web.guard import GRANT
from vyomo_rt.web.routes import API, Route
from vyomo_rt.wire.access import Me, me


class AccessRoutes:
    """Handlers of the calls about access."""

    def routes(self) -> list[Route]:
        """The table of the calls."""
        return [Route("GET", f"{API}/me", Need.ENTER, self.show_me, "access", Me)]

    async def show_me(self, request: web.Request) -> web.Response:
        """Show who the caller is, and what it may do."""
        return json_answer(me(request[GRANT]))
