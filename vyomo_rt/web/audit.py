"""The REST call for the audit."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from vyomo_rt.domain.errors import Conflict
from vyomo_rt.domain.grant import Need
from vyomo_rt.web.answers import json_answer
from vyomo_rt.web.routes import API, Route, query_of
from vyomo_rt.wire.audit import AuditList, AuditQuery, audit_list
from vyomo_rt.wire.moment import query_moment_ms
from vyomo_rt.wire.query import query_as

if TYPE_CHECKING:
    from vyomo_rt.access.gate import Gate


class AuditRoutes:
    """The handler of the call for the audit."""

    def __init__(self, gate: Gate | None) -> None:
        self._gate = gate

    def routes(self) -> list[Route]:
        """The table of the call."""
        refuses = (HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE)
        return [
            Route("GET", f"{API}/audit", Need.ADMINISTER, self.show_audit, "access", AuditList,
                  parameters=query_of(AuditQuery), refuses=refuses),
        ]  # fmt: skip

    async def show_audit(self, request: web.Request) -> web.Response:
        """Show who signed in, connected, was refused or kicked, and what was revoked.

        Newest first; entries are kept up to a number, which is a setting.
        """
        if self._gate is None:
            words = "there is no access control: start the server with VYOMO_RT_AUTH_KEY"
            raise Conflict(words, "path")
        query = query_as(request.query, AuditQuery)
        since = query.since and query_moment_ms(query.since, "since")
        entries = await self._gate.audit.newest(query.limit, since_ms=since or 0, by=query.by)
        return json_answer(audit_list(entries))
