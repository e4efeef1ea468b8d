"""WebSocket frames by hand, for what no decent client sends and for not reading."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.kit.waiting import PATIENCE_S

HANDSHAKE = (
    "GET /ws/auto-trader HTTP/1.1\r\n"
    "Host: localhost\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)


class RawWebSocket:
    """A WebSocket by hand: for frames that no decent client sends, and for not reading."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.address: tuple[str, int] = sock.getsockname()[:2]
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def send_text(self, text: str) -> None:
        await self.send(frame(text.encode()))

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = await self._loop.sock_recv(self.sock, 65536)
            if not data:
                raise EOFError
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    async def head(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while b"\r\n\r\n" not in self._buffer:
                self._buffer += await self._loop.sock_recv(self.sock, 65536)
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head.decode()

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer that is no stream."""
        head = await self.head()
        size = int(head.lower().partition("\r\ncontent-length: ")[2].partition("\r\n")[0])
        async with asyncio.timeout(PATIENCE_S):
            document: dict[str, Any] = json.loads(await self._exactly(size))
        return int(head.split()[1]), document

    async def next_frame(self, within_s: float = PATIENCE_S) -> tuple[int, bytes]:
        """Opcode and payload; raises EOFError or ConnectionError at the end."""
        async with asyncio.timeout(within_s):
            first, size = await self._exactly(2)
            assert first & 0x80, "the server does not fragment"
            assert size < 128, "the server does not mask"
            if size == 126:
                size = int.from_bytes(await self._exactly(2))
            elif size == 127:
                size = int.from_bytes(await self._exactly(8))
            return first & 0x0F, await self._exactly(size)

    async def next(self, *types: str) -> dict[str, Any]:
        while True:
            opcode, payload = await self.next_frame()
            if opcode == 1:
                message: dict[str, Any] = json.loads(payload)
                if not types or message["type"] in types:
                    return message

    async def rest(self) -> bytes:
        """All bytes until the server ends the connection."""
        data, self._buffer = self._buffer, b""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while piece := await self._loop.sock_recv(self.sock, 65536):
                    data += piece
            except ConnectionError:
                pass
        return data

    async def close_code(self) -> int:
        """Read to the close frame, answer it, and see the socket end."""
        opcode, payload = 0, b""
        while opcode != 8:
            opcode, payload = await self.next_frame()
        await self.send(frame(payload[:2], opcode=8))
        await self.rest()
        return int.from_bytes(payload[:2])


def frame(payload: bytes, *, opcode: int = 1, final: bool = True, masked: bool = True) -> bytes:
    """A client's frame."""
    head = bytes([opcode | (0x80 if final else 0)])
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([mask_bit | 126]) + len(payload).to_bytes(2)
    else:
        head += bytes([mask_bit | 127]) + len(payload).to_bytes(8)
    if not masked:
        return head + payload
    key = b"\x37\xfa\x21\x3d"
    keys = (key * (len(payload) // 4 + 1))[: len(payload)]
    return head + key + (int.from_bytes(payload) ^ int.from_bytes(keys)).to_bytes(len(payload))


@asynccontextmanager
async def raw_socket(url: str, *, receive_buffer: int | None = None) -> AsyncIterator[RawWebSocket]:
    """A TCP connection that has sent nothing yet."""
    where = urlsplit(url)
    family = socket.AF_INET6 if ":" in (where.hostname or "") else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    host = "127.0.0.1" if where.hostname == "localhost" else where.hostname
    with sock:
        await asyncio.get_running_loop().sock_connect(sock, (host, where.port))
        yield RawWebSocket(sock)


@asynccontextmanager
async def raw_websocket(
    url: str, path: str = "/ws/auto-trader", **more: Any
) -> AsyncIterator[RawWebSocket]:
    """A WebSocket after its handshake."""
    async with raw_socket(url, **more) as raw:
        await raw.send(HANDSHAKE.replace("/ws/auto-trader", path).encode())
        head = await raw.head()
        assert head.startswith("HTTP/1.1 101"), head
        yield raw


async def stall(raw: RawWebSocket, session_id: int, symbols: list[str]) -> None:
    """Ask for a lot, and then read nothing."""
    about = {"type": "subscribe_prices", "symbols": symbols, "priceInterval": 100}
    await raw.send_text(json.dumps(about))
    about = {"type": "subscribe_session", "sessionId": session_id, "updateInterval": 100}
    await raw.send_text(json.dumps(about | {"id": "start"}))
    while (await raw.next("ack")).get("id") != "start":
        pass


async def read_out(raw: RawWebSocket) -> tuple[list[int], int | None]:
    """What a client finds when it reads at last: events, and the close code or None for 1006."""
    seqs: list[int] = []
    try:
        while True:
            opcode, payload = await raw.next_frame()
            if opcode == 8:
                return seqs, int.from_bytes(payload[:2])
            if opcode == 1 and (message := json.loads(payload))["type"] == "trade_opened":
                seqs.append(message["seq"])
    except (EOFError, ConnectionError):
        return seqs, None
