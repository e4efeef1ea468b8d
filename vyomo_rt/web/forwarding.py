"""Commands that come to one node and are decided on another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from secrets import token_hex
from typing import Protocol

import msgspec
from aiohttp import hdrs, web
from msgspec import Struct

from vyomo_rt.bus.link import NoAnswer, NotSent
from vyomo_rt.domain.errors import Failed, Moved, OutcomeUnknown, Unavailable, VyomoError
from vyomo_rt.domain.grant import Grant
from vyomo_rt.web import problems
from vyomo_rt.web.command import Asked, Command, read_command
from vyomo_rt.web.routes import Route
from vyomo_rt.wire.encoding import encode
from vyomo_rt.wire.halt import HaltAnswer

log = logging.getLogger(__name__)

_AN_ANSWER_S = 0.7
"""How long an answer is waited for before the same is asked again."""
_MARGIN_S = 0.15
"""What is left of a command's time for the answer to its client."""
_RETRY_S = 0.05
_NOBODY = (
    "the node that decides about the session cannot be reached; nothing was changed, try again"
)
_KNOWN_S = 60.0
"""How long answers are kept for a request that comes again."""


class Carried(Struct, array_like=True):
    """A command on its way to the node that decides."""

    request_id: str
    call: str
    session_id: int | None
    left_s: float
    method: str
    path: str
    ids: dict[str, int]
    key: str | None
    body: bytes
    grant: Grant
    new_id: int | None


class Outcome(Struct, array_like=True):
    """The answer for the client, and how far the session has come by it.

    Without a status, the node does not decide about the session, and has done nothing.
    """

    status: int = 0
    headers: dict[str, str] = {}
    content_type: str = ""
    body: bytes = b""
    seq: int = 0


_carried = msgspec.msgpack.Decoder(Carried)
_outcome = msgspec.msgpack.Decoder(Outcome)
_encode = msgspec.msgpack.Encoder().encode
_MOVED = Outcome()


class Cluster(Protocol):
    """What is known of the other nodes."""

    def decides(self, session_id: int) -> bool:
        """Whether this node decides about a session."""

    def owner(self, session_id: int) -> str | None:
        """The node that decides about a session, if it lives."""

    def deciders(self) -> set[str | None]:
        """The other nodes that decide about any session; None if somewhere nobody does now."""

    async def ask(self, node: str, message: bytes, within_s: float) -> bytes:
        """The answer of a node. Raises NotSent or NoAnswer."""

    async def session_of(self, ids: Mapping[str, int]) -> int:
        """The session that a path is about. Raises NotFound or Unavailable."""

    async def draw_session_id(self) -> int:
        """An id for a new session. Raises Unavailable."""

    def seq(self, session_id: int) -> int:
        """How far this node knows a session; 0 if it does not."""

    async def follow(self, session_id: int, seq: int) -> None:
        """Wait until this node knows a session up to an event."""


