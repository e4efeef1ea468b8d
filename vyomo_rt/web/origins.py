"""Who may ask from where: Host (against DNS rebinding), Origin, and CORS for those allowed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from vyomo_rt.domain.errors import Forbidden
from vyomo_rt.web import problems

OPEN_PATHS = frozenset(("/livez", "/readyz", "/metrics"))
_ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
_HOST = r"(?P<host>[\w.-]+|\[[0-9a-fA-F:.]+\])(:(?P<port>[0-9]{1,5}))?"
_ORIGIN = re.compile(r"(?P<scheme>[a-zA-Z][\w+.-]*)://" + _HOST, re.ASCII)
_HOST_HEADER = re.compile(_HOST, re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True)
class Origins:
    """The rules for Host and Origin.

    ``loopback`` means that the server listens on loopback only and asks for no token; then pages
    from any port of this machine may use it, as a dashboard in development does. A server with
    ``has_key`` is served under any name, because a name gives nobody a token.
    """

    allowed_origins: frozenset[str]
    allowed_hosts: frozenset[str]
    loopback: bool
    has_key: bool = False

    def host_refusal(self, host: str | None) -> str | None:
        """Why a ``Host`` is not served: anybody could point a name at this server.

        Only browsers can be misled by such a name, and they always send it.
        """
        if host is None or self.has_key:
            return None
        match = _HOST_HEADER.fullmatch(host)
        name = _name(match["host"]) if match else ""
        if name == "localhost" or name in self.allowed_hosts or _is_ip(name):
            return None
        return f"host {host!r} is not served here: add it to VYOMO_RT_ALLOWED_HOSTS to allow it"

    def origin_refusal(self, origin: str | None, host: str | None) -> str | None:
        """Why a page of this origin may not use the server."""
        if origin is None or self.is_own(origin, host) or self._is_named(origin):
            return None
        authority = _authority(origin)
        if self.loopback and authority is not None and authority[0] in _LOOPBACK_NAMES:
            return None
        return f"origin {origin!r} is not allowed: add it to VYOMO_RT_ALLOWED_ORIGINS to allow it"

    def allow_reading(
        self, headers: CIMultiDict[str], origin: str | None, host: str | None
    ) -> bool:
        """Let a page of an allowed foreign origin read the answer with these headers."""
        headers.add(hdrs.VARY, hdrs.ORIGIN)
        if origin is None or self.is_own(origin, host) or self.origin_refusal(origin, host):
            return False
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "Idempotency-Replayed, Retry-After"
        # Cookies and logins of a proxy are only for named pages: any page may be "null".
        if origin != "null" and self._is_named(origin):
            headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
        return True

    def _is_named(self, origin: str) -> bool:
        """Whether the settings name it; unlike browsers, they leave out the root's dot."""
        return re.sub(r"\.(?=(:[0-9]+)?$)", "", origin.lower()) in self.allowed_origins

    def is_own(self, origin: str, host: str | None) -> bool:
        """Whether an origin is the server's own, as its client calls it."""
        scheme, _, _ = origin.partition("://")
        authority = _authority(origin)
        own = None if host is None else _authority(f"{scheme}://{host}")
        return authority is not None and authority == own


def install(app: web.Application, origins: Origins) -> None:
    """Apply the rules to every request of the application."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN_PATHS and (why := origins.host_refusal(_host(request))):
            return problems.answer(Forbidden(why, "Host"), HTTPStatus.MISDIRECTED_REQUEST)
        if why := origins.origin_refusal(request.headers.get(hdrs.ORIGIN), _host(request)):
            return problems.answer(Forbidden(why, "Origin"))
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=HTTPStatus.NO_CONTENT)
        return await handler(request)

    async def add_cors(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        allowed = origins.allow_reading(response.headers, origin, _host(request))
        if allowed and request.method == hdrs.METH_OPTIONS:
            methods = {route.method for route in app.router.routes()} | {hdrs.METH_OPTIONS}
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = _ALLOWED_HEADERS
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ", ".join(sorted(methods))
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "600"

    app.middlewares.append(guard)
    app.on_response_prepare.append(add_cors)


def _host(request: web.Request) -> str | None:
    return request.headers.get(hdrs.HOST)


def _authority(origin: str) -> tuple[str, int | None] | None:
    """Host and port (by default the scheme's) of an origin; None if it is not an origin."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS.get(match["scheme"].lower())
    return _name(match["host"]), port


def _name(host: str) -> str:
    """A host name without brackets, in lower case, without the root's dot."""
    return host.strip("[]").lower().removesuffix(".")


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
