"""One connection over either transport: texts until it is lost or refused."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Self

import aiohttp
from yarl import URL

from vyomo_rt_client.events import EventParser
from vyomo_rt_client.messages import Refused
from vyomo_rt_client.subscription import AUTH_ID, PRICES_ID, SESSION_ID, WATCH_ID, Fields

TOKEN_ENDED = 4005
_FINAL_CLOSE_CODES = {1003, 1007, 1009, TOKEN_ENDED, 4500, 4502, 4503, 4507, 4509}
_FINAL_STATUSES = {400, 401, 403, 404, 421}
_PATIENCE_S = 40.0
"""After so long without a byte a connection is dead: the server pings, or writes keep-alives."""
_CLOSE_S = 2.0


class Lost(Exception):
    """There is no connection, for now.

    `delay_s` is how long the server wants a client to stay away at least. `spread` says that this
    time differs between clients. `blocked` says that something on the way may block this transport.
    """

    def __init__(
        self, reason: str, *, delay_s: float = 0, spread: bool = False, blocked: bool = False
    ) -> None:
        super().__init__(reason)
        self.delay_s = delay_s
        self.spread = spread
        self.blocked = blocked


class Full(Lost):
    """The program's own aiohttp session allows no further connection."""


class WebSocket:
    """A WebSocket on which all subscriptions were sent.

    aiohttp answers pings while the program waits for a message, and pings the server after a
    silence in any case.
    """

    retry_s = 0.0

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws

    @classmethod
    async def open(
        cls,
        http: aiohttp.ClientSession,
        base: URL,
        token: str,
        commands: tuple[Fields, Fields, Fields | None],
    ) -> Self:
        """Connect and send the commands, if there are any. Raises Lost or Refused."""
        session, prices, watch = commands
        if (reason := why_full(http, base)) is not None:
            raise Full(reason)
        with reasons():
            try:
                ws = await http.ws_connect(
                    base / "ws/auto-trader",
                    headers=bearer(token),
                    heartbeat=_PATIENCE_S / 1.5,  # and half as long again for the answer
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
                )
            except aiohttp.ClientResponseError as error:
                message = f"HTTP {error.status} instead of a WebSocket"
                raise _refusal(message, error.status, error.headers or {}) from error
            link = cls(ws)
            try:
                for name, fields in ((SESSION_ID, session), (PRICES_ID, prices)):
                    if fields:
                        await link.subscribe(name, fields)
                if watch is not None:
                    await link.watch(watch)
            except BaseException:
                await link.close()
                raise
            return link

    async def subscribe(self, name: str, fields: Fields) -> None:
        """Send one of the two commands; its name is also its id. Raises Lost."""
        with reasons():
            await self._ws.send_json({"type": f"subscribe_{name}", "id": name, **fields})

    async def watch(self, fields: Fields) -> None:
        """Ask for all sessions at once. Raises Lost."""
        with reasons():
            await self._ws.send_json({"type": "watch_sessions", "id": WATCH_ID, **fields})

    async def authenticate(self, token: str) -> None:
        """Go on with another token. Raises Lost."""
        with reasons():
            await self._ws.send_json({"type": "auth", "id": AUTH_ID, "token": token})

    async def receive(self) -> str:
        """The next text. Raises Lost or Refused."""
        with reasons():
            message = await self._ws.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data)
        if message.type is aiohttp.WSMsgType.CLOSE:
            code, reason = message.data, message.extra or f"the server closed with {message.data}"
            if code in _FINAL_CLOSE_CODES:
                raise Refused(reason, close_code=code)
            raise Lost(reason)
        error = message.data or self._ws.exception()
        if isinstance(error, TimeoutError):
            raise Lost("the server fell silent", blocked=True)
        raise Lost(str(error or "the connection ended"), blocked=True)

    async def close(self) -> None:
        await self._ws.close()


