"""Commands that come to one node and are decided on another."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from secrets import token_hex
from typing import Any, Protocol

import msgspec
from aiohttp import hdrs, web
from msgspec import Struct

from vyomo_rt.bus.link import NoAnswer, NotSent
from vyomo_rt.bus.once import Once
from vyomo_rt.domain.errors import Failed, Moved, OutcomeUnknown, Unavailable, VyomoError
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.shard import EVERY_SHARD
from vyomo_rt.web import problems
from vyomo_rt.web.command import Asked, Command, read_command
from vyomo_rt.web.routes import Route
from vyomo_rt.wire.encoding import encode
from vyomo_rt.wire.halt import HaltAnswer, HaltedSession

log = logging.getLogger(__name__)

_AN_ANSWER_S = 0.7
"""How long an answer is waited for before the same is asked again."""
_MARGIN_S = 0.15
"""What is left of a command's time for the answer to its client."""
_RETRY_S = 0.05
_NOBODY = (
    "the node that decides about the session cannot be reached; nothing was changed, try again"
)
_OPEN = "the node that decides has not answered; it may or may not have happened"
_AWAY = HTTPStatus.SERVICE_UNAVAILABLE
_HERE = ""
"""In place of another node's id."""


class Carried(Struct, array_like=True):
    """A command on its way to the node that decides."""

    request_id: str
    call: str
    session_id: int | None
    left_s: float
    asked: Asked
    last_tick: int = 0
    """The number of the newest one that the client may have seen: nothing older decides."""
    is_first: bool = False
    """Of what concerns all sessions: whether no node was asked for it before."""


class Outcome(Struct, array_like=True):
    """The answer for the client, and how far the session has come by it.

    Without a status, the node does not decide about the session, and has done nothing.
    """

    status: int = 0
    headers: dict[str, str] = {}
    content_type: str = ""
    body: bytes = b""
    seq: int = 0
    shards: list[int] = []
    """Of what concerns all sessions: about which this node has decided all the while."""
    heads: dict[int, int] = {}
    """Of the same: how far each session has come by it."""


_carried = msgspec.msgpack.Decoder(Carried)
_outcome = msgspec.msgpack.Decoder(Outcome)
_encode = msgspec.msgpack.Encoder().encode


class Cluster(Protocol):
    """What is known of the other nodes."""

    def decides(self, session_id: int) -> bool:
        """Whether this node decides about a session."""

    def owner(self, session_id: int) -> str | None:
        """The other node that decides about a session, if it lives."""

    @property
    def shards(self) -> frozenset[int]:
        """Those about which this node decides."""

    def deciders(self, shards: Collection[int]) -> set[str]:
        """The other nodes that decide about any of these shards."""

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

    @property
    def last_tick(self) -> int:
        """The number of the newest tick that this node knows."""

    async def follow_prices(self, number: int) -> None:
        """Wait a moment for a tick of this number."""


