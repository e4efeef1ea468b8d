"""One connection as the streams see it: what it subscribed to and what it is owed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from vyomo_rt.domain.grant import Grant
from vyomo_rt.wire.commands import ALL_TYPES, StreamType
from vyomo_rt.wire.frame import KEEP_ALIVE, Frame, Framing

if TYPE_CHECKING:
    from vyomo_rt.stream.audience import Audience
    from vyomo_rt.stream.sessions import SessionTopic
    from vyomo_rt.stream.traffic import Traffic
    from vyomo_rt.stream.wheel import Beat

DEFAULT_PRICE_INTERVAL_MS = 1000
DEFAULT_UPDATE_INTERVAL_MS = 2000
DEFAULT_WATCH_INTERVAL_MS = 2000
NOTHING_DUE: frozenset[str] = frozenset()
NOTHING_WATCHED: frozenset[int] = frozenset()


class Peer:
    """A connection's subscriptions, its place in the session's log, and its debts.

    ::

                      subscribes: hold                 the socket takes no more:
          ┌───────┐ ────────────────────▶ ┌──────────┐ pause, hold  ┌────────┐
       ──▶│ ready │                       │ draining │ ───────────▶ │ paused │
          └───────┘ ◀──────────────────── └──────────┘ ◀─────────── └────────┘
              │       all is paid: admit               takes more:      ▲ │
              │                                        resume, drain    │ │ no progress, or
              └──────────────── the socket takes no more: pause, hold ──┘ ▼ too far behind
                                                                       closed

    From each state a peer may be closed; ``ready`` and ``paused`` are flags, *draining* is
    neither: what is due is being written, in pieces, or read from the store before that.

    A ready peer has been sent everything that was due, and is written to directly.
    Any other waits: its place in the log (``written_seq``) says which events it still
    has to get, and the ``due_*`` fields which state. What that state *is* is
    looked up when the socket takes it, so a slow peer costs no queue.

    It is the base class of the connection, not a part of it, because every object of
    a connection is one more for each garbage collection to look at.
    """

    __slots__ = (
        "address",
        "address_key",
        "awaiting_pong",
        "bytes",
        "closed",
        "conflated",
        "due_pnl",
        "due_pnl_again",
        "due_prices",
        "due_session",
        "due_status",
        "due_watched",
        "framing",
        "grant",
        "id",
        "keep_alive",
        "messages",
        "only_changes",
        "opened_at_s",
        "paused",
        "paused_at_s",
        "price_audience",
        "price_interval_ms",
        "price_stamp",
        "ready",
        "recovered",
        "rights_slot",
        "seen",
        "session_audience",
        "symbols",
        "topic",
        "traffic",
        "types",
        "update_interval_ms",
        "watch_audience",
        "watch_began",
        "watch_interval_ms",
        "watch_place",
        "write",
        "written_seq",
        "wrote_at_s",
    )

    pushes: ClassVar[bool] = False
    """Whether it brings ticks, and so watches nothing."""

    def __init__(
        self,
        id_: str,
        framing: Framing,
        grant: Grant,
        traffic: Traffic,
        write: Callable[[bytes], None],
    ) -> None:
        self.id = id_
        self.framing = framing
        self.grant = grant
        # For people, and what its address is counted by; the connection knows.
        self.address = self.address_key = "unknown"
        # In which slot of 100 ms something of its token is due.
        self.rights_slot: int | None = None
        self.traffic = traffic
        self.write = write
        self.keep_alive = KEEP_ALIVE[framing]
        self.closed = False
        self.paused = False
        self.ready = True
        self.awaiting_pong = False
        # Totals; while it belongs to an audience, minus that audience's totals when it joined.
        self.messages = 0
        self.bytes = 0
        # State messages that it missed while it was paused: only the newest is sent afterwards.
        self.conflated = 0
        # Moments of `time.monotonic`; the last write may also be its audience's.
        self.opened_at_s = monotonic()
        self.wrote_at_s = 0.0
        self.paused_at_s = 0.0
        self.due_status = False
        self._watch_no_session()
        self._watch_no_prices()
        self._watch_no_sessions()

    def _watch_no_session(self) -> None:
        self.topic: SessionTopic | None = None
        self.session_audience: Audience[Any] | None = None
        self.types: frozenset[StreamType] = ALL_TYPES
        self.update_interval_ms = DEFAULT_UPDATE_INTERVAL_MS
        # The number of the last event written; holds only while the peer is not ready.
        self.written_seq = 0
        self.recovered: bool | None = None
        self.due_session = False
        # The id of the trade after which P&L is due, and whether from the first on once more.
        self.due_pnl: int | None = None
        self.due_pnl_again = False

    def _watch_no_prices(self) -> None:
        self.price_audience: Audience[Any] | None = None
        self.symbols: tuple[str, ...] = ()
        self.price_interval_ms = DEFAULT_PRICE_INTERVAL_MS
        self.only_changes = False
        # What an onlyChanges peer was last sent: price and staleness by symbol.
        self.seen: dict[str, tuple[int, bool]] | None = None
        self.price_stamp = 0
        self.due_prices = NOTHING_DUE

    def _watch_no_sessions(self) -> None:
        """Of all sessions at once."""
        self.watch_audience: Audience[Any] | None = None
        self.watch_interval_ms = DEFAULT_WATCH_INTERVAL_MS
        # The place among the changes up to which it was sent everything, and the newest when it
        # began: sessions that were stopped before do not concern it.
        self.watch_place = 0
        self.watch_began = 0
        # Sessions whose own stream it has left: their figures come from the overview again.
        self.due_watched = NOTHING_WATCHED

    def close(self, code: int, reason: str) -> None:
        """End the stream from this side; nothing more is sent to the peer."""
        raise NotImplementedError

    def settle(self) -> None:
        """Answer what was begun; the goodbye comes next."""

    def buffered_bytes(self) -> int:
        """Written bytes that the process still holds because the socket takes no more."""
        raise NotImplementedError

    def owe_pnl(self, after: int) -> None:
        """The P&L of trades after an id is due; what is already due comes first."""
        if "pnl_update" in self.types:
            if self.due_pnl is None:
                self.due_pnl = after
            elif after < self.due_pnl:
                self.due_pnl_again = True

    def had_pnl(self, upto: int, *, is_last: bool) -> None:
        """The P&L up to a trade's id was written."""
        self.due_pnl = upto
        if is_last:
            self.due_pnl = 0 if self.due_pnl_again else None
            self.due_pnl_again = False

    def forgive_session(self) -> None:
        """Nothing of its session is due any more."""
        self.due_session = self.due_pnl_again = False
        self.due_pnl = self.recovered = None

    @property
    def subscribed(self) -> bool:
        return self.topic is not None or bool(self.symbols) or self.watch_audience is not None

    @property
    def audiences(self) -> list[Audience[Any]]:
        """All to which it belongs."""
        all_ = (self.session_audience, self.price_audience, self.watch_audience)
        return [audience for audience in all_ if audience is not None]

    @property
    def price_beat(self) -> Beat | None:
        """When its prices are due; None without symbols."""
        return None if self.price_audience is None else self.price_audience.key.beat

    @property
    def seq(self) -> int | None:
        """The newest event of its session that was written to it (or withheld by its types)."""
        if self.topic is None:
            return None
        return self.topic.log.end if self.ready else self.written_seq

    def send(self, frames: Sequence[Frame]) -> None:
        """Write something for this peer alone; audiences write and count by themselves."""
        if frames:
            self.traffic.count(frames, self.framing)
            self.send_joined(b"".join([frame.data[self.framing] for frame in frames]), len(frames))

    def send_joined(self, data: bytes, messages: int) -> None:
        """Write bytes that the caller has counted by type."""
        self.write(data)
        self.messages += messages
        self.bytes += len(data)
        self.wrote_at_s = monotonic()

    def reply(self, frame: Frame) -> None:
        self.send((frame,))
