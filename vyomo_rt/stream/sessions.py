"""A session's topic: its log, its state as frames, and the peers that watch it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.moment import Clock
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import SessionState
from vyomo_rt.domain.trade import EventKind, TradeEvent
from vyomo_rt.stream.audience import Audience
from vyomo_rt.stream.beats import Beat, is_due
from vyomo_rt.stream.log import SessionLog
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.traffic import Traffic
from vyomo_rt.wire import messages
from vyomo_rt.wire.commands import StreamType
from vyomo_rt.wire.frame import Frame, Framing

_EVENTS = frozenset(EventKind)

History = Callable[[int, int, int], Awaitable[Sequence[TradeEvent]]]
"""Some of a session's stored events with ``after < seq <= upto``, from the first on."""


class _AudienceKey(NamedTuple):
    beat: Beat
    types: frozenset[StreamType]
    framing: Framing


class SessionTopic:
    """Sends a session's events and figures; lives while somebody watches.

    All of a session's messages go to all of its peers in one step without an
    await, so that no old figure can follow a new one.
    """

    def __init__(
        self,
        state: SessionState,
        *,
        now: Clock,
        quote: Callable[[str], Quote | None],
        history: History,
        log_limit: int,
        traffic: Traffic,
    ) -> None:
        self.state = state
        self.log = SessionLog(state.seq, log_limit)
        self.users = 0
        self._now = now
        self._quote = quote
        self._history = history
        self._traffic = traffic
        self._loading = asyncio.Lock()
        self._audiences: dict[_AudienceKey, Audience[_AudienceKey]] = {}

    @property
    def session_id(self) -> int:
        return self.state.session.session_id

    @property
    def epoch(self) -> str:
        return self.state.session.epoch

    def join(self, peer: Peer, beat: Beat) -> None:
        key = _AudienceKey(beat, peer.types, peer.framing)
        peer.topic = self
        peer.session_audience = self._audiences.get(key)
        if peer.session_audience is None:
            peer.session_audience = self._audiences[key] = Audience(key)
        peer.session_audience.join(peer)

    def leave(self, peer: Peer) -> None:
        assert peer.session_audience is not None
        peer.session_audience.leave(peer)
        if not peer.session_audience:
            del self._audiences[peer.session_audience.key]
        peer.topic = peer.session_audience = None

    def publish_event(self, event: TradeEvent, state: SessionState) -> None:
        """Send an event, and at once the figures that contain it."""
        self.state = state
        frame = messages.trade_event(event, self.epoch)
        self.log.append(frame)
        with self._traffic.event_fan_out.time():
            self._send(self._audiences.values(), [frame], [self._update_frame()])
        delay_ms = self._now() - event.at_ms
        self._traffic.event_delay.observe(max(0, delay_ms) / 1000)

    def publish_state(self, state: SessionState) -> None:
        """Send the figures after a change that is no trade event."""
        self.state = state
        with self._traffic.session_fan_out.time():
            self._send(self._audiences.values(), [], [self._update_frame()])

    def beat(self, after_slot: int, upto_slot: int) -> None:
        """Send figures and P&L to those whose interval has passed."""
        due = [
            audience
            for audience in self._audiences.values()
            if is_due(audience.key.beat, after_slot, upto_slot)
        ]
        if due:
            with self._traffic.session_fan_out.time():
                self._send(due, [], self._state_frames(None))

    def send_state(self, peer: Peer) -> None:
        """Send one peer the present figures and P&L; the first ones after ``since`` say so."""
        peer.send([f for f in self._state_frames(peer.recovered) if f.event in peer.types])
        peer.recovered = None

    async def load(self, since: int) -> None:
        """Bring the stored events after ``since`` into the log. Raises Unavailable."""
        async with self._loading:
            base = self.log.base
            entries: list[Frame] = []
            while since + len(entries) < base:
                page = await self._history(self.session_id, since + len(entries), base)
                if not page:
                    raise Unavailable(f"the history of session {self.session_id} is incomplete")
                entries += [messages.trade_event(event, self.epoch) for event in page]
            # The log may have been trimmed meanwhile; then nobody may be so far behind anyway.
            if self.log.base == base:
                self.log.prepend(entries)

    def _send(
        self,
        audiences: Iterable[Audience[_AudienceKey]],
        events: Sequence[Frame],
        state: Sequence[Frame],
    ) -> None:
        """Send to all who are ready; the others find events in the log, and are owed the state."""
        for audience in audiences:
            types, framing = audience.key.types, audience.key.framing
            frames = [frame for frame in (*events, *state) if frame.event in types]
            if audience.waiting:
                missed = sum(frame.event not in _EVENTS for frame in frames)
                self._traffic.conflated += missed * len(audience.waiting)
                for peer in audience.waiting:
                    peer.due_session = True
                    peer.conflated += missed
            if frames:
                self._traffic.count(frames, framing, len(audience.writes))
                audience.broadcast(b"".join([frame.data[framing] for frame in frames]), len(frames))

    def _update_frame(self, recovered: bool | None = None) -> Frame:
        unrealized = self.state.unrealized_paise(self._quote)
        return messages.session_update(self.state, unrealized, self._now(), recovered)

    def _state_frames(self, recovered: bool | None) -> list[Frame]:
        now_ms = self._now()
        return [
            self._update_frame(recovered),
            *(
                messages.pnl_update(trade, quote, now_ms)
                for trade in self.state.open_trades.values()
                if (quote := self._quote(trade.symbol))
            ),
        ]