class EventStream:
    """A stream of Server-Sent Events whose query asked for all subscriptions."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._parser = EventParser()
        self._texts: deque[str] = deque()

    @property
    def retry_s(self) -> float:
        """How long the server wants a client to stay away at least after the stream ends."""
        return (self._parser.retry_ms or 0) / 1000

    @classmethod
    async def open(
        cls,
        http: aiohttp.ClientSession,
        base: URL,
        token: str,
        commands: tuple[Fields, Fields, Fields | None],
    ) -> Self:
        """Connect, with all commands in the query. Raises Lost or Refused."""
        session, prices, watch = commands
        query = session | prices
        if watch is not None:
            query |= {"watching": True}
            if "updateInterval" in watch:
                query["watchInterval"] = watch["updateInterval"]
        if (reason := why_full(http, base)) is not None:
            raise Full(reason)
        with reasons():
            response = await http.get(
                base / "sse/auto-trader",
                params={name: _query_text(value) for name, value in query.items()},
                headers={"Accept": "text/event-stream", **bearer(token)},
                timeout=aiohttp.ClientTimeout(total=None, sock_read=_PATIENCE_S),
                raise_for_status=False,
            )
            if response.status == 200 and response.content_type == "text/event-stream":
                return cls(response)
            async with response:
                raise await _no_stream(response)

    async def receive(self) -> str:
        """The next event's data. Raises Lost."""
        while not self._texts:
            with reasons("the server fell silent"):
                chunk = await self._response.content.readany()
            if not chunk:
                raise Lost("the stream ended", blocked=True)
            self._texts.extend(self._parser.feed(chunk))
        return self._texts.popleft()

    async def close(self) -> None:
        self._response.close()


def bearer(token: str) -> dict[str, str]:
    """The header that says who the program is; none without a token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def base_url(url: str | URL) -> URL:
    """A server's address without an endpoint's path; a path before that belongs to a proxy.

    Raises ValueError.
    """
    base = URL(url)
    scheme = {"http": "http", "ws": "http", "https": "https", "wss": "https"}.get(base.scheme)
    if scheme is None or not base.host:
        raise ValueError(f"url: expected an address like http://localhost:4025, not {str(url)!r}")
    return base.with_scheme(scheme).with_path(re.sub(r"/(ws|sse)/[^/].*$", "/", base.path))


def why_full(http: aiohttp.ClientSession, url: URL) -> str | None:
    """Why aiohttp would now wait for a connection, silently and perhaps for ever; None if it would
    not. No public name says how many are in use.
    """
    connector = http.connector
    if connector is None:
        return None
    held = getattr(connector, "_acquired_per_host", {})
    at_host = sum(len(held[key]) for key in held if (key.host, key.port) == (url.host, url.port))
    for name, limit, used in (
        ("limit", connector.limit, len(getattr(connector, "_acquired", ()))),
        ("limit_per_host", connector.limit_per_host, at_host),
    ):
        if limit and used >= limit:
            what = "connections" if name == "limit" else "connections to a server"
            return (
                f"the aiohttp session allows {limit} {what} (TCPConnector({name}=…)), "
                "and all are in use"
            )
    return None


@contextmanager
def reasons(timed_out: str = "no answer in time") -> Iterator[None]:
    """Turns what can go wrong with a connection into Lost, with a reason for people."""
    try:
        yield
    except aiohttp.ClientSSLError as error:
        raise Lost(str(error)) from error
    except aiohttp.ClientConnectorError as error:
        where = error.host if error.port is None else f"{error.host}:{error.port}"
        raise Lost(f"no server answers at {where}") from error
    except aiohttp.ClientConnectionResetError as error:
        raise Lost("the connection ended", blocked=True) from error
    except TimeoutError as error:
        raise Lost(timed_out, blocked=True) from error
    except (aiohttp.ClientError, OSError) as error:
        raise Lost(str(error) or type(error).__name__, blocked=True) from error


async def _no_stream(response: aiohttp.ClientResponse) -> Lost | Refused:
    """Why there is no stream, in the server's words if it sent some."""
    if response.ok:
        message = f"{response.content_type} instead of an event stream: is this a vyomo-rt server?"
        return Refused(message, status=response.status)
    problem: Any = None
    if response.content_type.endswith("json"):
        with suppress(ValueError):
            problem = await response.json(content_type=None)
    if not isinstance(problem, dict):
        problem = {}
    message = problem.get("detail") or f"HTTP {response.status} {response.reason}"
    return _refusal(message, response.status, response.headers, problem.get("code"))


def _refusal(
    message: str, status: int, headers: Mapping[str, str], code: str | None = None
) -> Lost | Refused:
    if status in _FINAL_STATUSES:
        return Refused(message, code=code, status=status)
    retry_after = headers.get("Retry-After", "")
    delay_s = float(retry_after) if retry_after.isdecimal() else 0
    return Lost(message, delay_s=delay_s, blocked=True)


def _query_text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
