"""The REST call about limits."""

from __future__ import annotations

import msgspec
from aiohttp import web

from vyomo_rt.config import Settings
from vyomo_rt.domain.grant import Need
from vyomo_rt.web.answers import json_answer
from vyomo_rt.web.routes import API, Route
from vyomo_rt.wire.limits import LimitsDocument


class LimitRoutes:
    """The handler of the call about limits."""

    def __init__(self, settings: Settings) -> None:
        names = (field.name for field in msgspec.structs.fields(LimitsDocument))
        self._limits = LimitsDocument(**{name: getattr(settings, name) for name in names})

    def routes(self) -> list[Route]:
        """The table of the call."""
        return [
            Route("GET", f"{API}/limits", Need.ENTER, self.show_limits, "access", LimitsDocument)
        ]

    async def show_limits(self, _: web.Request) -> web.Response:
        """Show how much of what one client, one address or one `sub` may do."""
        return json_answer(self._limits)