class Forwarding:
    """Carries each command out where its session is decided about; `carry` is a `Carry`."""

    def __init__(
        self,
        cluster: Cluster,
        know: Callable[[Grant], Awaitable[None]],
        require_standing: Callable[[Grant], None],
    ) -> None:
        self.hops = 0
        """Commands that were carried out for clients of this node by others."""
        self._cluster = cluster
        self.routes: Mapping[str, Route] = {}
        """All commands, by their names."""
        self._know = know
        self._require_standing = require_standing
        self._once: Once[Outcome] = Once()

    # -- for clients of this node ----------------------------------------------

    async def carry(self, request: web.Request, route: Route) -> web.StreamResponse:
        """Carry a command out, here or on the node that decides."""
        command = await read_command(request, route)
        if route.name == "halt":
            return await self._halt(command, route)
        async with command.in_time():
            session_id = await self._session_of(command)
        return await self._carry(command, route, session_id)

    async def _session_of(self, command: Command) -> int:
        if command.asked.ids:
            return await self._cluster.session_of(command.asked.ids)
        session_id = await self._cluster.draw_session_id()
        command.asked = replace(command.asked, new_id=session_id)
        return session_id

    async def _carry(self, command: Command, route: Route, session_id: int) -> web.StreamResponse:
        """Try until somebody decides about the session, or the command's time is over."""
        request_id = token_hex(8)
        is_open = False
        while command.left_s > _MARGIN_S + _RETRY_S:
            if is_open or self._cluster.decides(session_id):
                # What was sent and not answered has left its key in the log, if it happened:
                # then this is the answer, whoever decides.
                found = await self._try_here(command, route, is_open=is_open)
                if found is not None:
                    return found
            try:
                outcome = await self._ask_owner(command, route, session_id, request_id)
            except NotSent:
                pass
            except NoAnswer:
                is_open = True
                command.operation = replace(command.operation, is_fresh=False)
                continue
            else:
                # Of a repetition, 503 says nothing about what was sent before.
                if outcome.status and not (is_open and outcome.status == _AWAY):
                    await self._follow(command, session_id, outcome.seq)
                    return _response(outcome)
            await asyncio.sleep(_RETRY_S)
        if not is_open:
            raise Unavailable(_NOBODY)
        raise command.with_key(OutcomeUnknown(_OPEN))

    async def _try_here(
        self, command: Command, route: Route, *, is_open: bool
    ) -> web.StreamResponse | None:
        """The answer, if this node decides, or if the store has what the command has made."""
        try:
            return await route.handler(command)
        except Moved:
            return None
        except OutcomeUnknown:
            raise
        except VyomoError as error:
            if is_open and problems.status_of(error) == _AWAY:
                return None
            raise

    async def _ask_owner(
        self, command: Command, route: Route, session_id: int, request_id: str
    ) -> Outcome:
        """The outcome on the node that decides. Raises NotSent or NoAnswer."""
        node = self._cluster.owner(session_id)
        if node is None:
            raise NotSent
        return await self._ask(node, command, route, session_id, request_id)

    async def _ask(
        self, node: str, command: Command, route: Route, session_id: int | None, request_id: str
    ) -> Outcome:
        """The outcome on a node; without a status if nothing happened. Raises NotSent, NoAnswer."""
        left_s = command.left_s - _MARGIN_S
        carried = _to_carry(command, route, session_id, request_id, left_s)
        carried.is_first = session_id is None and command.operation.is_fresh
        carried.last_tick = self._cluster.last_tick
        message = _encode(carried)
        answer = await self._cluster.ask(node, message, min(_AN_ANSWER_S, left_s))
        outcome = _outcome.decode(answer)
        self.hops += outcome.status != 0
        return outcome

    async def _follow(self, command: Command, session_id: int, seq: int) -> None:
        """Who asks this node next finds what the answer says, unless that takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(command.left_s):
                await self._cluster.follow(session_id, seq)

    async def _halt(self, command: Command, route: Route) -> web.StreamResponse:
        """Halt all sessions, wherever they are decided about; a shard that moves is not missed.

        Until all are halted it is asked for again what is left. What an attempt has closed whose
        answer was lost is found by the key of the command.
        """
        halt = _Halt()
        while halt.left and command.left_s > _MARGIN_S + _RETRY_S:
            for node, outcome in (await self._halt_left(halt, command, route)).items():
                if outcome.status not in (0, HTTPStatus.OK, _AWAY):
                    return _response(outcome)
                halt.take(node, outcome)
            if halt.left:
                command.operation = replace(command.operation, is_fresh=False)
                await asyncio.sleep(_RETRY_S)
        if halt.left:
            raise OutcomeUnknown("some sessions may or may not be halted; try again")
        await asyncio.gather(*(self._follow(command, *head) for head in halt.heads.items()))
        sessions = [halt.halted[session_id] for session_id in sorted(halt.halted)]
        return web.Response(body=encode(HaltAnswer(sessions)), content_type="application/json")

    async def _halt_left(
        self, halt: _Halt, command: Command, route: Route
    ) -> Mapping[str, Outcome]:
        """The outcomes on all nodes that have answered and decide about what is left."""
        asking: dict[str, Coroutine[Any, Any, Outcome]] = {
            node: self._ask(node, command, route, None, halt.request_ids[node])
            for node in self._cluster.deciders(halt.left)
        }
        if halt.left & self._cluster.shards:
            asking[_HERE] = self._run_for_all(command, route)
        found = await asyncio.gather(*asking.values(), return_exceptions=True)
        outcomes: dict[str, Outcome] = {}
        for node, outcome in zip(asking, found, strict=True):
            if isinstance(outcome, Outcome):
                outcomes[node] = outcome
            elif not isinstance(outcome, NotSent | NoAnswer):
                raise outcome
        return outcomes

    # -- for other nodes -------------------------------------------------------

    async def answer(self, message: bytes) -> bytes:
        """Carry out what another node asks for; once, however often it asks."""
        carried = _carried.decode(message)
        outcome = await self._once.outcome(carried.request_id, lambda: self._carry_out(carried))
        if not outcome.status:
            self._once.forget(carried.request_id)
        return _encode(outcome)

    async def _carry_out(self, carried: Carried) -> Outcome:
        session_id = carried.session_id
        if session_id is not None and not self._cluster.decides(session_id):
            return Outcome()
        route = self.routes[carried.call]
        assert route.takes is not None
        grant = carried.asked.grant
        command = Command(
            carried.asked,
            route.takes,
            lambda: self._require_standing(grant),
            takes_key=route.idempotent,
            limit_s=carried.left_s,
        )
        command.operation = replace(command.operation, is_fresh=carried.is_first)
        try:
            async with command.in_time():
                await self._know(grant)
        except Unavailable:
            return Outcome()
        await self._cluster.follow_prices(carried.last_tick)
        if session_id is None:
            return await self._run_for_all(command, route)
        outcome = await self._run(command, route)
        outcome.seq = self._cluster.seq(session_id)
        return outcome

    async def _run_for_all(self, command: Command, route: Route) -> Outcome:
        """Carry out what concerns all sessions, for those about which this node decides."""
        before = self._cluster.shards
        outcome = await self._run(command, route)
        if outcome.status == HTTPStatus.OK:
            outcome.shards = sorted(before & self._cluster.shards)
            halted = _halted(outcome)
            outcome.heads = {each.session_id: self._cluster.seq(each.session_id) for each in halted}
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
    return Carried(
        request_id=request_id,
        call=route.name,
        session_id=session_id,
        left_s=left_s,
        # A request without a key gets one: its outcome can then be asked for.
        asked=replace(asked, key=command.operation.key),
    )


class _Halt:
    """How far a halt of all sessions has come."""

    def __init__(self) -> None:
        self.left = set(EVERY_SHARD)
        """The shards whose sessions may not be halted yet."""
        self.halted: dict[int, HaltedSession] = {}
        self.heads: dict[int, int] = {}
        self.request_ids: defaultdict[str, str] = defaultdict(lambda: token_hex(8))
        """Of each node; kept until it answers, so that a late answer is not lost."""

    def take(self, node: str, outcome: Outcome) -> None:
        """A node has answered."""
        self.request_ids.pop(node, None)
        self.left.difference_update(outcome.shards)
        if outcome.status == HTTPStatus.OK:
            _join(self.halted, _halted(outcome))
            self.heads |= outcome.heads


def _halted(outcome: Outcome) -> list[HaltedSession]:
    return msgspec.json.decode(outcome.body, type=HaltAnswer).sessions


def _join(halted: dict[int, HaltedSession], more: Iterable[HaltedSession]) -> None:
    """A session may be halted twice, on two nodes: the second time little is left to close."""
    for each in more:
        if (before := halted.get(each.session_id)) is not None:
            each.closed = sorted({*before.closed, *each.closed})
        halted[each.session_id] = each


def _response(outcome: Outcome) -> web.Response:
    return web.Response(
        status=outcome.status,
        body=outcome.body,
        content_type=outcome.content_type,
        headers=outcome.headers,
    )
