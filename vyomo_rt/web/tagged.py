"""Documents that change only with the server, served with an ``ETag``."""

from __future__ import annotations

from hashlib import sha256
from http import HTTPStatus

from aiohttp import web

from vyomo_rt.domain.errors import PreconditionFailed


def tagged(request: web.Request, body: bytes, content_type: str) -> web.Response:
    """The document, unless the client already has it. Raises PreconditionFailed.

    A ``Range`` is ignored, as RFC 9110 allows: each document is short. So is a date, because
    the server sends none.
    """
    tag = sha256(body).hexdigest()[:16]
    wanted = request.if_match
    if wanted is not None and not any(
        etag.value in (tag, "*") and not etag.is_weak for etag in wanted
    ):
        raise PreconditionFailed(f"If-Match: {request.path} has changed since", "If-Match")
    if any(etag.value in (tag, "*") for etag in request.if_none_match or ()):
        response = web.Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        response = web.Response(body=body, content_type=content_type)
    response.etag = tag
    response.headers["Cache-Control"] = "no-cache"
    return response
