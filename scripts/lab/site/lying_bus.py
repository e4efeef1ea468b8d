"""A way to NATS that lies: it loses, doubles, delays and reorders a part of what NATS says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

from yarl import URL

KINDS = ("dropped", "doubled", "delayed", "reordered")
_LATE_S = (0.01, 0.6)
_EVENTS = ".all.events."
"""In the subject of messages that carry numbered events."""


class LyingBus:
    """Between a node and NATS; of each kind of lie it tells the same part of all messages."""

    def __init__(self, nats_url: str, part: float, seed: int | str) -> None:
        self.dropped = self.doubled = self.delayed = self.reordered = 0
        self.messages = 0
        self.port = 0
        self.part = part
        self.loses: Callable[[str], bool] = lambda _subject: False
        """What it loses besides: of subjects that this accepts, everything."""
        self._nats = URL(nats_url)
        self._chance = random.Random(seed)
        self._forced: list[str] = []
        self._flows: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._held: tuple[asyncio.StreamWriter, bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen on a free port, and after a stop on the same one."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Nothing goes through any more."""
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        for flow in list(self._flows):
            flow.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)

    def force(self) -> None:
        """Tell a lie of each kind about the next events, whatever chance says."""
        self._forced = list(KINDS)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection(self._nats.host, self._nats.port)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, there[1]}
        for flow in (self._pass_on(reader, there[1]), self._lie(there[0], writer)):
            task = asyncio.create_task(flow)
            self._flows.add(task)
            task.add_done_callback(self._flows.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        self._close(writer)

    async def _lie(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                words = line.split()
                if words[0] in (b"MSG", b"HMSG"):
                    body = await reader.readexactly(int(words[-1]) + 2)
                    subject = words[1].decode()
                    if not self.loses(subject):
                        self._tell(writer, line + body, subject)
                else:
                    writer.write(line)
        self._close(writer)

    def _close(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        self._writers.discard(writer)

    def _tell(self, writer: asyncio.StreamWriter, message: bytes, subject: str) -> None:
        held, self._held = self._held, None
        self.messages += 1
        match self._fate(subject):
            case "dropped":
                self.dropped += 1
            case "doubled":
                self.doubled += 1
                writer.write(message * 2)
            case "delayed":
                self.delayed += 1
                late_s = self._chance.uniform(*_LATE_S)
                asyncio.get_running_loop().call_later(late_s, _write, writer, message)
            case "reordered" if held is None:
                self.reordered += 1
                self._held = writer, message
            case _:
                writer.write(message)
        if held is not None:
            _write(*held)

    def _fate(self, subject: str) -> str:
        """A kind of lie, or the truth."""
        if self._forced and _EVENTS in subject:
            return self._forced.pop()
        chance = self._chance.random()
        return KINDS[int(chance / self.part)] if chance < self.part * len(KINDS) else ""


def _write(writer: asyncio.StreamWriter, message: bytes) -> None:
    if not writer.is_closing():
        writer.write(message)
