"""Turns errors into HTTP answers: RFC 9457 problem documents with the protocol's codes."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import UNSET, UnsetType

from vyomo_rt.domain.errors import (
    BadRequest,
    BodyTooLarge,
    Conflict,
    Failed,
    Forbidden,
    KeyReused,
    LimitExceeded,
    NotFound,
    NumberTaken,
    PreconditionFailed,
    RateLimited,
    SessionFull,
    Unauthorized,
    Unavailable,
    UnknownEncoding,
    VyomoError,
)
from vyomo_rt.web.bodies import ENCODINGS, RequestUnfinished
from vyomo_rt.wire.encoding import encode
from vyomo_rt.wire.refusal import problem_document, retry_after_ms
from vyomo_rt.wire.session import SessionDocument
from vyomo_rt.wire.tick import NoTickAccepted

log = logging.getLogger(__name__)

NO_STORE = {"Cache-Control": "no-store"}

_STATUS: dict[type[VyomoError], HTTPStatus] = {
    Failed: HTTPStatus.INTERNAL_SERVER_ERROR,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    LimitExceeded: HTTPStatus.BAD_REQUEST,
    SessionFull: HTTPStatus.CONFLICT,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnknownEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    NoTickAccepted: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    NumberTaken: HTTPStatus.SERVICE_UNAVAILABLE,
    RequestUnfinished: HTTPStatus.REQUEST_TIMEOUT,
}


def status_of(error: VyomoError) -> HTTPStatus:
    """The HTTP status of the nearest class in the tree; 400 for all others."""
    return next((_STATUS[c] for c in type(error).__mro__ if c in _STATUS), HTTPStatus.BAD_REQUEST)


def answer(
    error: VyomoError,
    status: HTTPStatus | None = None,
    *,
    session: SessionDocument | UnsetType = UNSET,
) -> web.Response:
    """A problem document."""
    status = status or status_of(error)
    response = web.Response(
        status=status,
        body=encode(problem_document(status.value, status.phrase, error, session)),
        content_type="application/problem+json",
        headers=NO_STORE,
    )
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    if (after_ms := retry_after_ms(error)) is not None:
        response.headers["Retry-After"] = str(math.ceil(after_ms / 1000))
    if status is HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        response.headers["Accept-Encoding"] = ", ".join(ENCODINGS)
    return response


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every refusal, aiohttp's own included, with a problem document."""
    try:
        return await handler(request)
    except VyomoError as error:
        return answer(error)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return answer_http(request, error)
    except web.RequestPayloadError:
        words = "the body cannot be read: it ends too early, or a chunk is malformed"
        return answer(BadRequest(words, "body"))
    except ConnectionError:
        # The client has left: there is nobody to answer, and aiohttp would log a fault.
        return web.Response()
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return answer(Failed("the server failed: its log says why"))


def answer_http(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    """One of aiohttp's own refusals as a problem document."""
    if isinstance(error, web.HTTPNotFound):
        return answer(NotFound(f"there is nothing at {request.path}", "path"))
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        words = f"{request.method} is not allowed at {request.path}: use {allowed}"
        response = answer(BadRequest(words, "method"), HTTPStatus.METHOD_NOT_ALLOWED)
        response.headers["Allow"] = error.headers["Allow"]
        return response
    field = "Expect" if isinstance(error, web.HTTPExpectationFailed) else "body"
    return answer(BadRequest(error.text or error.reason, field), HTTPStatus(error.status))
