"""The machine-readable contracts, made of the routes and the types behind them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from aiohttp import web

from vyomo_rt.web.asyncapi import asyncapi
from vyomo_rt.web.openapi import openapi
from vyomo_rt.web.routes import JSON, Route
from vyomo_rt.wire import messages


class ContractRoutes:
    """Handlers of the two documents, each of which is made when it is first asked for."""

    def __init__(self, routes: Sequence[Route], version: str) -> None:
        self._described = [*routes, *self.routes()]
        self._version = version

    @cached_property
    def _openapi(self) -> _Served:
        return _Served(messages.encode(openapi(self._described, self._version)))

    @cached_property
    def _asyncapi(self) -> _Served:
        return _Served(messages.encode(asyncapi(self._described, self._version)))

    def routes(self) -> list[Route]:
        kind, same = dict[str, Any], {HTTPStatus.NOT_MODIFIED: None}
        return [
            Route("GET", "/api/openapi.json", self.show_openapi, "contracts", kind, also=same),
            Route("GET", "/api/asyncapi.json", self.show_asyncapi, "contracts", kind, also=same),
        ]

    async def show_openapi(self, request: web.Request) -> web.Response:
        """This document (OpenAPI 3.1)."""
        return self._openapi.answer(request)

    async def show_asyncapi(self, request: web.Request) -> web.Response:
        """The streams' messages (AsyncAPI 3.0)."""
        return self._asyncapi.answer(request)


class _Served:
    """A document that changes only with the server."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._tag = sha256(body).hexdigest()[:16]

    def answer(self, request: web.Request) -> web.Response:
        """The document, unless the client has it already."""
        if any(etag.value in (self._tag, "*") for etag in request.if_none_match or ()):
            response = web.Response(status=HTTPStatus.NOT_MODIFIED)
        else:
            response = web.Response(body=self._body, content_type=JSON)
        response.etag = self._tag
        response.headers["Cache-Control"] = "no-cache"
        return response
