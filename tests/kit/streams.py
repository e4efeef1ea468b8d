"""Streams as a client sees them: the same few calls over WebSocket and over Server-Sent Events."""

from __future__ import annotations

import asyncio
import json
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp

from tests.kit.waiting import PATIENCE_S


class Stream(ABC):
    """Messages in the order in which they came; ``texts`` holds all of them as they were."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.put_back: deque[str] = deque()

    async def _next_text(self) -> str | None:
        return self.put_back.popleft() if self.put_back else await self.read()

    @abstractmethod
    async def read(self) -> str | None:
        """The next message's text; None at the end of the stream."""

    async def next(self, *types: str, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next message of one of these types, or of any type; the others are passed over."""
        async with asyncio.timeout(within_s):
            while (text := await self._next_text()) is not None:
                self.texts.append(text)
                message: dict[str, Any] = json.loads(text)
                if not types or message["type"] in types:
                    return message
        raise AssertionError(f"the stream ended before {types}: {self.texts[-3:]}")

    async def until_seq(self, seq: int) -> list[str]:
        """The texts of all trade events up to a number, from the start of the stream on."""
        while not (events := self.events()) or json.loads(events[-1])["seq"] < seq:
            await self.next("trade_opened", "trade_closed")
        return events

    def events(self) -> list[str]:
        return [text for text in self.texts if text.startswith('{"type":"trade_')]

    def messages(self, *types: str) -> list[dict[str, Any]]:
        """All messages of some types so far."""
        found = [json.loads(text) for text in self.texts]
        return [message for message in found if message["type"] in types]


class WebSocket(Stream):
    """A WebSocket of aiohttp's client."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__()
        self.ws = ws

    async def read(self) -> str | None:
        message = await self.ws.receive()
        return message.data if message.type is aiohttp.WSMsgType.TEXT else None

    async def send(self, type_: str, **fields: Any) -> None:
        await self.ws.send_str(json.dumps({"type": type_} | fields))

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        id_ = os.urandom(4).hex()
        await self.send(type_, id=id_, **fields)
        while (answer := await self.next("ack", "pong", "error")).get("id") != id_:
            pass
        return answer

    async def closed(self, within_s: float = PATIENCE_S) -> int | None:
        """Read to the end and return the close code."""
        async with asyncio.timeout(within_s):
            while (text := await self.read()) is not None:
                self.texts.append(text)
        return self.ws.close_code


@dataclass
class Block:
    """One SSE event, read as the specification says."""

    event: str = "message"
    data: list[str] = field(default_factory=list)
    id: str | None = None
    retry: str | None = None


class EventStream(Stream):
    """An SSE stream over a bare socket, so that every byte can be looked at.

    ``complete`` says whether the server has ended the body, and not only the connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self._reader = reader
        self._writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.lines: list[str] = []
        self.blocks: list[Block] = []
        self.last_event_id: str | None = None
        self.complete = False
        self._in_chunk: deque[str] = deque()

    async def open(self, request: str) -> None:
        self._writer.write(request.encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        status, *fields = head.removesuffix("\r\n\r\n").split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {k.lower(): v for k, v in (field.split(": ", 1) for field in fields)}

    async def _line(self) -> str:
        """The next line, empty at the end."""
        if self.headers.get("transfer-encoding") != "chunked":
            return (await self._reader.readline()).decode()
        while not self._in_chunk:
            if not (head := await self._reader.readline()):
                return ""
            *chunk, end = (await self._reader.readexactly(int(head, 16) + 2)).splitlines(True)
            assert end == b"\r\n", f"a chunk of another length than {head!r}"
            if not chunk:
                self.complete = True
                return ""
            self._in_chunk.extend(line.decode() for line in chunk)
        return self._in_chunk.popleft()

    async def read(self) -> str | None:
        block = Block()
        while line := await self._line():
            assert line.endswith("\n"), "the stream ends in the middle of a line"
            line = line[:-1]
            self.lines.append(line)
            if line == "":
                self.blocks.append(block)
                self.last_event_id = block.id or self.last_event_id
                return "\n".join(block.data)
            name, _, value = line.partition(": ")
            match name:
                case "data":
                    block.data.append(value)
                case "event" | "id" | "retry":
                    setattr(block, name, value)
                case _:
                    assert line == ":", f"an unknown field: {line}"
        assert block == Block(), "the stream ends in the middle of a block"
        return None

    async def keep_alive(self) -> None:
        """Wait for the next comment line."""
        before = self.lines.count(":")
        async with asyncio.timeout(PATIENCE_S):
            while self.lines.count(":") == before:
                line = (await self._line()).removesuffix("\n")
                self.lines.append(line)
                assert line == ":", line

    async def body(self) -> dict[str, Any]:
        """The JSON of an answer that is no stream."""
        size = int(self.headers["content-length"])
        document: dict[str, Any] = json.loads(await self._reader.readexactly(size))
        return document

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while (text := await self.read()) is not None:
                self.texts.append(text)


def query(**fields: Any) -> str:
    """The query that spells the fields of the subscribe commands."""
    texts = {
        name: ",".join(value) if isinstance(value, list) else str(value)
        for name, value in fields.items()
        if value is not None
    }
    return urlencode(texts)


@asynccontextmanager
async def event_stream(
    url: str, path: str, *, http: str = "1.1", method: str = "GET", **headers: str
) -> AsyncIterator[EventStream]:
    """An SSE stream; in the names of headers ``_`` stands for ``-``."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    stream = EventStream(reader, writer)
    fields = {"Host": where.netloc} | {k.replace("_", "-"): v for k, v in headers.items()}
    lines = [f"{method} {path} HTTP/{http}", *(f"{name}: {v}" for name, v in fields.items())]
    try:
        await stream.open("\r\n".join(lines) + "\r\n\r\n")
        yield stream
    finally:
        writer.transport.abort()


@asynccontextmanager
async def web_socket(
    url: str, path: str = "/ws/auto-trader", **headers: str
) -> AsyncIterator[WebSocket]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}{path}", headers=named) as ws,
    ):
        yield WebSocket(ws)


@asynccontextmanager
async def watching(transport: str, url: str, **fields: Any) -> AsyncIterator[Stream]:
    """A stream with a subscription; its ack has been read and is the first of its texts."""
    if transport == "sse":
        async with event_stream(url, f"/sse/auto-trader?{query(**fields)}") as sse:
            assert sse.status == 200
            await sse.next("ack")
            yield sse
        return
    named = {"symbols", "priceInterval", "onlyChanges"}
    prices = {name: value for name, value in fields.items() if name in named}
    session = {name: value for name, value in fields.items() if name not in named}
    async with web_socket(url) as ws:
        if prices and session:
            await ws.send("subscribe_prices", **prices)
        answer = await (
            ws.ask("subscribe_session", **session)
            if session
            else ws.ask("subscribe_prices", **prices)
        )
        assert answer["type"] == "ack", answer
        # As on SSE, the ack is the first message and the snapshot of the prices follows.
        *before, ack = ws.texts
        ws.texts = [ack]
        ws.put_back.extend(before)
        yield ws
