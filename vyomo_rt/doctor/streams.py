"""Open streams of both transports, read in the background with the time of each message."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import aiohttp

FULL = (
    "raise VYOMO_RT_MAX_CONNECTIONS, and the limit of open files if that is lower "
    "(`ulimit -n`, systemd's `LimitNOFILE=`)"
)


class Arrival(NamedTuple):
    """A message, when it arrived by this machine's clock, and on SSE its block's ``id``."""

    at_ms: float
    message: dict[str, Any]
    position: str | None = None

    @property
    def type(self) -> str:
        return str(self.message.get("type"))

    @property
    def data(self) -> dict[str, Any]:
        data = self.message.get("data")
        return data if isinstance(data, dict) else {}

    @property
    def delay_ms(self) -> float:
        """Arrival minus sending, by two clocks: only differences of it mean something."""
        return self.at_ms - epoch_ms(self.data["timestamp"])


def epoch_ms(timestamp: str) -> float:
    """A timestamp of the protocol as epoch milliseconds."""
    return datetime.fromisoformat(timestamp).timestamp() * 1000


def of_type(*types: str) -> Callable[[Arrival], bool]:
    """For `Stream.first`: a message of one of these types."""
    return lambda arrival: arrival.type in types


def trouble(answer: Arrival | None) -> str | None:
    """Why a command was not carried out; None if it was."""
    if answer is None:
        return "there is no answer"
    if answer.type != "error":
        return None
    code, message = answer.message.get("code"), str(answer.message.get("message"))
    return f"{message}; {FULL}" if code == "limit_exceeded" else f"{message} ({code})"


class Stream(ABC):
    """An open stream on a TCP connection of its own.

    ``end`` says how it ended, None while it is open; ``lasted_s`` is how long it was open then.
    """

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.arrivals: list[Arrival] = []
        self.end: str | None = None
        self.lasted_s = 0.0
        self._opened = time.monotonic()
        self._http = http
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read_on())

    @abstractmethod
    async def _read(self) -> str:
        """Pass what arrives to ``_take``, and return how the stream ended."""

    async def first(
        self, wanted: Callable[[Arrival], bool], within_s: float, *, after: int = 0
    ) -> Arrival | None:
        """The first such message, among those received (from number ``after`` on) or to come."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    while after < len(self.arrivals):
                        if wanted(self.arrivals[after]):
                            return self.arrivals[after]
                        after += 1
                    if self.end is not None:
                        return None
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return None

    async def ended(self, within_s: float) -> bool:
        """Whether it ends within this time."""
        await asyncio.wait([self._reader], timeout=within_s)
        return self.end is not None

    async def drop(self) -> None:
        """End the TCP connection without a close frame, as a lost network does."""
        self._reader.cancel()
        await asyncio.wait([self._reader])
        await self._http.close()
        await self._forget()

    @abstractmethod
    async def _forget(self) -> None:
        """Drop the reference to a closed connection."""

    async def _read_on(self) -> None:
        try:
            self.end = await self._read()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self.end = f"cut off ({error or type(error).__name__})"
        finally:
            self.lasted_s = time.monotonic() - self._opened
            self._news.set()

    def _take(self, text: str, position: str | None = None) -> None:
        message = json.loads(text)
        if not isinstance(message, dict):
            raise ValueError(f"a message that is not a JSON object: {text[:40]!r}")
        self.arrivals.append(Arrival(time.time() * 1000, message, position))
        self._news.set()


class WebSocketStream(Stream):
    """A WebSocket; ``close_code`` is None until it is closed."""

    def __init__(
        self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self._socket = socket
        self._asked = 0
        super().__init__(http)

    @property
    def compressed(self) -> bool:
        return bool(self._socket.compress)

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    async def ask(self, type_: str, within_s: float, **fields: Any) -> Arrival | None:
        """Send a command and return its answer; a server without ``id`` answers only pings."""
        self._asked += 1
        id_, after = self._asked, len(self.arrivals)
        command = {"type": type_, "id": id_} | fields

        def answers(arrival: Arrival) -> bool:
            return arrival.message.get("id", "") == id_ or (type_, arrival.type) == ("ping", "pong")

        try:
            await self._socket.send_str(json.dumps(command))
        except ConnectionError:
            return None
        return await self.first(answers, within_s, after=after)

    async def _forget(self) -> None:
        await self._socket.close()

    async def _read(self) -> str:
        async for frame in self._socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                self._take(frame.data)
        if self._socket.close_code in (None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE):
            return "cut without a close frame"
        return f"closed with {self._socket.close_code}"


class EventStream(Stream):
    """An SSE stream."""

    def __init__(self, http: aiohttp.ClientSession, response: aiohttp.ClientResponse) -> None:
        self._response = response
        super().__init__(http)

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @property
    def position(self) -> str | None:
        """The last ``id``, which EventSource would send back."""
        return next((a.position for a in reversed(self.arrivals) if a.position), None)

    async def _forget(self) -> None:
        self._response.close()

    async def _read(self) -> str:
        position, data = None, ""
        async for raw in self._response.content:
            line = raw.decode().rstrip("\r\n")
            name, _, value = line.partition(":")
            if not line and data:
                self._take(data, position)
                position, data = None, ""
            elif name == "id":
                position = value.strip()
            elif name == "data":
                data += value
        return "ended"
