"""A measuring client over WebSocket."""

from __future__ import annotations

import random
from base64 import b64encode
from struct import pack

import msgspec

from lab.crowd.watcher import PRICE, Watcher

_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
_NO_MASK = bytes(4)  # a client has to mask, but nobody says with what


class WebSocketWatcher(Watcher):
    """A client over WebSocket; the frames of a server are not masked."""

    __slots__ = ()
    _STATUS = b" 101 "

    def _acks(self) -> int:
        return bool(self._plan.session_id) + bool(self._plan.symbols)

    def _request(self) -> str:
        key = b64encode(random.randbytes(16)).decode()
        return (
            "GET /ws/auto-trader HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}"
            + "\r\nSec-WebSocket-Extensions: permessage-deflate"
            * self._plan.deflate
        )

    def _opened(self) -> None:
        plan = self._plan
        if plan.session_id:
            session = {"type": "subscribe_session", "id": 1, "sessionId": plan.session_id}
            session["updateInterval"] = plan.update_interval_ms
            self._send(_TEXT, msgspec.json.encode(session))
        if plan.symbols:
            prices = {"type": "subscribe_prices", "id": 2, "symbols": plan.symbols}
            prices["priceInterval"] = plan.interval_ms
            self._send(_TEXT, msgspec.json.encode(prices))

    def _read(self, data: bytes, look: bool) -> tuple[int, int, int]:
        at = messages = 0
        end = len(data)
        while (start := at + 2) <= end:
            size = data[at + 1]
            if size > 125:
                if size > 127:
                    self.close("a masked frame, which no server may send")
                    break
                start += 2 if size == 126 else 8
                if start > end:
                    break
                size = int.from_bytes(data[at + 2 : start])
            if start + size > end:
                break
            if data[at] != _TEXT:
                self._see_control(data[at], data[start : start + size])
            else:
                messages += 1
                if look:
                    self._look(data[start : start + size])
            at = start + size
        return at, messages, data.count(PRICE, 0, at)

    def _see_control(self, head: int, payload: bytes) -> None:
        self._walked = None
        if head == _PING:
            self._send(_PONG, payload)
        elif head == _CLOSE:
            code = int.from_bytes(payload[:2])
            self.close(f"closed with {code} {payload[2:].decode(errors='replace')}".rstrip())
        elif head != _PONG:
            self.close(f"a frame this server never sends: 0x{head:02x}")

    def _send(self, head: int, payload: bytes) -> None:
        assert self._transport is not None
        size = len(payload)
        length = pack("!B", 0x80 | size) if size < 126 else pack("!BH", 0xFE, size)
        self._transport.write(bytes([head]) + length + _NO_MASK + payload)
