"""Kite's binary messages: big-endian packets, each of one instrument."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from vyomo_rt.market.feed import FeedFailed
from vyomo_rt.market.feeds.reading import Price

_HEARTBEAT_BYTES = 1
_U16, _U32, _HEAD = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">II")
_INDEX_BYTES, _INDEX_FULL_BYTES, _QUOTE_BYTES, _FULL_BYTES = 28, 32, 44, 184
_CLOSES_AT = {_INDEX_BYTES: 20, _INDEX_FULL_BYTES: 20, _QUOTE_BYTES: 40, _FULL_BYTES: 40}
"""By a packet's length: where the close of the session before is."""

_INDEX_MOMENT_AT, _TRADE_MOMENT_AT, _MOMENT_AT = 28, 44, 60

_CURRENCY, _CURRENCY_OF_BSE = 3, 6
"""Segments (the last byte of a token) whose prices have more than two decimals."""


class Packet(NamedTuple):
    """The last price of an instrument; None before its first trade."""

    token: int
    price: Price | None


def read_packets(message: bytes) -> Iterator[Packet]:
    """The packets of a message; a heartbeat has none.

    Every documented length is read, and of any other one what all have in common. Raises
    FeedFailed where a packet is cut off, after those before it.
    """
    if len(message) <= _HEARTBEAT_BYTES:
        return
    view = memoryview(message)
    at = _U16.size
    for _ in range(_U16.unpack_from(view)[0]):
        if len(view) < at + _U16.size:
            raise FeedFailed("Kite sends a message that ends before its packets do")
        length = _U16.unpack_from(view, at)[0]
        at += _U16.size
        packet = view[at : at + length]
        if len(packet) < max(length, _HEAD.size):
            raise FeedFailed("Kite sends a message that ends before its packets do")
        yield _read(packet)
        at += length


def _read(packet: memoryview) -> Packet:
    token, price = _HEAD.unpack_from(packet)
    price_e4 = _to_e4(price, token & 0xFF)
    if not price_e4:
        return Packet(token, None)
    return Packet(token, Price(price_e4, _moment_ms(packet), _close_e4(packet, token & 0xFF)))


def _to_e4(price: int, segment: int) -> int:
    if segment == _CURRENCY:
        return (price + 500) // 1000
    return price if segment == _CURRENCY_OF_BSE else price * 100


def _close_e4(packet: memoryview, segment: int) -> int | None:
    """The close of the session before; the shortest form does not tell."""
    at = _CLOSES_AT.get(len(packet))
    return None if at is None else _to_e4(_U32.unpack_from(packet, at)[0], segment) or None


def _moment_ms(packet: memoryview) -> int | None:
    """When the exchange said so, or else when it was traded; the short forms do not tell."""
    places: tuple[int, ...] = ()
    if len(packet) == _INDEX_FULL_BYTES:
        places = (_INDEX_MOMENT_AT,)
    elif len(packet) >= _FULL_BYTES:
        places = (_MOMENT_AT, _TRADE_MOMENT_AT)
    seconds = (_U32.unpack_from(packet, at)[0] for at in places)
    return next((second * 1000 for second in seconds if second), None)
