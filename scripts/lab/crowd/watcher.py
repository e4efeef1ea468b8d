"""A streaming client for measuring: a raw socket that counts messages.

A client library would cost more per message than the server does. So a watcher reads the
boundaries of messages out of the bytes and looks into few of them: acks, every event
(is each there, once, in order?), and a sampled price now and then (how late is it?).

A delay is the moment of receipt minus the message's ``timestamp``. That is cut to whole
milliseconds, and a price's frame serves for up to 10 ms, so delays come out a little too
long, never too short.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import time
from datetime import datetime
from typing import cast

import msgspec
from msgspec import Struct

from lab.crowd.counting import Chunk, Event, SeqCheck, Tally
from lab.crowd.plan import Plan

PRICE = b'"type":"price_update"'
_FIGURES = b'"type":"session_update"'
_ACK = b'"type":"ack"'
_SEQ = b',"seq":'
"""In every event, of whatever kind, in figures, and in acks."""
_RARE = re.compile(rb'"type":"(?!price_update|pnl_update|session_update)')
_STALLED_BUFFER_BYTES = 4096


class Refused(Exception):
    """The server did not take a client; the text says why."""


class _Stamped(Struct):
    timestamp: datetime


class _Message(Struct):
    data: _Stamped
    seq: int = 0


class _Subscription(Struct, rename="camel"):
    seq: int | None = None
    unknown: list[str] = []


class _Answer(Struct):
    type: str
    result: _Subscription | None = None
    message: str = ""


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def _stamp_ms(text: bytes) -> float:
    """A message's timestamp in epoch milliseconds."""
    return _decode_message(text).data.timestamp.timestamp() * 1000


class Watcher(asyncio.Protocol):
    """One client: subscribes to a session and prices, then counts.

    ``started`` is done once the server has acknowledged the subscriptions; it fails with
    Refused if the server does not. ``ended`` says why the connection is no more.
    """

    __slots__ = (
        "_acks_due", "_is_open", "_plan", "_received_ms", "_stalls", "_transport",
        "_until_sample", "_walked", "ended", "seqs", "started", "tail", "tally",
    )  # fmt: skip
    _STATUS: bytes

    def __init__(self, plan: Plan, tally: Tally, *, stalls: bool = False) -> None:
        self.started = asyncio.get_running_loop().create_future()
        self.seqs: SeqCheck | None = None
        self.ended = ""
        self._plan = plan
        self.tally = tally
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self._acks_due = self._acks()
        self._stalls = stalls
        self.tail = b""
        """What has arrived of an unfinished message."""
        self._walked: list[Event] | None = None
        """The events of what is being read; None if each client must read it for itself."""
        self._received_ms = 0.0
        self._until_sample = random.randint(1, plan.sample_every)

    @property
    def alive(self) -> bool:
        return self.seqs is not None and not self.ended

    def close(self, why: str) -> None:
        """End the connection from this side."""
        self.ended = self.ended or why
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        if self._stalls:
            sock: socket.socket = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STALLED_BUFFER_BYTES)
        self._transport.write(f"{self._request()}\r\nHost: {self._plan.host}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        tally = self.tally
        tally.bytes += len(data)
        self._until_sample -= 1
        newest = tally.newest.get(type(self))
        if (
            newest is not None
            and data == newest.data
            and not self.tail
            and not self._acks_due
            and self._until_sample > 0
        ):
            tally.messages += newest.messages
            tally.prices += newest.prices
            if newest.events:
                self._received_ms = self._now_ms()
                for event in newest.events:
                    self._count(event)
            return
        if self.tail:
            data = self.tail + data
        if not self._is_open:
            head, blank_line, data = data.partition(b"\r\n\r\n")
            if not blank_line:
                self.tail = head
                return
            status_line = head.partition(b"\r\n")[0]
            if self._STATUS not in status_line:
                self.close(f"the server answered {status_line.decode('latin-1')}")
                return
            self._is_open = True
            self._opened()
        self._walked = []
        look = self._worth_a_look(data)
        consumed, messages, prices = self._read(data, look)
        tally.messages += messages
        tally.prices += prices
        self.tail = data[consumed:]
        if self._walked is not None and not self.tail:
            tally.newest[type(self)] = Chunk(data, messages, prices, tuple(self._walked))

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or (f"lost: {exc}" if exc else "ended by the server")
        if not self.started.done():
            self.started.set_exception(Refused(self.ended))

    # -- what the transports differ in -----------------------------------------

    def _acks(self) -> int:
        """How many answers make the subscriptions."""
        raise NotImplementedError

    def _request(self) -> str:
        """The request line, and further headers than ``Host``."""
        raise NotImplementedError

    def _opened(self) -> None:
        """The handshake is over."""

    def _read(self, data: bytes, look: bool) -> tuple[int, int, int]:
        """How many bytes the whole messages are, how many messages, and how many of them prices.

        With ``look``, also look into them.
        """
        raise NotImplementedError

    # -- what is looked into ---------------------------------------------------

    def _worth_a_look(self, data: bytes) -> bool:
        look = self._acks_due > 0 or self._until_sample <= 0 or _RARE.search(data) is not None
        if look:
            self._received_ms = self._now_ms()
        return look

    def _now_ms(self) -> float:
        """The current time by the server's clock."""
        return time.time() * 1000 + self._plan.clock_offset_ms

    def _look(self, text: bytes) -> None:
        if PRICE in text:
            if self._until_sample <= 0:
                self._until_sample = self._plan.sample_every
                if self.tally.measuring:
                    self.tally.price_delays.add(self._received_ms - _stamp_ms(text))
        elif _FIGURES in text:
            if self._walked:
                self.tally.announced_ms.setdefault(self._walked[-1].seq, _stamp_ms(text))
        elif _SEQ in text and _ACK not in text:
            self._see_event(text)
        elif self._acks_due:
            self._see_answer(text)

    def _see_event(self, text: bytes) -> None:
        event = self.tally.events.get(text)
        if event is None:
            message = _decode_message(text)
            event = Event(message.seq, message.data.timestamp.timestamp() * 1000)
            self.tally.events[text] = event
        if self._walked is not None:
            self._walked.append(event)
        self._count(event)

    def _count(self, event: Event) -> None:
        event.receipts += 1
        event.last_ms = self._received_ms
        if self.seqs is not None:
            self.seqs.see(event.seq)
        if self.tally.measuring:
            self.tally.event_delays.add(self._received_ms - event.stored_ms)

    def _see_answer(self, text: bytes) -> None:
        answer = _decode_answer(text)
        if answer.type == "error":
            self.close(f"the server refused: {answer.message}")
        elif answer.type == "ack" and answer.result is not None:
            if answer.result.unknown:
                self.close(f"unknown to the server: {', '.join(answer.result.unknown)}")
                return
            if self.seqs is None:
                self.seqs = SeqCheck(answer.result.seq or 0)
            self._acks_due -= 1
            if not self._acks_due and not self.started.done():
                self.started.set_result(None)
                if self._stalls and self._transport is not None:
                    self._transport.pause_reading()
