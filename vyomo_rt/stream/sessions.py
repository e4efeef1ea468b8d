"""A session's topic: its log, its state as frames, and the peers that watch it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import NamedTuple

from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.event import Event, EventKind, TradeEvent
from vyomo_rt.domain.moment import WallClock, iso
from vyomo_rt.domain.state import SessionState
from vyomo_rt.stream.audience import Audience, Audiences, Roll, Slices, slices
from vyomo_rt.stream.log import Passage, SessionLog, Shelf, size_of
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.pnl import BEGIN, NO_PAGE, Page, PnlFrames
from vyomo_rt.stream.sources import Sources
from vyomo_rt.stream.traffic import Traffic
from vyomo_rt.stream.wheel import Beat, Wheel, beat_from
from vyomo_rt.wire.commands import StreamType
from vyomo_rt.wire.event import numbered_event
from vyomo_rt.wire.frame import Frame, Framing, with_stamps
from vyomo_rt.wire.session import session_update

_EVENTS = frozenset(EventKind)
_HOLDS_MS = 10
"""A timestamp may be this much older than its sending."""

_EVENTS_A_WRITE = 50
"""A mass of events is written in parts, so that a peer which cannot take it all waits."""
_TRADES_A_WRITE = 2
"""So many P&L frames take about as long to make as a write."""


class _AudienceKey(NamedTuple):
    topic: SessionTopic
    beat: Beat
    types: frozenset[StreamType]
    framing: Framing


SessionAudience = Audience[_AudienceKey]


class _Figures(NamedTuple):
    unrealised_paise: int
    frame: Frame


class _Text(NamedTuple):
    """Frames joined for an audience, and how many bytes of which type they are."""

    data: bytes
    messages: int
    tally: Sequence[tuple[str, int, int]]


_NOTHING = _Text(b"", 0, ())


class _Piece:
    """A part of what is sent: figures, if any, and a page of P&L; joined once for like peers."""

    def __init__(
        self, figures: _Figures | None, page: Page, state: SessionState, now_ms: int
    ) -> None:
        self.figures = figures
        self.page = page
        self.state = state
        self.built_ms = now_ms
        self._texts: dict[tuple[Framing, bool, bool], _Text] = {}

    def text(self, types: Collection[str], framing: Framing) -> _Text:
        kind = (framing, "session_update" in types, "pnl_update" in types)
        text = self._texts.get(kind)
        if text is None:
            text = self._texts[kind] = self._join(*kind)
        return text

    def _join(self, framing: Framing, wants_figures: bool, wants_pnl: bool) -> _Text:
        tally = []
        data = b""
        if wants_figures and self.figures is not None:
            data = self.figures.frame.data[framing]
            tally.append((self.figures.frame.event, 1, len(data)))
        if wants_pnl and (frames := self.page.frames):
            joined = b"".join([frame.data[framing] for frame in frames])
            tally.append((frames[0].event, len(frames), len(joined)))
            data += with_stamps(joined, iso(self.built_ms))
        return _Text(data, sum(messages for _, messages, _ in tally), tally)


class SessionTopic:
    """Sends a session's events and figures; lives while somebody watches.

    An event and the figures that contain it go to everybody in one step. A beat runs in pieces,
    and events may come in between. What is written is the newest at the moment of writing, so
    no old figure follows a new one, and no P&L follows its trade's close.
    All watchers with the same interval get their beat in the same slot.
    """

    def __init__(
        self,
        state: SessionState,
        *,
        sources: Sources,
        now: WallClock,
        log_limit: int,
        traffic: Traffic,
        wheel: Wheel[SessionAudience],
        slices: Slices,
        shelf: Shelf,
    ) -> None:
        self.state = state
        self.log = SessionLog(state.seq, log_limit, shelf)
        self.users = 0
        self._now = now
        self._market_now = sources.market_now
        self._quote = sources.confirmed
        self._history = sources.history
        self._traffic = traffic
        self._slices = slices
        self._begun_in_slot = wheel.slot
        self._pnl = PnlFrames(state.open_trades, sources.confirmed)
        self._shelf = shelf
        # Older events, for peers that are further behind than the log reaches.
        self._page = SessionLog(state.seq, log_limit, shelf)
        self._loading = asyncio.Lock()
        self._has_ended = False
        self._audiences = Audiences(wheel)

    @property
    def session_id(self) -> int:
        return self.state.session.session_id

    @property
    def epoch(self) -> str:
        return self.state.session.epoch

    def join(self, peer: Peer) -> None:
        beat = beat_from(self._begun_in_slot, peer.update_interval_ms)
        key = _AudienceKey(self, beat, peer.types, peer.framing)
        peer.topic = self
        peer.session_audience, _ = self._audiences.join(key, peer)

    def leave(self, peer: Peer) -> None:
        assert peer.session_audience is not None
        self._audiences.leave(peer.session_audience, peer)
        peer.topic = peer.session_audience = None

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        """Send events, and at once the figures that contain them."""
        self.state = state
        with self._traffic.event_fan_out.time():
            for start in range(0, len(events), _EVENTS_A_WRITE):
                part = events[start : start + _EVENTS_A_WRITE]
                frames = [numbered_event(event, self.epoch) for event in part]
                for event, frame in zip(part, frames, strict=True):
                    if isinstance(event, TradeEvent):
                        self._pnl.follow(event.trade.trade_id, state.open_trades)
                    self.log.append(frame)
                is_last = part[-1] is events[-1]
                self._send(frames, [self._figures().frame] if is_last else [])
        now_ms = self._market_now()
        for event in events:
            self._traffic.event_delay.observe(max(0, now_ms - event.at_ms) / 1000)

    def publish_state(self, state: SessionState) -> None:
        """Send the figures after a change that is not an event."""
        self.state = state
        with self._traffic.session_fan_out.time():
            self._send([], [self._figures().frame])

    async def beat(self, due: Sequence[SessionAudience]) -> None:
        """Send figures and P&L to the audiences whose interval has passed."""
        with self._traffic.session_fan_out.time():
            rolls = [(audience, audience.roll()) for audience in due]
            piece = self._piece(self._figures(), BEGIN)
            while True:
                for audience, roll in rolls:
                    piece = await self._write(piece, audience, roll)
                if self._slices.fill(len(piece.page.frames) // _TRADES_A_WRITE):
                    await asyncio.sleep(0)
                if piece.page.is_last:
                    return
                piece = self._piece(None, piece.page.upto)

    def send_state(self, peer: Peer) -> bool:
        """Send one peer the current figures and a page of P&L, as far as they are due.

        False if more is due. The first figures after ``since`` say what became of it.
        """
        if not peer.due_session and peer.due_pnl is None:
            return True
        figures, page = None, NO_PAGE
        if peer.due_session:
            peer.due_session = False
            figures = self._figures(peer.recovered)
            peer.recovered = None
        if peer.due_pnl is not None:
            page = self._pnl.page(self.state.open_trades, peer.due_pnl)
            peer.had_pnl(page.upto, is_last=page.is_last)
        piece = _Piece(figures, page, self.state, self._now())
        self._tell(peer, piece.text(peer.types, peer.framing))
        return peer.due_pnl is None

    def read(
        self, seq: int, types: Collection[str], framing: Framing, max_bytes: int
    ) -> Passage | None:
        """Events after ``seq``, like ``SessionLog.read``; None if ``fetch`` has to get them."""
        part = self._part(seq)
        return None if part is None else part.read(seq, types, framing, max_bytes)

    def has_at_hand(self, seq: int) -> bool:
        """Whether a reader at this place can read on without the store."""
        return self._part(seq) is not None

    async def fetch(self, seq: int) -> None:
        """Get the events after ``seq``, a page of them, from the store. Raises Unavailable.

        They stay for other readers at that place, until the room is needed.
        """
        async with self._loading:
            if self.has_at_hand(seq):
                return
            base = self.log.base
            events = await self._history(self.session_id, seq, base)
            if not events or events[0].seq != seq + 1:
                raise Unavailable(f"the history of session {self.session_id} is incomplete")
            if self._has_ended:
                return
            frames = [numbered_event(event, self.epoch) for event in events]
            # Before they are added: what was just fetched must not be forgotten before it is read.
            self._shelf.make_room(sum(map(size_of, frames)))
            if seq + len(frames) == base == self.log.base:
                self.log.prepend(frames)
            else:
                self._shelf.remove(self._page)
                self._page = SessionLog(seq + len(frames), len(frames), self._shelf)
                self._page.prepend(frames)

    def end(self) -> None:
        """Nobody watches any more."""
        self._has_ended = True
        for log in (self.log, self._page):
            self._shelf.remove(log)

    def _part(self, seq: int) -> SessionLog | None:
        """The part of the log in which a reader at this place continues."""
        if self.log.base <= seq:
            return self.log
        return self._page if self._page.base <= seq < self._page.end else None

    def _send(self, events: Sequence[Frame], updates: Sequence[Frame]) -> None:
        """Send to all ready peers; the others find events in the log and are owed figures."""
        for audience in self._audiences.all():
            types, framing = audience.key.types, audience.key.framing
            frames = [frame for frame in (*events, *updates) if frame.event in types]
            missed = sum(update.event in types for update in updates)
            self._traffic.conflated += missed * len(audience.waiting)
            for peer in audience.waiting if updates else ():
                peer.due_session = True
                peer.conflated += missed
            if frames:
                self._traffic.count(frames, framing, len(audience.writes))
                audience.broadcast(b"".join([frame.data[framing] for frame in frames]), len(frames))

    async def _write(self, piece: _Piece, audience: SessionAudience, roll: Roll) -> _Piece:
        """Write a piece to the peers that were ready when the beat began.

        Returns the piece as it is by then.
        """
        key = audience.key
        text = piece.text(key.types, key.framing)
        owed = set(audience.waiting)
        for peer in owed:
            self._owe(peer, piece, text)
        counted = _NOTHING
        if audience.roll() is roll:
            # Before the writes: one may pause its peer, which then banks the totals.
            audience.count(text.data, text.messages)
            counted = text
        for part in slices(len(roll.peers) if text.messages else 0):
            writes = roll.writes[part]
            if text is counted and audience.roll() is roll:
                for write in writes:
                    write(text.data)
                self._count(text, key.framing, len(writes))
            else:
                # While the loop ran, the figures or some of the peers have changed.
                for peer in roll.peers[part]:
                    peer.messages -= counted.messages
                    peer.bytes -= len(counted.data)
                    if peer.session_audience is audience and peer.ready:
                        self._tell(peer, text)
                    elif peer.session_audience is audience and peer not in owed:
                        self._owe(peer, piece, text)
            if self._slices.fill(len(writes)):
                await asyncio.sleep(0)
                piece = self._renewed(piece)
                text = piece.text(key.types, key.framing)
        return piece

    def _tell(self, peer: Peer, text: _Text) -> None:
        if text.messages:
            self._count(text, peer.framing, 1)
            peer.send_joined(text.data, text.messages)

    def _count(self, text: _Text, framing: Framing, receivers: int) -> None:
        for event, messages_, bytes_ in text.tally:
            self._traffic.add(event, framing, messages_, bytes_, receivers)

    def _owe(self, peer: Peer, piece: _Piece, text: _Text) -> None:
        """A peer that is not ready gets the newest state once it is."""
        peer.due_session |= piece.figures is not None
        peer.owe_pnl(piece.page.after)
        peer.conflated += text.messages
        self._traffic.conflated += text.messages

    def _piece(self, figures: _Figures | None, after: int, upto: int | None = None) -> _Piece:
        page = self._pnl.page(self.state.open_trades, after, upto)
        return _Piece(figures, page, self.state, self._now())

    def _renewed(self, piece: _Piece) -> _Piece:
        """The piece, remade if events or prices came while the loop ran."""
        figures = piece.figures
        if (
            piece.state is self.state
            and 0 <= self._now() - piece.built_ms < _HOLDS_MS
            and self._pnl.is_current(piece.page)
            and (figures is None or figures.unrealised_paise == self._unrealised_paise())
        ):
            return piece
        return self._piece(figures and self._figures(), piece.page.after, piece.page.upto)

    def _figures(self, recovered: bool | None = None) -> _Figures:
        unrealised_paise = self._unrealised_paise()
        frame = session_update(self.state, unrealised_paise, self._now(), recovered)
        return _Figures(unrealised_paise, frame)

    def _unrealised_paise(self) -> int:
        return self.state.unrealised_paise(self._quote)
