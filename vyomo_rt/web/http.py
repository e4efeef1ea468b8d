"""The HTTP side of a connection: aiohttp's, with our limits, refusals and headers."""

from __future__ import annotations

import asyncio
import logging
import re
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.http_exceptions import (
    BadHttpMethod,
    BadStatusLine,
    HttpProcessingError,
    InvalidHeader,
    InvalidURLError,
    LineTooLong,
)

from vyomo_rt.domain.errors import BadRequest, Failed, LimitExceeded, VyomoError
from vyomo_rt.web import problems
from vyomo_rt.web.admission import Admission
from vyomo_rt.web.origins import OPEN_PATHS, Origins
from vyomo_rt.web.routes import API

log = logging.getLogger(__name__)

_MAX_HEADER_BYTES = 64 * 1024
"""Browsers send the cookies of every program on localhost to each."""

_MAX_LINE_BYTES = _MAX_HEADER_BYTES - 1
"""An SSE address fits as many symbols as a connection may have.

It differs from a header's limit, because aiohttp's error says nothing but the limit.
"""

_ORIGIN = re.compile(rb"\nOrigin:[ \t]*([!-~]+)", re.IGNORECASE)
_NAMED = ("Host", "Content-Length", "Transfer-Encoding")
"""Headers that the parser itself looks at, and names."""

_NOTHING = (b"", b"")
_OF_ALL = {hdrs.SERVER: "vyomo-rt", "X-Content-Type-Options": "nosniff"}


class HttpConnection(web.RequestHandler):
    """A connection while it speaks HTTP.

    A request that aiohttp refuses by itself gets a problem document, too.
    """

    __slots__ = ("_admission", "_heard", "_origins")

    def __init__(self, server: web.Server, admission: Admission, origins: Origins) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as its own runner is told
            tcp_keepalive=False,  # streams have their pings, and the rest ends when it is idle
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            auto_decompress=False,  # see ``read_body``
        )
        self._admission = admission
        self._origins = origins
        self._heard = _NOTHING

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._admission.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._admission.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # A head that is refused is not parsed to its end; its Origin is looked for here.
        self._heard = (self._heard[1], data)
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (aiohttp's signature)
    ) -> web.StreamResponse:
        """Answer invalid HTTP, or a fault of the server; then the connection ends."""
        if isinstance(exc, HttpProcessingError):
            error, phrase = _refusal(exc)
            # Without the client's own bytes: they may be a cookie or a token.
            log.info("refused an invalid HTTP request: %s", error)
        else:
            log.error("%s %s failed", request.method, request.path, exc_info=exc)
            error, phrase = Failed("the server failed: its log says why"), HTTPStatus(status)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        response = problems.answer(error, phrase)
        response.headers.update(_OF_ALL)
        found = _ORIGIN.search(b"".join(self._heard))
        origin = found[1].decode() if found else None
        self._origins.allow_reading(response.headers, origin, None)
        response.headers[hdrs.CONNECTION] = "close"
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; a refusal that passed no middleware is translated here."""
        self._heard = _NOTHING
        if isinstance(resp, web.HTTPException) and resp.status >= HTTPStatus.BAD_REQUEST:
            resp = problems.answer_http(request, resp)
            resp.force_close()
        return await super().finish_response(request, resp, start_time)


def _refusal(fault: HttpProcessingError) -> tuple[VyomoError, HTTPStatus]:
    """Why the parser refuses a request, in words that repeat none of it."""
    if isinstance(fault, LineTooLong) and fault.args[1] == _MAX_LINE_BYTES:
        words = f"the address is longer than {_MAX_LINE_BYTES} bytes"
        return LimitExceeded(words, "path"), HTTPStatus.REQUEST_URI_TOO_LONG
    if isinstance(fault, LineTooLong):
        words = f"a header is longer than {_MAX_HEADER_BYTES} bytes"
        hint = "is it the cookies of localhost?"
        error = LimitExceeded(f"{words}: {hint}", "headers")
        return error, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    reason = fault.message.partition("\n")[0].rstrip(":.")
    if reason.startswith("Too many headers"):
        words = "there are more than 128 headers"
        return LimitExceeded(words, "headers"), HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    match fault:
        case BadHttpMethod() if "HTTPS" in reason:
            words, field = "this is HTTPS, and the server speaks HTTP", "method"
        case BadHttpMethod():
            words, field = "the method is unknown", "method"
        case BadStatusLine():
            words, field = "the first line is malformed", "path"
        case InvalidHeader():
            words, field = "a header is malformed", "headers"
        case InvalidURLError():
            words, field = "the address is malformed", "path"
        case _:
            named = next((name for name in _NAMED if name in reason), None)
            words, field = reason, named or ("body" if "chunk" in reason else "headers")
    return BadRequest(words, field), HTTPStatus.BAD_REQUEST


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The headers of every answer: no versions, no guessed types, nothing old from a cache."""
    response.headers.update(_OF_ALL)
    if request.path.startswith(f"{API}/") or request.path in OPEN_PATHS:
        response.headers.update(problems.NO_STORE)
