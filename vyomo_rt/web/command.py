"""A request that makes or changes something: its key, its body, its time limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, TypeVar

from aiohttp import hdrs, web
from msgspec import UNSET, Raw, Struct

from vyomo_rt.domain.errors import BadRequest, OutcomeUnknown, Unavailable, VyomoError
from vyomo_rt.domain.order import Operation
from vyomo_rt.recording.calls import CallLog
from vyomo_rt.recording.recorder import RecordedCall
from vyomo_rt.web.bodies import read_body
from vyomo_rt.web.guard import GRANT, require_standing
from vyomo_rt.web.routes import API
from vyomo_rt.wire import decoding
from vyomo_rt.wire.decoding import parse_body
from vyomo_rt.wire.encoding import unless_none
from vyomo_rt.wire.record import CallLine, one_line
from vyomo_rt.wire.values import MAX_KEY_LENGTH

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Struct)

CALL_LOG: web.AppKey[CallLog] = web.AppKey("call_log")
"""Of an application whose calls are recorded."""

LIMIT_S = 2.0
"""The time from a command's arrival to its answer, whatever it has to wait for."""

_KEY = "Idempotency-Key"
_MAX_BODY_BYTES = 64 * 1024


class Command:
    """A command's identity, its body, parsed once, and its time limit.

    A fault in the body is raised only when the body is read, because the key comes first.
    """

    def __init__(self, request: web.Request, body: bytes, *, takes_null: bool) -> None:
        self._answer_by_s = asyncio.get_running_loop().time() + LIMIT_S
        self._request = request
        self._fields: dict[str, Any] = {}
        self._fault: VyomoError | None = None
        self._takes_null = takes_null
        self._takes_effect = False
        self._log = request.config_dict.get(CALL_LOG)
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
        # What changes or ends something may be repeated as it is: it takes no key.
        key = _idempotency_key(request) if request.method == hdrs.METH_POST else None
        hashes = [sha256(request.path.encode() + b"\n" + form).hexdigest() for form in forms]
        self.operation = Operation.asked(key, *hashes, by=request[GRANT].subject)

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
            raise self._with_key(error) from None
        except TimeoutError:
            if self._takes_effect:
                self._record()
                words = f"it was not finished within {LIMIT_S:g} s; it may or may not still happen"
                raise self._with_key(OutcomeUnknown(words)) from None
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
            call=f"{self._request.method} {self._request.path.removeprefix(API)}",
            body=Raw(one_line(self._body)) if self._body else UNSET,
            key=unless_none(self._request.headers.get(_KEY)),
            made=unless_none(self.made),
        )

    def _with_key(self, error: OutcomeUnknown) -> OutcomeUnknown:
        """The error, with the key under which a repetition finds out; PATCH needs none."""
        if self._request.method == hdrs.METH_POST:
            error.idempotency_key = self.operation.key
        return error

    def read(self, type_: type[T]) -> T:
        """The body, right before it takes effect.

        Raises BadJson or BadRequest, Unauthorized if the token was revoked since the request came,
        and ConnectionResetError if the client has left: it may
        have acted differently since.
        """
        transport = self._request.transport
        if transport is None or transport.is_closing():
            method, path = self._request.method, self._request.path
            log.info("%s %s is not carried out: its client has left", method, path)
            raise ConnectionResetError("the client has left")
        require_standing(self._request)
        if self._fault is not None:
            raise self._fault
        self._takes_effect = True
        if self._log is not None:
            self._recorded = self._log.begin()
        convert = decoding.convert if self._takes_null else decoding.convert_body
        return convert(self._fields, type_)


async def read_command(
    request: web.Request, *, empty: bytes = b"", takes_null: bool = False
) -> Command:
    """Read a command; ``empty`` is what an empty body stands for.

    A null member counts as absent unless the command takes it.
    """
    body = await read_body(request, _MAX_BODY_BYTES)
    # After a standstill the end of a connection may be read only after its last request.
    await asyncio.sleep(0)
    return Command(request, body or empty, takes_null=takes_null)


def _idempotency_key(request: web.Request) -> str | None:
    keys = request.headers.getall(_KEY, [])
    if len(keys) > 1:
        raise decoding.given_twice(_KEY)
    if keys and not (0 < len(keys[0]) <= MAX_KEY_LENGTH and keys[0].isprintable()):
        raise BadRequest(f"{_KEY}: expected 1 to {MAX_KEY_LENGTH} printable characters", _KEY)
    return keys[0] if keys else None
