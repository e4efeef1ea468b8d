"""A streaming connection after the handshake: bytes in, bytes out, and its audit lines."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from time import monotonic
from typing import ClassVar

from wsproto.events import CloseConnection, Ping, Pong

from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.limits import Tally
from vyomo_rt.stream.commands import Commands
from vyomo_rt.stream.heartbeat import Heartbeat
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.rights import Rights
from vyomo_rt.stream.traffic import CLIENT_LEFT, REFUSED
from vyomo_rt.web.addresses import Client
from vyomo_rt.web.inbound import Inbound, Violation
from vyomo_rt.web.reading import Haste, ReadingTurns
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.frame import LAST_CHUNK, Framing, without_chunks

log = logging.getLogger(__name__)

_MAX_ERRORS = 100
_ERROR_WINDOW_S = 60.0
_CLOSE_TIMEOUT_S = 1.0
_PIECE_BYTES = 256

Received = str | Ping | Pong | CloseConnection | Violation


@dataclass(frozen=True)
class StreamServer:
    """What connections need from the server, and which connections are open."""

    hub: Hub
    commands: Commands
    heartbeat: Heartbeat
    rights: Rights
    seats: Tally
    """Of the clients' addresses."""
    haste: Haste
    max_message_bytes: int
    connections: set[Connection] = field(default_factory=set)
    emptied: asyncio.Event = field(default_factory=asyncio.Event)
    reading_turns: ReadingTurns = field(default_factory=ReadingTurns)

    async def close_all(self, timeout_s: float) -> None:
        """Wait until every connection has ended; drop those that have not when the time is up."""
        self.emptied.clear()
        if self.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.emptied.wait(), timeout_s)
        for connection in self.connections:
            connection.abort()


