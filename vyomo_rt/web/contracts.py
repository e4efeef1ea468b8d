"""The machine-readable contracts, made from the routes and their types."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any

from aiohttp import web

from vyomo_rt.web.asyncapi import asyncapi
from vyomo_rt.web.openapi import openapi
from vyomo_rt.web.routes import JSON, Route
from vyomo_rt.web.tagged import tagged
from vyomo_rt.wire.encoding import encode


class ContractRoutes:
    """Handlers of the two documents; each is made at its first request."""

    def __init__(self, routes: Sequence[Route], version: str) -> None:
        self._described = [*routes, *self.routes()]
        self._version = version

    @cached_property
    def _openapi(self) -> bytes:
        return encode(openapi(self._described, self._version))

    @cached_property
    def _asyncapi(self) -> bytes:
        return encode(asyncapi(self._described, self._version))

    def routes(self) -> list[Route]:
        kind, same = dict[str, Any], {HTTPStatus.NOT_MODIFIED: None}
        changed = (HTTPStatus.PRECONDITION_FAILED,)
        # fmt: off
        return [
            Route("GET", "/api/openapi.json", None, self.show_openapi, "contracts", kind,
                  also=same, refuses=changed),
            Route("GET", "/api/asyncapi.json", None, self.show_asyncapi, "contracts", kind,
                  also=same, refuses=changed),
        ]
        # fmt: on

    async def show_openapi(self, request: web.Request) -> web.Response:
        """This document (OpenAPI 3.1)."""
        return tagged(request, self._openapi, JSON)

    async def show_asyncapi(self, request: web.Request) -> web.Response:
        """The streams' messages (AsyncAPI 3.0)."""
        return tagged(request, self._asyncapi, JSON)
