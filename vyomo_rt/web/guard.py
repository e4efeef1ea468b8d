"""Asks whether the caller may make a call, before anything is looked up for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from vyomo_rt.domain.errors import Forbidden, NotFound, RateLimited, Unavailable
from vyomo_rt.domain.grant import Grant, Need
from vyomo_rt.trading.owners import Owners
from vyomo_rt.trading.records import Records
from vyomo_rt.web.routes import Route, require_few_parameters
from vyomo_rt.web.ways_in import WaysIn
from vyomo_rt.wire.commands import SubscribeSession
from vyomo_rt.wire.query import path_id, query_fields, read_query

GRANT = web.RequestKey("grant", Grant)
"""Where a request carries its caller's grant."""
_STEP_S = 0.02
"""Longer than the store takes for a document, as a rule."""
_REQUIRE_STANDING = web.RequestKey("require_standing", partial[None])
"""Raises Unauthorized once that grant was taken back."""


class Guard:
    """Checks the token, the role, then the session that the request names, maybe by what is in it.

    A session out of the caller's reach is answered like one that does not exist.
    """

    def __init__(self, ways_in: WaysIn, owners: Owners, records: Records) -> None:
        self._ways_in = ways_in
        self._owners = owners
        self._records = records

    async def admit(self, request: web.Request, route: Route) -> None:
        """Put the caller's grant into the request.

        Raises Unauthorized, RateLimited, Forbidden, NotFound or Unavailable.
        """
        try:
            await self._admit(request, route)
        except (Unavailable, RateLimited):
            if route.is_event_stream and request.transport is not None:
                # After a status, EventSource would not come back.
                request.transport.abort()
                raise ConnectionResetError from None
            raise

    async def _admit(self, request: web.Request, route: Route) -> None:
        need = route.needs
        assert need is not None
        grant = request[GRANT] = await self._ways_in.grant_of(request, route)
        request[_REQUIRE_STANDING] = partial(self._ways_in.require_standing, grant)
        if grant is Grant.NOTHING:
            return  # its commands are asked
        self._ways_in.count(grant, route)
        try:
            grant.ask(need)
        except Forbidden as error:
            self._ways_in.note_refusal(grant, request, route, str(error))
            raise
        require_few_parameters(request)
        if not grant.is_limited:
            return
        if "tradeId" in request.match_info:
            trade_id = path_id(request.match_info, "tradeId")
            asking = self._records.session_of_trade(trade_id, self._reach(grant, need))
            await _refused_evenly(asking)
        elif "orderId" in request.match_info:
            order_id = path_id(request.match_info, "orderId")
            asking = self._records.session_of_order(order_id, self._reach(grant, need))
            await _refused_evenly(asking)
        elif (session_id := _session_named(request)) is not None:
            await self._ask_for_session(grant, need, session_id)

    async def _ask_for_session(self, grant: Grant, need: Need, session_id: int) -> None:
        if (asking := self._owners.ask(grant, need, session_id)) is not None:
            await asking

    def _reach(self, grant: Grant, need: Need) -> Callable[[int], Awaitable[bool]]:
        async def is_in_reach(session_id: int) -> bool:
            try:
                await self._ask_for_session(grant, need, session_id)
            except NotFound:
                return False
            return True

        return is_in_reach


async def _refused_evenly(asking: Awaitable[object]) -> None:
    """Wait for a question; what is not found is told at a step of the clock.

    The store needs a little longer for a document that is there, which nobody must see.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    try:
        await asking
    except NotFound:
        await asyncio.sleep(_STEP_S - (loop.time() - began_s) % _STEP_S)
        raise


def require_standing(request: web.Request) -> None:
    """Raise Unauthorized if the caller's grant was taken back since the request came."""
    if (require := request.get(_REQUIRE_STANDING)) is not None:
        require()


def _session_named(request: web.Request) -> int | None:
    """Reads ids as the handlers do: what is not a number here names none there either."""
    if "sessionId" in request.match_info:
        return path_id(request.match_info, "sessionId")
    named = query_fields(read_query(request.query), SubscribeSession).get("sessionId")
    return named if isinstance(named, int) else None
