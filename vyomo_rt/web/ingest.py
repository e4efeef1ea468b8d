"""``/ws/ingest``: programs that push many ticks do it over one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter

from aiohttp import web
from prometheus_client import Counter
from wsproto.events import CloseConnection, Ping, Pong

from vyomo_rt.domain.errors import BadJson, BadRequest, Unavailable, VyomoError
from vyomo_rt.domain.grant import Grant, Need
from vyomo_rt.market.board import Board
from vyomo_rt.web.addresses import Client
from vyomo_rt.web.connection import Received, StreamServer, WebSocketConnection
from vyomo_rt.web.inbound import Inbound, Violation, frame_bytes, is_plain_text, plain_text
from vyomo_rt.web.pushing import Push
from vyomo_rt.web.reading import ReadingTurns
from vyomo_rt.web.routes import Route, Stream
from vyomo_rt.web.streams import open_websocket
from vyomo_rt.web.ticks import Batch, required
from vyomo_rt.wire.connection import ServerShutdown, TokenExpiring
from vyomo_rt.wire.refusal import ErrorMessage, error_frame
from vyomo_rt.wire.tick import RejectedTick, TickRow, TicksAck, TicksAnswer, TicksFrame, ticks_ack
from vyomo_rt.wire.tick_rows import TickFrame, parse_frame, split_frame
from vyomo_rt.wire.values import MessageId

MAX_FRAME_BYTES = 1024 * 1024
_PIECE_BYTES = 4096
"""A piece that is all tiny fragments takes some milliseconds."""

_STEP_S = 0.001
_SLICE_S, _REST_S = 0.003, 0.001
_TELL_AGAIN_S = 1.0
_SOON_PARSED_BYTES = 4096


def _turns() -> ReadingTurns:
    return ReadingTurns(_SLICE_S, _REST_S)


@dataclass(frozen=True)
class Intake:
    """Where pushed ticks go; ``source`` is their source, None where none may be pushed.

    All connections together get three quarters of the time: however much they send, others
    wait for one slice of it at most. More is read later.
    """

    board: Board
    source: str | None
    elsewhere: Callable[[], Push | None] = lambda: None
    """How ticks get to another node; None if they are taken here."""
    turns: ReadingTurns = field(default_factory=_turns)
    frames: Counter = field(
        default_factory=lambda: Counter(
            "vyomo_rt_ingest_frames", "Frames that came over /ws/ingest", registry=None
        )
    )


class IngestConnection(WebSocketConnection):
    """A WebSocket whose texts are ticks, taken in their order.

    The next frame is read when the one before it is done, and none while the client does not
    read its acks: what it sends meanwhile stays in the socket.
    """

    __slots__ = (
        "_batch",
        "_events",
        "_id",
        "_intake",
        "_is_starved",
        "_left_bytes",
        "_offset",
        "_parsing",
        "_pushing",
        "_refused",
        "_source",
        "_telling",
        "_untold",
    )

    is_paced = False
    pushes = True

    def __init__(
        self,
        transport: asyncio.Transport,
        grant: Grant,
        client: Client,
        streaming: StreamServer,
        intake: Intake,
    ) -> None:
        super().__init__(transport, grant, client, streaming)
        self._intake = intake
        self._source = required(intake.source)
        self._events: Iterator[str | Ping | Pong | CloseConnection] | None = None
        self._offset = 0
        # Of the frame that wsproto reads, what it has not yet got.
        self._left_bytes = 0
        # The next frame has only begun to come.
        self._is_starved = False
        self._parsing: asyncio.Future[TickFrame] | None = None
        self._pushing: asyncio.Future[TicksAnswer] | None = None
        self._batch: Batch | None = None
        self._id: MessageId | None = None
        # What was refused without an id, and is not yet told.
        self._untold = 0
        self._refused: VyomoError | None = None
        self._telling: asyncio.TimerHandle | None = None

    # -- reading ---------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        # Its pong may lie far behind what it sends; that it sends shows as well that it is there.
        self.awaiting_pong = False
        self._unread = self._unread[self._offset :] + data
        self._offset = 0
        self._is_starved = False
        self._go_on()

    @property
    def _must_wait(self) -> bool:
        is_busy = self._parsing is not None or self._pushing is not None
        return is_busy or super()._must_wait

    def _has_more(self) -> bool:
        return self._batch is not None or self._events is not None or self._is_unread()

    def _is_unread(self) -> bool:
        return self._offset < len(self._unread) and not self._is_starved

    def _queue(self) -> None:
        # A frame that was begun is done first, so that few are ever half done.
        self._intake.turns.add(self, first=self._batch is not None)

    def read_on(self) -> None:
        """Work for a step's time at what has come, unless the client has to wait."""
        self._has_turn = False
        until_s = perf_counter() + _STEP_S
        try:
            while self._has_more() and not (self._must_wait or self._transport.is_closing()):
                if self._batch is None:
                    self._read_event()
                elif self._batch.take(until_s):
                    self._answer()
                if perf_counter() >= until_s:
                    break
        except Violation as violation:
            self._broke_a_rule(violation)
        except Exception as error:
            self._fail(error)
        if self._offset >= len(self._unread):
            self._unread, self._offset = b"", 0
        self._go_on()

    def _read_event(self) -> None:
        """Handle the next event, if what has come so far completes one."""
        if self._events is None and not self._left_bytes and self._read_short():
            return
        self._inbound = inbound = self._inbound or Inbound(MAX_FRAME_BYTES)
        if self._events is None:
            size = min(_PIECE_BYTES, self._left_bytes)
            piece = self._unread[self._offset : self._offset + size]
            self._offset += len(piece)
            self._left_bytes -= len(piece)
            self._events = inbound.receive(piece)
        event = next(self._events, None)
        if event is not None:
            self._handle(event)
            return
        self._events = None
        if inbound.idle and not self._ended:
            self._inbound = None

    def _read_short(self) -> bool:
        """Look at the next frame, and handle it if it is a short text: wsproto takes ten times
        as long. False if that has to read it."""
        data, at = self._unread, self._offset
        size = frame_bytes(data, at)
        if size is None:
            self._is_starved = True
            return True
        if self._inbound is None and size <= _PIECE_BYTES and is_plain_text(data, at):
            if len(data) < at + size:
                self._is_starved = True
                return True
            if (text := plain_text(data, at, at + size)) is not None:
                self._offset += size
                self._receive(text)
                return True
        self._left_bytes = size
        return False

    def _handle(self, event: Received) -> None:
        if isinstance(event, str) and not self.closed:
            self._receive(event.encode())
        else:
            super()._handle(event)

    # -- frames ------------------------------------------------------------------

    def _receive(self, text: bytes) -> None:
        self._intake.frames.inc()
        if (frame := split_frame(text)) is not None:
            self._begin(frame)
        elif len(text) <= _SOON_PARSED_BYTES:
            self._begin(parse_frame(text))
        else:
            # Nothing else of this connection is read before it is done.
            self._parsing = asyncio.ensure_future(asyncio.to_thread(parse_frame, text))
            self._parsing.add_done_callback(self._parsed)

    def _parsed(self, parsing: asyncio.Future[TickFrame]) -> None:
        self._parsing = None
        if error := parsing.exception():
            self._fail(error)
        elif not self.closed:
            self._begin(parsing.result())
        self._go_on()

    def _begin(self, frame: TickFrame) -> None:
        self._id = frame.id
        if isinstance(frame.rows, list) and (push := self._intake.elsewhere()) is not None:
            self._pushing = asyncio.ensure_future(push(frame.rows))
            self._pushing.add_done_callback(self._pushed)
        elif isinstance(frame.rows, list):
            self._batch = Batch(frame.rows, self._intake.board, self._source)
        elif frame.id is None:
            self._refuse(1, frame.rows)
        else:
            self.reply(error_frame(frame.rows, frame.id))
            self._count_error(succeeded=False)

    def _pushed(self, pushing: asyncio.Future[TicksAnswer]) -> None:
        self._pushing = None
        error = pushing.exception()
        if isinstance(error, VyomoError) and not self.closed:
            if self._id is None:
                self._refuse(1, error)
            else:
                self.reply(error_frame(error, self._id))
        elif error is not None:
            self._fail(error)
        elif not self.closed:
            answer = pushing.result()
            self._tell_of(answer.rejected, lambda: answer)
        self._go_on()

    def _answer(self) -> None:
        """Say what became of the batch, as far as it was taken."""
        batch, self._batch = self._batch, None
        assert batch is not None
        self._tell_of(batch.rejected, batch.answer)

    def _tell_of(self, rejected: Sequence[RejectedTick], answer: Callable[[], TicksAnswer]) -> None:
        if self._id is not None:
            self.reply(ticks_ack(answer(), self._id))
        elif rejected:
            last = rejected[-1]
            of_symbol = f"tick of {last.symbol}" if last.symbol else "tick"
            self._refuse(len(rejected), BadRequest(f"{of_symbol} refused: {last.reason}"))

    def settle(self) -> None:
        if self._batch is not None and not (self._ended or self.paused):
            self._answer()

    def close(self, code: int, reason: str) -> None:
        self.settle()
        super().close(code, reason)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._batch = self._events = None
        if self._telling is not None:
            self._telling.cancel()

    # -- refusals without an id ----------------------------------------------------

    def _refuse(self, count: int, last: VyomoError) -> None:
        self._untold += count
        self._refused = last
        if self._telling is None:
            self._tell()

    def _tell(self) -> None:
        """Tell of all refusals since the last time; not again within a second."""
        self._telling = None
        last, count = self._refused, self._untold
        if last is None or self.closed:
            return
        loop = asyncio.get_running_loop()
        self._telling = loop.call_later(_TELL_AGAIN_S, self._tell)
        if not self.paused:
            self._untold, self._refused = 0, None
            words = f"{last} ({count - 1} more refused before it)" if count > 1 else str(last)
            kind = type(last) if isinstance(last, BadJson | Unavailable) else BadRequest
            error = kind(words)
            self.reply(error_frame(error, None))