class Forwarding:
    """Carries each command out where its session is decided about; `carry` is a `Carry`."""

    def __init__(
        self,
        cluster: Cluster,
        require_standing: Callable[[Grant], None],
    ) -> None:
        self.hops = 0
        """Commands that were carried out for clients of this node by others."""
        self._cluster = cluster
        self.routes: Mapping[str, Route] = {}
        """All commands, by their names."""
        self._require_standing = require_standing
        self._known: dict[str, tuple[float, asyncio.Task[Outcome]]] = {}

    # -- for clients of this node ----------------------------------------------

    async def carry(self, request: web.Request, route: Route) -> web.StreamResponse:
        """Carry a command out, here or on the node that decides."""
        command = await read_command(request, route)
        if route.name == "halt":
            return await self._halt(command, route)
        if command.asked.ids:
            session_id = await self._cluster.session_of(command.asked.ids)
        else:
            session_id = await self._cluster.draw_session_id()
            command.asked = replace(command.asked, new_id=session_id)
        return await self._carry(command, route, session_id)

    async def _carry(self, command: Command, route: Route, session_id: int) -> web.StreamResponse:
        """Try until somebody decides about the session, or the command's time is over."""
        request_id = token_hex(8)
        trouble = Unavailable(_NOBODY)
        while command.left_s > _MARGIN_S + _RETRY_S:
            try:
                if self._cluster.decides(session_id):
                    return await route.handler(command)
                if (node := self._cluster.owner(session_id)) is not None:
                    outcome = await self._ask(node, command, route, session_id, request_id)
                    if outcome.status:
                        await self._cluster.follow(session_id, outcome.seq)
                        return _response(outcome)
            except Moved:
                pass
            except OutcomeUnknown as error:
                if error.idempotency_key is None or self._cluster.decides(session_id):
                    raise
                # The next owner finds out from the store whether it was done, by its key.
                command.operation = replace(command.operation, is_fresh=False)
                trouble = error
            await asyncio.sleep(_RETRY_S)
        raise trouble

    async def _ask(
        self, node: str, command: Command, route: Route, session_id: int | None, request_id: str
    ) -> Outcome:
        """The outcome on a node; without a status if nothing happened. Raises OutcomeUnknown."""
        was_sent = False
        while (left_s := command.left_s - _MARGIN_S) > 0:
            message = _encode(_to_carry(command, route, session_id, request_id, left_s))
            try:
                answer = await self._cluster.ask(node, message, min(_AN_ANSWER_S, left_s))
            except NoAnswer:
                was_sent = True
                continue  # it knows the request by its id
            except NotSent:
                if not was_sent:
                    return _MOVED
                if session_id is not None and self._cluster.owner(session_id) != node:
                    break
                await asyncio.sleep(_RETRY_S)
                continue
            self.hops += 1
            return _outcome.decode(answer)
        if not was_sent:
            return _MOVED
        words = "the node that decides has not answered; it may or may not have happened"
        error = OutcomeUnknown(words)
        if command.asked.method == hdrs.METH_POST:
            error.idempotency_key = command.operation.key
        raise error

    async def _halt(self, command: Command, route: Route) -> web.StreamResponse:
        """Halt on all nodes; what one of them could not do is told as if it were this one's."""
        nodes = self._cluster.deciders()
        asking = [
            self._ask(node, command, route, None, token_hex(8)) for node in nodes - {None} if node
        ]
        here, *others = await asyncio.gather(
            self._run(command, route), *asking, return_exceptions=True
        )
        sessions = []
        for each in (here, *others):
            if isinstance(each, BaseException):
                raise each
            if each.status != HTTPStatus.OK:
                if each.status:
                    return _response(each)
                words = "some sessions may or may not be halted; try again"
                raise OutcomeUnknown(words)
            sessions += msgspec.json.decode(each.body, type=HaltAnswer).sessions
        if None in nodes:
            raise OutcomeUnknown("some sessions may or may not be halted; try again")
        sessions.sort(key=lambda halted: halted.session_id)
        return web.Response(body=encode(HaltAnswer(sessions)), content_type="application/json")

    # -- for other nodes -------------------------------------------------------

    async def answer(self, message: bytes) -> bytes:
        """Carry out what another node asks for; once, however often it asks."""
        carried = _carried.decode(message)
        now = asyncio.get_running_loop().time()
        for request_id, (at, _) in list(self._known.items()):
            if at > now - _KNOWN_S:
                break
            del self._known[request_id]
        known = self._known.get(carried.request_id)
        if known is None:
            known = now, asyncio.create_task(self._carry_out(carried))
            self._known[carried.request_id] = known
        outcome = await asyncio.shield(known[1])
        if not outcome.status:
            self._known.pop(carried.request_id, None)
        return _encode(outcome)

    async def _carry_out(self, carried: Carried) -> Outcome:
        session_id = carried.session_id
        if session_id is not None and not self._cluster.decides(session_id):
            return _MOVED
        route = self.routes[carried.call]
        assert route.takes is not None
        asked = Asked(
            method=carried.method,
            path=carried.path,
            ids=carried.ids,
            key=carried.key,
            body=carried.body,
            grant=carried.grant,
            new_id=carried.new_id,
        )
        command = Command(
            asked,
            route.takes,
            lambda: self._require_standing(carried.grant),
            limit_s=carried.left_s,
        )
        outcome = await self._run(command, route)
        outcome.seq = 0 if session_id is None else self._cluster.seq(session_id)
        return outcome

    async def _run(self, command: Command, route: Route) -> Outcome:
        try:
            response = await route.handler(command)
        except Moved:
            return Outcome()
        except VyomoError as error:
            response = problems.answer(error)
        except Exception:
            log.exception("%s %s failed", command.asked.method, command.asked.path)
            response = problems.answer(Failed("the server failed: its log says why"))
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        headers = {
            name: value
            for name, value in response.headers.items()
            if name not in (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH)
        }
        return Outcome(response.status, headers, response.content_type, response.body)


def _to_carry(
    command: Command, route: Route, session_id: int | None, request_id: str, left_s: float
) -> Carried:
    asked = command.asked
    # A request without a key gets one: its outcome can then be asked for.
    key = command.operation.key if asked.method == hdrs.METH_POST else None
    return Carried(
        request_id=request_id,
        call=route.name,
        session_id=session_id,
        left_s=left_s,
        method=asked.method,
        path=asked.path,
        ids=dict(asked.ids),
        key=key,
        body=asked.body,
        grant=asked.grant,
        new_id=asked.new_id,
    )


def _response(outcome: Outcome) -> web.Response:
    return web.Response(
        status=outcome.status,
        body=outcome.body,
        content_type=outcome.content_type,
        headers=outcome.headers,
    )
