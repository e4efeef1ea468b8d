"""Connects, reconnects, resumes: a server's messages as one endless iteration."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any, Literal, Self

import aiohttp
from yarl import URL

from vyomo_rt_client.links import EventStream, Full, Lost, WebSocket, base_url, reasons
from vyomo_rt_client.messages import Message, Position, Refused, State, Status, Transport
from vyomo_rt_client.subscription import SESSION_ID, Fields, Subscription, parse

log = logging.getLogger(__name__)

Choice = Literal["auto", "ws", "sse"]
OnStatus = Callable[[Status], object]

_PASSING = {"unavailable", "rate_limited", "internal"}
"""Codes of errors that pass by themselves."""
_STANDING = {401, 403}
"""Statuses that no proxy sends just because the server restarts."""
_NAMES: dict[Transport, str] = {"ws": "WebSocket", "sse": "SSE"}
_BACK_OFF_S, _BACK_OFF_MAX_S = 1.0, 10.0
_STEADY_S = 5.0
"""Success for so long ends the back-off; being answered and lost again does not."""
_OPEN_S = 20.0
"""From the first packet to the server's first answer."""


def connect(
    url: str | URL,
    *,
    session_id: int | None = None,
    symbols: Collection[str] = (),
    types: Collection[str] | None = None,
    update_interval_ms: int | None = None,
    price_interval_ms: int | None = None,
    only_changes: bool | None = None,
    since: int | str | Position | None = None,
    transport: Choice = "auto",
    session: aiohttp.ClientSession | None = None,
    on_status: OnStatus | None = None,
) -> Stream:
    """The messages of a session, of prices, or of both. It connects when the first is requested.

    `url` is the server's address, http(s) or ws(s). `types` selects messages of the session.
    `since` is the event after which to continue: its number, a `Position`, or the text of one; if
    left out, the stream starts with the current state. `transport` ``auto`` is WebSocket, and
    Server-Sent Events if that cannot be opened. `session` is an aiohttp session to use, for a proxy
    or TLS; it stays open. Each stream takes one of its connections while it lasts, and aiohttp
    allows 100: for more, make it with ``TCPConnector(limit=0)``. `on_status` is called with each
    `Status`; an exception from it ends the iteration. The rest is as in docs/protocol.md. A
    message's `text` is the JSON as the server wrote it.

    Raises ValueError for arguments that make no sense. If the server refuses, the iteration raises
    `Refused`.
    """
    _check_names(symbols, types)
    if session_id is None and not symbols:
        raise ValueError("session_id or symbols is required")
    if transport not in ("auto", "ws", "sse"):
        raise ValueError(f"transport is auto, ws or sse, not {transport!r}")
    session_fields: Fields = {
        "sessionId": session_id,
        "types": None if types is None else list(types),
        "updateInterval": update_interval_ms,
    }
    price_fields: Fields = {
        "symbols": list(symbols),
        "priceInterval": price_interval_ms,
        "onlyChanges": only_changes,
    }
    subscription = Subscription(
        {} if session_id is None else session_fields,
        price_fields if symbols else {},
        _position(session_id, since),
    )
    return Stream(base_url(url), subscription, transport, session, on_status)


def _check_names(symbols: Collection[str], types: Collection[str] | None) -> None:
    for name, names in (("symbols", symbols), ("types", types)):
        if isinstance(names, str):
            raise ValueError(f"{name} is a list of names: write [{names!r}]")
    if types is not None and not types:
        raise ValueError("types: name at least one, or leave it out for all")


def _position(session_id: int | None, since: int | str | Position | None) -> Position | None:
    if since is None:
        return None
    if session_id is None:
        raise ValueError("since needs a session_id")
    if isinstance(since, int):
        return Position(session_id, since)
    position = Position.parse(since) if isinstance(since, str) else since
    if position.session_id != session_id:
        raise ValueError(f"since: {position} is not a position of session {session_id}")
    return position


