"""The streams of all nodes, for whoever asks one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from vyomo_rt.bus.link import Bus, NoAnswer, NotSent
from vyomo_rt.domain.errors import NotFound, Unavailable
from vyomo_rt.store.nodes import Node
from vyomo_rt.web.connection import StreamServer
from vyomo_rt.web.streams import explained, kick, open_connections
from vyomo_rt.wire.access import OpenConnection
from vyomo_rt.wire.connection import ConnectionDocument

_WITHIN_S, _TRIES = 0.6, 3
_LIST, _EXPLAIN, _KICK = "streams", "explain", "kick"
_NONE = b""
"""The answer of a node that has no stream of an id."""

_decode_asked = msgspec.msgpack.Decoder(tuple[str, str | None]).decode
_decode_explained = msgspec.json.Decoder(ConnectionDocument).decode
_decode_streams = msgspec.json.Decoder(list[OpenConnection]).decode
_encode = msgspec.msgpack.Encoder().encode


class SharedStreams:
    """Asks the other nodes for theirs, and tells them of this node's; fulfils
    ``vyomo_rt.web.streams.Elsewhere``."""

    def __init__(self, streaming: StreamServer, node: Node, bus: Bus) -> None:
        self._streaming = streaming
        self._node = node
        self._bus = bus
        self.answers: dict[str, Callable[[bytes], bytes]] = {
            _LIST: lambda _: msgspec.json.encode(open_connections(streaming)),
            _EXPLAIN: self._explained,
            _KICK: self._kicked,
        }
        """To what other nodes ask, by kind."""

    def _explained(self, asked: bytes) -> bytes:
        with suppress(NotFound):
            return msgspec.json.encode(explained(self._streaming, *_decode_asked(asked)))
        return _NONE

    def _kicked(self, connection_id: bytes) -> bytes:
        with suppress(NotFound):
            return kick(self._streaming, connection_id.decode()).encode()
        return _NONE

    async def connections(self) -> list[OpenConnection]:
        answers = await self._ask_all(_LIST, b"")
        return [each for answer in answers for each in _decode_streams(answer)]

    async def explain(self, connection_id: str, subject: str | None) -> ConnectionDocument | None:
        answers = await self._ask_all(_EXPLAIN, _encode((connection_id, subject)))
        found = (_decode_explained(answer) for answer in answers if answer)
        return next(found, None)

    async def kick(self, connection_id: str) -> str | None:
        # Once: who is kicked already is not found again.
        answers = await self._ask_all(_KICK, connection_id.encode(), tries=1)
        return next((answer.decode() for answer in answers if answer), None)

    async def _ask_all(self, kind: str, message: bytes, tries: int = _TRIES) -> list[bytes]:
        others = [node for node in self._node.nodes if node != self._node.id]
        answers = await asyncio.gather(
            *(self._ask_one(node, kind, message, tries) for node in others)
        )
        return [answer for answer in answers if answer is not None]

    async def _ask_one(self, node: str, kind: str, message: bytes, tries: int) -> bytes | None:
        """The answer of another node; None if it is gone, with its streams."""
        for _ in range(tries):
            with suppress(NoAnswer):
                try:
                    return await self._bus.ask(node, kind, message, _WITHIN_S)
                except NotSent:
                    if self._bus.is_connected:
                        return None
                    break
        raise Unavailable("another node cannot be reached; try again")