class Connection(Peer, asyncio.Protocol):
    """The socket's protocol, and the peer through which the hub writes."""

    __slots__ = ("_code", "_ended", "_seat", "_streaming", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        framing: Framing,
        grant: Grant,
        client: Client,
        streaming: StreamServer,
    ) -> None:
        super().__init__(token_hex(6), framing, grant, streaming.hub.traffic, transport.write)
        self._transport = transport
        self._streaming = streaming
        self.address, self.address_key = client.shown, client.key
        self._seat = client.seat
        self._ended = ""
        self._code: int | None = None

    def start(self) -> None:
        """Begin to stream; by now the socket must belong to this protocol."""
        self._streaming.connections.add(self)
        if self._seat is not None:
            self._streaming.seats.enter(self._seat)
        self._streaming.hub.enter(self)
        self._streaming.heartbeat.add(self)
        log.info("%s %s opened from %s", self.framing.label, self.id, self.address)
        self._streaming.rights.add(self)

    def pause_writing(self) -> None:
        self._streaming.hub.delivery.pause(self)

    def resume_writing(self) -> None:
        self._streaming.hub.delivery.resume(self)

    def close(self, code: int, reason: str) -> None:
        if self._ended:
            return
        self._ended = f"{code} {reason}" if code else reason
        self._code = code
        self._streaming.hub.leave(self)
        self._say_goodbye(code, reason)
        asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT_S, self._transport.abort)

    def buffered_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Drop the socket."""
        self._transport.abort()

    def _say_goodbye(self, code: int, reason: str) -> None:
        raise NotImplementedError

    def connection_lost(self, exc: Exception | None) -> None:
        self._streaming.hub.leave(self)
        self._streaming.heartbeat.remove(self)
        self._streaming.rights.remove(self)
        self._streaming.connections.discard(self)
        if self._seat is not None:
            self._streaming.seats.leave(self._seat)
        ended_by = CLIENT_LEFT if self._code is None else str(self._code or REFUSED)
        self._streaming.hub.traffic.closed[ended_by, self.framing] += 1
        if not self._streaming.connections:
            self._streaming.emptied.set()
        why = self._ended or (f"lost: {exc}" if exc else "client left")
        log.info(
            "%s %s closed from %s: %s; %.1f s, %d messages, %d bytes sent",
            self.framing.label,
            self.id,
            self.address,
            why,
            monotonic() - self.opened_at_s,
            self.messages,
            self.bytes,
        )


class EventStreamConnection(Connection):
    """Server-Sent Events, one way: the chunks of an HTTP/1.1 body."""

    __slots__ = ()

    def __init__(
        self, transport: asyncio.Transport, grant: Grant, client: Client, streaming: StreamServer
    ) -> None:
        super().__init__(transport, Framing.SSE, grant, client, streaming)

    def _say_goodbye(self, _code: int, _reason: str) -> None:
        self._transport.write(LAST_CHUNK)
        self._transport.close()


class RawEventStreamConnection(EventStreamConnection):
    """The same over HTTP/1.0: no chunks, and the end of the connection is the end of the stream."""

    __slots__ = ()

    def __init__(
        self, transport: asyncio.Transport, grant: Grant, client: Client, streaming: StreamServer
    ) -> None:
        super().__init__(transport, grant, client, streaming)
        self.write = self._write_raw

    def _write_raw(self, chunks: bytes) -> None:
        data = without_chunks(chunks)
        self.bytes -= len(chunks) - len(data)  # the caller counts the chunks
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.write = self._transport.write  # its own method would keep it from being freed

    def _say_goodbye(self, _code: int, _reason: str) -> None:
        self._transport.close()


class WebSocketConnection(Connection):
    """A WebSocket: texts are commands, carried out strictly in order.

    While a command waits for the store, the client does not read, or it has sent too much, its
    further texts stay in the socket. Input is read in pieces, so that a flood holds up nobody
    else. Pings count as messages: they are answered, too.
    """

    __slots__ = (
        "_errors",
        "_errors_since_s",
        "_has_turn",
        "_inbound",
        "_inbox",
        "_is_deaf",
        "_pending",
        "_unread",
        "bucket_s",
    )

    is_paced: ClassVar[bool] = True
    """Whether it may send only so many messages a second."""

    def __init__(
        self, transport: asyncio.Transport, grant: Grant, client: Client, streaming: StreamServer
    ) -> None:
        super().__init__(transport, Framing.WS, grant, client, streaming)
        # Parser and inbox exist only while something is half received or waits.
        self._inbound: Inbound | None = None
        self._inbox: deque[Received] | None = None
        self._unread = b""
        self.bucket_s = 0.0
        self._has_turn = False
        self._is_deaf = False
        self._pending: asyncio.Future[bool] | None = None
        self._errors = 0
        self._errors_since_s = 0.0

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._unread += data
        if not self._has_turn:
            self.read_on()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._go_on()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._run_inbox()
        self._go_on()

    @property
    def _must_wait(self) -> bool:
        """Whether further input has to wait, for the store or for the client itself."""
        waits = self._inbox or self._pending is not None or self.paused
        return bool(waits) and not self._ended

    def _go_on(self) -> None:
        """Read on, from memory or from the socket, when this connection's turn has come."""
        transport = self._transport
        if transport.is_closing():
            return
        if self._has_more() or self._must_wait:
            if transport.is_reading():
                transport.pause_reading()
            if not self._must_wait:
                self.ask_for_turn()
        elif not transport.is_reading():
            transport.resume_reading()

    def _has_more(self) -> bool:
        """Whether something has come that is not yet read."""
        return bool(self._unread)

    @property
    def is_behind(self) -> bool:
        """Whether something that it sent has not been carried out."""
        return bool(self._inbox) or self._has_more()

    def ask_for_turn(self) -> None:
        """Be read on once it is this connection's turn."""
        if not self._has_turn:
            self._has_turn = True
            self._queue()

    def _queue(self) -> None:
        self._streaming.reading_turns.add(self)

    def read_on(self) -> None:
        """Parse a piece of the input, unless the client has to wait; the rest comes later."""
        self._has_turn = False
        self._run_inbox()
        if not (self._must_wait or self._transport.is_closing()):
            piece, self._unread = self._unread[:_PIECE_BYTES], self._unread[_PIECE_BYTES:]
            self._inbound = inbound = self._framer()
            try:
                for event in inbound.receive(piece):
                    self._handle(event)
            except Violation as violation:
                self._handle(violation)
            except Exception as error:
                self._fail(error)
            if inbound.idle and not self._ended:
                self._inbound = None
        self._go_on()

    def _handle(self, event: Received) -> None:
        if isinstance(event, Pong):
            self.awaiting_pong = False
        elif not self._ended:
            self._inbox = self._inbox or deque()
            self._inbox.append(event)
            self._run_inbox()
        elif isinstance(event, CloseConnection):
            self._transport.close()  # it answers ours
        elif isinstance(event, Violation):
            self._broke_a_rule(event)

    def _run_inbox(self) -> None:
        """Carry out what was received, as far as the client's own pace allows."""
        while self._inbox and self._pending is None and not (self.paused or self.closed):
            event = self._inbox[0]
            is_message = isinstance(event, str | Ping)
            if is_message and self.is_paced and not self._streaming.haste.may_take(self):
                break
            self._inbox.popleft()
            self._carry_out(event)
        self._inbox = self._inbox or None

    def _carry_out(self, event: Received) -> None:
        match event:
            case str():
                outcome = self._streaming.commands.receive(self, event)
                if isinstance(outcome, bool):
                    self._count_error(outcome)
                else:
                    self._pending = asyncio.ensure_future(outcome)
                    self._pending.add_done_callback(self._pending_done)
            case Ping():
                self._transport.write(self._framer().answer(event))
            case CloseConnection():
                self._finish(event)
            case Violation():
                self._broke_a_rule(event)

    def _pending_done(self, pending: asyncio.Future[bool]) -> None:
        self._pending = None
        if error := pending.exception():
            self._fail(error)
            return
        self._count_error(pending.result())
        self._run_inbox()
        self._go_on()

    def _fail(self, error: BaseException) -> None:
        name = f"{self.framing.label} {self.id}"
        log.error("%s: a command failed", name, exc_info=error)
        self.close(CloseCode.FAILED, "the server failed: its log says why")

    def _count_error(self, succeeded: bool) -> None:
        if succeeded:
            return
        now_s = asyncio.get_running_loop().time()
        if now_s - self._errors_since_s > _ERROR_WINDOW_S:
            self._errors, self._errors_since_s = 0, now_s
        self._errors += 1
        if self._errors >= _MAX_ERRORS:
            self.close(CloseCode.ERRORS, f"{_MAX_ERRORS} errors in a minute")

    def _finish(self, event: CloseConnection) -> None:
        """The client closes."""
        self._ended = f"client closed with {event.code}"
        self._streaming.hub.leave(self)
        self._transport.write(self._framer().answer(event))
        self._transport.close()

    def _broke_a_rule(self, violation: Violation) -> None:
        """Close, and ignore whatever else comes (RFC 6455, section 7.1.7).

        This side ends TCP right after the close frame, and reads on until the client ends its
        side: closing with bytes unread would take the frame away from the client.
        """
        self.close(violation.code, violation.reason)
        self._is_deaf = True
        self._unread = b""
        self._transport.write_eof()

    def _say_goodbye(self, code: int, reason: str) -> None:
        """Send the close frame; the client's answer, or the timeout, ends the connection."""
        inbound = self._inbound = self._framer()
        self._transport.write(inbound.close(code, reason))
        self._go_on()

    def _framer(self) -> Inbound:
        return self._inbound or Inbound(self._streaming.max_message_bytes)
