"""Records the calls that make or change something."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar

from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.state import SessionState
from vyomo_rt.recording.recorder import RecordedCall, Recorder

_carried_out: ContextVar[RecordedCall | None] = ContextVar("carried_out", default=None)
"""The call that is being carried out here."""


class CallLog:
    """Gives each call its place among the ticks. It follows the events to know their moments."""

    def __init__(self, recorder: Recorder, now: MarketClock) -> None:
        self._recorder = recorder
        self._now = now

    def begin(self) -> RecordedCall:
        """A call is carried out: what it decides belongs before the next tick."""
        call = self._recorder.begin_call(self._now())
        _carried_out.set(call)
        return call

    def end(self, call: RecordedCall) -> None:
        """The call is over, and its ``line`` set if it made or changed something."""
        _carried_out.set(None)
        self._recorder.end_call(call)

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        """The moment of a call is that of its events; a move that waited goes before them."""
        del state
        call = _carried_out.get()
        # Tasks that a call has started outlive it.
        if call is not None and not call.is_over:
            call.at_ms = events[-1].at_ms

    def publish_state(self, state: SessionState) -> None:
        """A new day is nobody's call."""
