"""A request that makes or changes something: its key, its body, its time limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

from aiohttp import web
from msgspec import UNSET, Raw, Struct

from vyomo_rt.domain.errors import BadRequest, OutcomeUnknown, Unavailable, VyomoError
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.order import Operation
from vyomo_rt.recording.calls import CallLog
from vyomo_rt.recording.recorder import RecordedCall
from vyomo_rt.web.bodies import read_body
from vyomo_rt.web.guard import GRANT, require_standing
from vyomo_rt.web.routes import API, Route, Takes
from vyomo_rt.wire import decoding
from vyomo_rt.wire.decoding import parse_body
from vyomo_rt.wire.encoding import unless_none
from vyomo_rt.wire.query import path_id
from vyomo_rt.wire.record import CallLine, one_line
from vyomo_rt.wire.values import MAX_KEY_LENGTH

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Struct)

CALL_LOG: web.AppKey[CallLog] = web.AppKey("call_log")
"""Of an application whose calls are recorded."""

LIMIT_S = 2.0
"""The time from a command's arrival to its answer, whatever it has to wait for."""

_KEY = "Idempotency-Key"
TAKES = Takes()
TAKES_EMPTY = Takes(empty=b"{}")
TAKES_NULL = Takes(empty=b"{}", null=True)

_MAX_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that makes or changes something, as it was let in.

    ``ids`` are those in its path. ``new_id`` is the id of a session to be made, if it was drawn
    already.
    """

    method: str
    path: str
    ids: Mapping[str, int]
    key: str | None
    body: bytes
    grant: Grant
    new_id: int | None = None


class Command:
    """A command's identity, its body, parsed once, and its time limit.

    A fault in the body is raised only when the body is read, because the key comes first.
    """

    def __init__(
        self,
        asked: Asked,
        takes: Takes,
        require_standing: Callable[[], None],
        *,
        takes_key: bool,
        limit_s: float | None = None,
        call_log: CallLog | None = None,
    ) -> None:
        """``require_standing`` raises if the caller has left, or lost its rights."""
        limit_s = LIMIT_S if limit_s is None else min(limit_s, LIMIT_S)
        self._answer_by_s = asyncio.get_running_loop().time() + limit_s
        self.asked = asked
        self.grant = asked.grant
        self._require_standing = require_standing
        body, takes_null = asked.body or takes.empty, takes.null
        self._fields: dict[str, Any] = {}
        self._fault: VyomoError | None = None
        self._takes_null = takes_null
        self._takes_key = takes_key
        self._takes_effect = False
        self._log = call_log
        self._body = body
        self._recorded: RecordedCall | None = None
        self.made: int | None = None
        """The id of what it made, to be recorded with it."""
        forms = (body, body)
        try:
            self._fields = parse_body(body)
            given = self._fields if takes_null else decoding.without_null(self._fields)
            forms = (decoding.canonical(given), decoding.exact_form(given))
        except VyomoError as error:
            self._fault = error
        hashes = [sha256(asked.path.encode() + b"\n" + form).hexdigest() for form in forms]
        self.operation = Operation.asked(asked.key, *hashes, by=asked.grant.subject)

    def id(self, name: str) -> int:
        """An id in the path."""
        return self.asked.ids[name]

    @property
    def left_s(self) -> float:
        """The time until it has to be answered."""
        return self._answer_by_s - asyncio.get_running_loop().time()

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Carry the command out inside. Raises Unavailable when its time has run out.

        It is given up wherever it waits. Before it takes effect, it leaves the queue and changes
        nothing; a write under way becomes one whose answer was lost.
        """
        try:
            async with asyncio.timeout_at(self._answer_by_s):
                yield
            self._record()
        except OutcomeUnknown as error:
            self._record()
            raise self.with_key(error) from None
        except TimeoutError:
            if self._takes_effect:
                self._record()
                words = f"it was not finished within {LIMIT_S:g} s; it may or may not still happen"
                raise self.with_key(OutcomeUnknown(words)) from None
            raise Unavailable(
                f"it could not begin within {LIMIT_S:g} s, because too much was ahead of it; "
                "nothing was changed, try again"
            ) from None
        finally:
            if self._log is not None and self._recorded is not None:
                self._log.end(self._recorded)

    def _record(self) -> None:
        if self._recorded is None:
            return
        self._recorded.line = CallLine(
            at=self._recorded.at_ms,
            call=f"{self.asked.method} {self.asked.path.removeprefix(API)}",
            body=Raw(one_line(self._body)) if self._body else UNSET,
            key=unless_none(self.asked.key),
            made=unless_none(self.made),
        )

    def with_key(self, error: OutcomeUnknown) -> OutcomeUnknown:
        """The error, with the key under which a repetition finds out, if the call takes one."""
        if self._takes_key:
            error.idempotency_key = self.operation.key
        return error

    def read(self, type_: type[T]) -> T:
        """The body, right before it takes effect.

        Raises BadJson or BadRequest, Unauthorized if the token was revoked since the request came,
        and ConnectionResetError if the client has left: it may
        have acted differently since.
        """
        self._require_standing()
        if self._fault is not None:
            raise self._fault
        self._takes_effect = True
        if self._log is not None:
            self._recorded = self._log.begin()
        convert = decoding.convert if self._takes_null else decoding.convert_body
        return convert(self._fields, type_)


async def carry_out(request: web.Request, route: Route) -> web.StreamResponse:
    """Carry a command out here: `Carry` of a server that is alone."""
    return await route.handler(await read_command(request, route))


async def read_command(request: web.Request, route: Route) -> Command:
    """Read a command."""
    assert route.takes is not None
    ids = {name: path_id(request.match_info, name) for name in request.match_info}
    body = await read_body(request, _MAX_BODY_BYTES)
    # After a standstill the end of a connection may be read only after its last request.
    await asyncio.sleep(0)
    asked = Asked(
        method=request.method,
        path=request.path,
        ids=ids,
        # What changes, ends or halts something may be repeated as it is: it takes no key.
        key=_idempotency_key(request) if route.idempotent else None,
        body=body,
        grant=request[GRANT],
    )
    standing = partial(_require_standing, request)
    return Command(
        asked,
        route.takes,
        standing,
        takes_key=route.idempotent,
        call_log=request.config_dict.get(CALL_LOG),
    )


def _require_standing(request: web.Request) -> None:
    transport = request.transport
    if transport is None or transport.is_closing():
        log.info("%s %s is not carried out: its client has left", request.method, request.path)
        raise ConnectionResetError("the client has left")
    require_standing(request)


def _idempotency_key(request: web.Request) -> str | None:
    keys = request.headers.getall(_KEY, [])
    if len(keys) > 1:
        raise decoding.given_twice(_KEY)
    if keys and not (0 < len(keys[0]) <= MAX_KEY_LENGTH and keys[0].isprintable()):
        raise BadRequest(f"{_KEY}: expected 1 to {MAX_KEY_LENGTH} printable characters", _KEY)
    return keys[0] if keys else None
