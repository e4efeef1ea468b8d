"""The console, and what an operator's probes ask."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import aiohttp_jinja2
import jinja2
from aiohttp import web
from msgspec import Struct, to_builtins

from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.web.routes import Route
from vyomo_rt.web.static import StaticFiles
from vyomo_rt.wire.health import FeedReadiness, Liveness, Readiness

_PACKAGE = Path(__file__).parent.parent
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
"""The page loads its own files and talks to its own server; nobody may put it into a frame."""


class PageRoutes:
    """The console's page, ``/livez`` and ``/readyz``."""

    def __init__(
        self,
        *,
        version: str,
        demo_session: Callable[[], int | None],
        loaded: Callable[[], bool],
        trade_on_delayed: bool,
        store_available: Callable[[], bool],
        notices_wait: Callable[[], bool] | None,
        feed_status: Callable[[], FeedStatus],
    ) -> None:
        self._version = version
        self._demo_session = demo_session
        self._loaded = loaded
        self._trade_on_delayed = trade_on_delayed
        self._store_available = store_available
        self._notices_wait = notices_wait
        self._feed_status = feed_status
        self._static = StaticFiles(_PACKAGE / "static")

    def routes(self) -> list[Route]:
        """What an operator's probes ask."""
        unready = {HTTPStatus.SERVICE_UNAVAILABLE: Readiness}
        return [
            Route("GET", "/livez", None, self.livez, "health", Liveness),
            Route("GET", "/readyz", None, self.readyz, "health", Readiness, also=unready),
        ]

    def install(self, app: web.Application) -> None:
        aiohttp_jinja2.setup(
            app, loader=jinja2.FileSystemLoader(_PACKAGE / "templates"), autoescape=True
        )
        app.router.add_get("/", self.console)
        self._static.install(app)

    async def console(self, request: web.Request) -> web.Response:
        feed = self._feed_status()
        context = {
            "demo": self._demo_session(),
            "trade_on_delayed": self._trade_on_delayed,
            "feed": feed.source,
            "market": feed.market_state,
            "version": self._version,
            "static": f"static-{await self._static.edition()}",
            "modules": self._static.modules,
        }
        response = aiohttp_jinja2.render_template("console.html", request, context)
        response.headers.update(_PAGE_HEADERS)
        return response

    async def livez(self, _request: web.Request) -> web.Response:
        """The process runs and its loop turns."""
        return _json(Liveness("ok"))

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether commands can be stored and the price source works.

        `loading` while a server that has just started is still reading its sessions.
        """
        store, feed = self._store_available(), self._feed_status()
        ready = store and self._loaded() and feed.state is not FeedState.DOWN
        unready: Literal["loading", "unavailable"] = "unavailable" if self._loaded() else "loading"
        document = Readiness(
            status="ok" if ready else unready,
            store="ok" if store else "unavailable",
            feed=FeedReadiness(feed.source, feed.state, feed.message),
        )
        if self._notices_wait is not None:
            document.notices = "waiting" if self._notices_wait() else "ok"
        return _json(document, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)


def _json(document: Struct, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.json_response(to_builtins(document), status=status)