class IngestRoutes:
    """The handler of ``/ws/ingest``."""

    def __init__(self, intake: Intake, streaming: StreamServer, max_connections: int) -> None:
        self._intake = intake
        self._streaming = streaming
        self._max_connections = max_connections

    def routes(self) -> list[Route]:
        sends = TicksAck | ErrorMessage | ServerShutdown | TokenExpiring
        # fmt: off
        return [
            Route("GET", "/ws/ingest", Need.PUSH, self.ingest, "streams", None,
                  HTTPStatus.SWITCHING_PROTOCOLS,
                  refuses=(HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT,
                           HTTPStatus.UPGRADE_REQUIRED),
                  stream=Stream(sends=sends, takes=TickRow | TicksFrame)),
        ]
        # fmt: on

    async def ingest(self, request: web.Request) -> web.StreamResponse:
        """Push ticks over a WebSocket.

        A frame is one tick, a list of ticks, one tick a line, or ``{"ticks":[…],"id":…}``,
        which is answered by an ack. What is refused without an ``id`` is told in one ``error``
        a second. 409 if prices come from elsewhere.
        """
        required(self._intake.source)
        return await open_websocket(request, self._streaming, self._max_connections, self._connect)

    def _connect(
        self, transport: asyncio.Transport, grant: Grant, client: Client, streaming: StreamServer
    ) -> IngestConnection:
        return IngestConnection(transport, grant, client, streaming, self._intake)