class Stream:
    """The messages, one by one, by ``async for`` or `anext`; made by `connect`.

    Leaving ``async with`` closes it at once. Without one, the end of the ``async for`` closes it;
    after a ``break`` that is a moment later, when the event loop has its turn.
    """

    def __init__(
        self,
        base: URL,
        subscription: Subscription,
        choice: Choice,
        http: aiohttp.ClientSession | None,
        on_status: OnStatus | None,
    ) -> None:
        self._base = base
        self._subscription = subscription
        self._transport: Transport = "sse" if choice == "sse" else "ws"
        self._may_change = choice == "auto"
        self._opened = False
        self._failed_opens = 0
        self._http = http
        self._own_http: aiohttp.ClientSession | None = None
        self._link: WebSocket | EventStream | None = None
        self._attempt = 0
        self._tried_at_s = 0.0
        self._retry_at_s = 0.0
        self._repeat_at_s: float | None = None
        self._entered = False
        self._closed = asyncio.Event()
        self._on_status = on_status
        self._status = Status("connecting", self._transport, "when a message is asked for")

    @property
    def position(self) -> Position | None:
        """Where the session stands after the last message; save it once that is dealt with."""
        return self._subscription.position

    @property
    def transport(self) -> Transport:
        """The transport in use, or to be tried next."""
        return self._transport

    @property
    def status(self) -> Status:
        return self._status

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def __aiter__(self) -> AsyncGenerator[Message, None]:
        try:
            with suppress(StopAsyncIteration):
                while True:
                    yield await self.__anext__()
        finally:
            if not self._entered:
                await _to_the_end(self.aclose)

    async def __anext__(self) -> Message:
        """The next message; a cancelled call loses none. Raises Refused."""
        while not self._closed.is_set():
            try:
                text = await (self._receive(self._link) if self._link else self._open())
                message = self._take(text)
            except Lost as lost:
                if not self._closed.is_set():
                    await self._wait(lost)
            except Refused as refused:
                await self._end(str(refused))
                raise
            else:
                if message is not None:
                    return message
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connection; the iteration ends, even if another task waits in it."""
        await self._end("closed by this program")

    async def _end(self, reason: str) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            await self._drop()
        finally:
            if self._own_http is not None:
                await self._own_http.close()
        self._report("closed", reason)

    async def _drop(self) -> None:
        link, self._link = self._link, None
        self._repeat_at_s = None
        if link is not None:
            await link.close()

    async def _open(self) -> str:
        """Connect and subscribe, when it is time to; returns the server's first text."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._retry_at_s):
                await self._closed.wait()
        if self._closed.is_set():
            raise Lost("closed")
        self._report("connecting", self._base.authority)
        if self._http is None:
            self._http = self._own_http = aiohttp.ClientSession()
        kind = WebSocket if self._transport == "ws" else EventStream
        try:
            with reasons(f"no answer within {_OPEN_S:.0f} s"):
                async with asyncio.timeout(_OPEN_S):
                    link = await kind.open(self._http, self._base, *self._subscription.commands())
                    try:
                        text = await link.receive()
                    except BaseException:
                        await link.close()
                        raise
        except Full as full:
            if self._opened:
                raise
            raise Refused(str(full)) from full
        except Refused as refused:
            # Perhaps a proxy does not let a WebSocket through, or not at the moment.
            not_now = self._opened and refused.status not in _STANDING
            from_between = self._transport == "ws" and (self._may_change or not_now)
            if refused.status is None or not from_between:
                raise
            raise Lost(str(refused), blocked=True) from refused
        self._link = link
        self._tried_at_s = asyncio.get_running_loop().time()
        return text

    async def _receive(self, link: WebSocket | EventStream) -> str:
        """The next text; meanwhile a command that was refused for now is resent."""
        if self._repeat_at_s is not None and isinstance(link, WebSocket):
            loop = asyncio.get_running_loop()
            if loop.time() < self._repeat_at_s:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self._repeat_at_s):
                        return await link.receive()
            await link.subscribe(SESSION_ID, self._subscription.commands()[0])
            self._repeat_at_s = None
            self._tried_at_s = loop.time()
        return await link.receive()

    def _take(self, text: str) -> Message | None:
        """What the program gets from a text. Raises Lost or Refused if the text means that."""
        try:
            message = parse(text)
        except ValueError:
            raise Lost(f"not a message of a vyomo-rt server: {text[:80]!r}") from None
        match message["type"]:
            case "ack":
                self._subscription.acknowledge(message.get("id"), message["result"])
                if self._status.state != "open":
                    self._opened, self._may_change = True, False
                    self._report("open", self._base.authority)
                return None
            case "error":
                self._take_error(message)
                return None
            case "server_shutdown":
                delay_s = float(message["data"]["reconnectAfterMs"]) / 1000
                raise Lost("the server shuts down", delay_s=delay_s, spread=True)
            case _:
                return self._subscription.deliver(message, text)

    def _take_error(self, error: Fields) -> None:
        """Repeat later what is refused for now. Otherwise raises Lost or Refused."""
        # An SSE stream that has begun was accepted: what it says before its end will pass.
        if self._transport == "ws" and error.get("code") not in _PASSING:
            raise Refused(error["message"], code=error.get("code"))
        lost = Lost(error["message"], delay_s=float(error.get("retryAfterMs") or 0) / 1000)
        if self._transport == "sse" or error.get("id") != SESSION_ID:
            raise lost
        # The link stays, for the prices.
        delay_s = self._delay_s(lost)
        self._repeat_at_s = asyncio.get_running_loop().time() + delay_s
        if self._status.state == "open":
            log.warning("the session is asked for again in %.1f s: %s", delay_s, lost)
        else:
            self._report("waiting", str(lost), delay_s)

    async def _wait(self, lost: Lost) -> None:
        """Drop the connection, and decide when and how to open another."""
        retry_s = self._link.retry_s if self._link else 0.0
        reason = str(lost)
        if lost.blocked and self._may_change:
            self._failed_opens += 1
            if self._failed_opens % 2 == 0:
                self._transport = "sse" if self._transport == "ws" else "ws"
                reason = f"{reason}; trying {_NAMES[self._transport]}"
        delay_s = self._delay_s(lost, retry_s)
        self._retry_at_s = asyncio.get_running_loop().time() + delay_s
        self._report("waiting", reason, delay_s)
        # Last, because it takes a while, in which this call may be cancelled.
        await self._drop()

    def _delay_s(self, lost: Lost, retry_s: float = 0.0) -> float:
        """Full jitter: clients cut at the same time do not come back at the same time, even if the
        server gave them the same delay.
        """
        if lost.spread:
            return lost.delay_s
        steady_s = asyncio.get_running_loop().time() - self._tried_at_s
        if self._status.state == "open" and steady_s >= _STEADY_S:
            self._attempt = 0
        most_s = min(_BACK_OFF_MAX_S, _BACK_OFF_S * 2 ** min(self._attempt, 10))
        self._attempt += 1
        return max(lost.delay_s, retry_s) + random.uniform(0, most_s)  # noqa: S311

    def _report(self, state: State, detail: str, delay_s: float | None = None) -> None:
        self._status = Status(state, self._transport, detail, delay_s)
        log.info("%s", self._status)
        if self._on_status is not None:
            self._on_status(self._status)


async def _to_the_end(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Close even if a ``break`` leaves the iteration and the program ends right after.

    Before Python 3.13, GeneratorExit then arrives in the middle of closing. With uvloop the end of
    the program cancels it, perhaps before it has begun.
    """
    task = asyncio.ensure_future(close())
    try:
        await asyncio.shield(task)
    except (GeneratorExit, asyncio.CancelledError):
        with suppress(asyncio.CancelledError):
            await task
        await close()
        raise
