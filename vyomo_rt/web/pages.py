"""The console, its static files, and what an operator's probes ask."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from vyomo_rt.domain.quote import FeedState, FeedStatus

_PACKAGE = Path(__file__).parent.parent


class PageRoutes:
    """The console's page, ``/livez`` and ``/readyz``."""

    def __init__(
        self,
        *,
        version: str,
        demo: bool,
        store_available: Callable[[], bool],
        feed_status: Callable[[], FeedStatus],
    ) -> None:
        self._version = version
        self._demo = demo
        self._store_available = store_available
        self._feed_status = feed_status

    def install(self, app: web.Application) -> None:
        aiohttp_jinja2.setup(
            app, loader=jinja2.FileSystemLoader(_PACKAGE / "templates"), autoescape=True
        )
        app.router.add_get("/", self.console)
        app.router.add_get("/livez", self.livez)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_static("/static", _PACKAGE / "static")

    async def console(self, request: web.Request) -> web.Response:
        context = {
            "demo": self._demo,
            "feed": self._feed_status().source,
            "version": self._version,
        }
        response = aiohttp_jinja2.render_template("console.html", request, context)
        response.headers["Cache-Control"] = "no-cache"
        return response

    async def livez(self, _request: web.Request) -> web.Response:
        """The process runs and its loop turns."""
        return web.json_response({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether commands can be stored and the price source works."""
        store, feed = self._store_available(), self._feed_status()
        ready = store and feed.state is not FeedState.DOWN
        document = {
            "status": "ok" if ready else "unavailable",
            "store": "ok" if store else "unavailable",
            "feed": {"source": feed.source, "state": feed.state, "message": feed.message},
        }
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response(document, status=status)
