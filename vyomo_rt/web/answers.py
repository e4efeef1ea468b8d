"""Documents as answers."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from msgspec import Struct

from vyomo_rt.web.routes import JSON
from vyomo_rt.wire.encoding import encode


def json_answer(
    document: Struct,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A document of the protocol as the body of an answer."""
    return web.Response(body=encode(document), status=status, content_type=JSON, headers=headers)


def made(document: Struct, status: HTTPStatus, replayed: bool) -> web.Response:
    """What a command has made, now or when it was asked for the first time."""
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    return json_answer(document, status, headers)
