"""Asks whether the caller may make a call, before anything is looked up for it."""

from __future__ import annotations

from aiohttp import web

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.grant import Grant, Need
from vyomo_rt.trading.records import Records
from vyomo_rt.web.routes import Route
from vyomo_rt.web.ways_in import WaysIn
from vyomo_rt.wire.commands import SubscribeSession
from vyomo_rt.wire.query import path_id, query_fields, read_query

GRANT = web.RequestKey("grant", Grant)
"""Where a request carries its caller's grant."""


class Guard:
    """Checks the token, the role, then the session that the request names, if only by a trade.

    A session out of the caller's reach is answered like one that does not exist.
    """

    def __init__(self, ways_in: WaysIn, records: Records) -> None:
        self._ways_in = ways_in
        self._records = records

    async def admit(self, request: web.Request, route: Route) -> None:
        """Put the caller's grant into the request.

        Raises Unauthorized, Forbidden, NotFound or Unavailable.
        """
        need = route.needs
        assert need is not None
        grant = request[GRANT] = await self._ways_in.grant_of(request, route)
        if grant is Grant.NOTHING:
            return  # its commands are asked
        grant.ask(need)
        if not grant.is_limited:
            return
        if "tradeId" in request.match_info:
            trade_id = path_id(request.match_info, "tradeId")
            trade = await self._records.trade(trade_id)
            try:
                await self._ask_for_session(grant, need, trade.session_id)
            except NotFound:
                raise NotFound.trade(trade_id) from None
        elif (session_id := _session_named(request)) is not None:
            await self._ask_for_session(grant, need, session_id)

    async def _ask_for_session(self, grant: Grant, need: Need, session_id: int) -> None:
        owner = None
        if grant.depends_on_owner(session_id):
            owner = (await self._records.session(session_id)).session.owner
        grant.ask(need, session_id, owner)


def _session_named(request: web.Request) -> int | None:
    """Reads ids as the handlers do: what is not a number here names none there either."""
    if "sessionId" in request.match_info:
        return path_id(request.match_info, "sessionId")
    named = query_fields(read_query(request.query), SubscribeSession).get("sessionId")
    return named if isinstance(named, int) else None
