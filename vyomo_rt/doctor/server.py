"""The server under examination: how to ask it, and what is known of it so far."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from vyomo_rt.doctor.advice import refusal
from vyomo_rt.doctor.report import Problem
from vyomo_rt.doctor.streams import EventStream, Stream, WebSocketStream

API = "/api/auto-trader"
ANSWER_WITHIN_S = 3.0
Query = Mapping[str, str | int]
_S = TypeVar("_S", bound=Stream)
_ENDPOINT = re.compile(r"(/(ws|sse|api)/auto-trader)?/*$")
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^\s/?#]+")


class UsageError(ValueError):
    """The command's arguments are wrong."""


@dataclass(frozen=True)
class Options:
    """What to examine.

    ``origin`` is that of the page that uses the server, by default the server's own;
    ``idle_s`` how long quiet connections are held (0: not tried), ``watch_s`` how long the
    beats of both transports are compared. ``token`` is for a server with access control.
    """

    url: URL
    origin: str | None = None
    session_id: int | None = None
    symbol: str | None = None
    idle_s: float = 0.0
    watch_s: float = 1.2
    token: str | None = field(default=None, repr=False)


def options(
    url: str,
    *,
    origin: str | None = None,
    session: int | None = None,
    symbol: str | None = None,
    idle: float | None = None,
    token_file: str | None = None,
) -> Options:
    """Check the arguments of the command line. Raises UsageError."""
    origin = origin and origin.lower().rstrip("/")
    if origin and not _ORIGIN.fullmatch(origin):
        raise UsageError(f"--origin: expected something like https://my.app, got {origin!r}")
    if idle is not None and not 0 < idle <= 3600:
        raise UsageError(f"--idle: expected seconds, at most 3600, got {idle:g}")
    return Options(
        _url(url),
        origin,
        session,
        (symbol or "").strip().upper() or None,
        idle or 0,
        token=None if token_file is None else _token(token_file),
    )


def _token(path: str) -> str:
    try:
        token = Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"--token-file: {path!r} cannot be read") from error
    if not token.isascii() or len(token.split()) != 1:
        raise UsageError(f"--token-file: {path!r} holds no token")
    return token


def _url(text: str) -> URL:
    try:
        url = URL(text if "://" in text else f"http://{text}")
    except ValueError as error:
        raise UsageError(f"URL: {text!r} is not an address: {error}") from None
    scheme = {"ws": "http", "wss": "https"}.get(url.scheme, url.scheme)
    if scheme not in ("http", "https") or not url.host or url.query_string or url.fragment:
        raise UsageError(f"URL: expected something like http://localhost:4025, got {text!r}")
    # A user who pastes a stream's address means its server.
    return url.with_scheme(scheme).with_path(_ENDPOINT.sub("", url.path))


class Refused(Problem):
    """A stream that did not open; ``status`` is the answer's."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Answer(NamedTuple):
    """An HTTP answer; ``json`` is empty unless its body is a JSON object."""

    status: int
    headers: CIMultiDictProxy[str]
    json: dict[str, Any]
    took_ms: float


class Server:
    """Asks the server, and keeps what each check learns for the following ones.

    ``origin`` is sent with all requests; it is None once the server has refused it. ``proxy`` is
    the name of something in between. ``session`` is the watched session, as REST shows it,
    ``symbol`` the watched symbol, and ``beats`` says that one of them sends something at each
    interval. The clock's lead is the server's.
    """

    def __init__(self, opts: Options, tell: Callable[[str], None]) -> None:
        self.options = opts
        self.url = opts.url
        self.tell = tell
        self.origin: str | None = None
        self.proxy = ""
        self.round_trip_ms = 0.0
        self.clock_lead_ms: float | None = None
        self.session: dict[str, Any] | None = None
        self.symbol = opts.symbol or "NIFTY"
        self.beats = False
        self.websocket: WebSocketStream | None = None
        self.events: EventStream | None = None
        self._streams: list[Stream] = []

    async def ask(
        self,
        path: str,
        method: str = "GET",
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask over HTTP, following no redirect.

        Raises aiohttp.ClientError, OSError or TimeoutError, like everything that connects here.
        """
        started, url = time.monotonic(), self._at(path, query)
        async with (
            asyncio.timeout(ANSWER_WITHIN_S),
            self._http() as http,
            http.request(method, url, headers=headers, allow_redirects=False) as response,
        ):
            body = await response.read()
        self._learn_proxy(response.headers)
        took_ms = (time.monotonic() - started) * 1000
        return Answer(response.status, response.headers, _object(body), took_ms)

    async def open_websocket(self) -> WebSocketStream:
        """Open a WebSocket, offering compression as browsers do. Raises Refused."""
        async with self._http_to_keep() as http:
            try:
                socket = await http.ws_connect(self._at("/ws/auto-trader"), compress=15)
            except aiohttp.WSServerHandshakeError as error:
                headers = CIMultiDictProxy(CIMultiDict(error.headers or {}))
                raise self._refused(Answer(error.status, headers, {}, 0)) from None
        return self._keep(WebSocketStream(http, socket))

    async def open_events(self, query: Query, last_event_id: str | None = None) -> EventStream:
        """Open an SSE stream as EventSource does. Raises Refused."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        url = self._at("/sse/auto-trader", query)
        async with self._http_to_keep() as http:
            response = await http.get(url, headers=headers, allow_redirects=False)
            if response.status != 200:
                body = _object(await response.read())
                raise self._refused(Answer(response.status, response.headers, body, 0))
        self._learn_proxy(response.headers)
        return self._keep(EventStream(http, response))

    def why(self, answer: Answer) -> str:
        """Why a request was refused, and what to set."""
        location = answer.headers.get("Location", "")
        return refusal(self.url, self.proxy, answer.status, answer.json, location)

    async def close(self) -> None:
        """Drop all streams."""
        for stream in self._streams:
            await stream.drop()

    def _http(self) -> aiohttp.ClientSession:
        """For one request or stream, so that each has a TCP connection of its own."""
        headers = {"User-Agent": "vyomo-rt doctor"}
        if self.origin:
            headers["Origin"] = self.origin
        if self.options.token is not None:
            headers["Authorization"] = f"Bearer {self.options.token}"
        return aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=None))

    @asynccontextmanager
    async def _http_to_keep(self) -> AsyncIterator[aiohttp.ClientSession]:
        """For a stream, which outlives this; closed only if opening it fails or takes too long."""
        http = self._http()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                yield http
        except BaseException:
            await http.close()
            raise

    def _at(self, path: str, query: Query | None = None) -> URL:
        return self.url.with_path(self.url.path.rstrip("/") + path).with_query(query)

    def _refused(self, answer: Answer) -> Refused:
        self._learn_proxy(answer.headers)
        return Refused(answer.status, self.why(answer))

    def _keep(self, stream: _S) -> _S:
        self._streams.append(stream)
        return stream

    def _learn_proxy(self, headers: Mapping[str, str]) -> None:
        """Our server gives its own name; anything that gives another stands in front of it."""
        name = headers.get("Server", "")
        self.proxy = (headers.get("Via", "") if name == "vyomo-rt" else name) or self.proxy


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
