"""Connects, reconnects, resumes: a server's messages as one endless iteration."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Literal, Self

import aiohttp
from yarl import URL

from vyomo_rt_client.links import (
    TOKEN_ENDED,
    EventStream,
    Full,
    Lost,
    WebSocket,
    reasons,
)
from vyomo_rt_client.messages import Message, Position, Refused, State, Status, Transport
from vyomo_rt_client.subscription import AUTH_ID, SESSION_ID, Fields, Subscription, parse
from vyomo_rt_client.tokens import Tokens

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


class Stream:
    """The messages, one by one, by ``async for`` or `anext`; made by `connect`.

    Leaving ``async with`` closes it at once. Without one, the end of the ``async for`` closes it;
    after a ``break`` that is a moment later, when the event loop has its turn.
    """

    def __init__(
        self,
        base: URL,
        subscription: Subscription,
        tokens: Tokens,
        *,
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
        self._tokens = tokens
        self._token = ""
        self._renewal: asyncio.Task[None] | None = None
        self._banned: Refused | None = None
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
                message = await self._next()
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

    async def _next(self) -> Message | None:
        """What the program gets from the next text. Raises Lost or Refused."""
        try:
            return self._take(await (self._receive(self._link) if self._link else self._open()))
        except Lost:
            if self._banned is not None:
                raise self._banned from None
            raise
        except Refused as refused:
            if not _is_about_token(refused):
                raise
            with reasons("no token in time"):
                async with asyncio.timeout(_OPEN_S):
                    await self._tokens.replace(refused, self._token)
            raise Lost(str(refused)) from refused

    async def _renew_token(self, link: WebSocket | EventStream | None) -> None:
        """Get another token before this one ends, and send it if that is possible."""
        try:
            with reasons():
                token = await self._tokens.renew()
            if isinstance(link, WebSocket) and token != self._token:
                self._token = token
                await link.authenticate(token)
        except Lost as lost:
            # At the end of the old one another is asked for.
            log.warning("the token could not be renewed yet: %s", lost)
        except Refused as refused:
            self._banned = refused
            if link is not None:
                await link.close()

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
        if self._renewal is not None:
            self._renewal.cancel()
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
                    self._token = await self._tokens.current()
                    commands = self._subscription.commands()
                    link = await kind.open(self._http, self._base, self._token, commands)
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
            if _is_about_token(refused) and self._tokens.can_change:
                raise
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
            case "token_expiring" if self._tokens.can_change:
                self._renewal = asyncio.create_task(self._renew_token(self._link))
        return self._subscription.deliver(message, text)

    def _take_error(self, error: Fields) -> None:
        """Repeat later what is refused for now. Otherwise raises Lost or Refused."""
        if error.get("id") == AUTH_ID:
            log.warning("the new token was not taken: %s", error["message"])
            return
        if self._transport == "sse" and error.get("code") == "unauthorized":
            raise Refused(error["message"], code="unauthorized")
        # An SSE stream that has begun was accepted: what else it says before its end will pass.
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


def _is_about_token(refused: Refused) -> bool:
    """Whether another token may help."""
    found = (refused.code, refused.status, refused.close_code)
    return "unauthorized" in found or 401 in found or TOKEN_ENDED in found


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
