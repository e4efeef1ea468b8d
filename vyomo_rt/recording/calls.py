"""Records the calls that make or change something."""

from __future__ import annotations

from collections.abc import Sequence

from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.state import SessionState
from vyomo_rt.recording.recorder import RecordedCall, Recorder


class CallLog:
    """Gives each call its place among the ticks. It follows the events to know their moments."""

    def __init__(self, recorder: Recorder, now: MarketClock) -> None:
        self._recorder = recorder
        self._now = now
        self._calls: dict[str, RecordedCall] = {}

    def begin(self, operation_id: str) -> RecordedCall:
        """A call is carried out: what it decides belongs before the next tick."""
        call = self._calls[operation_id] = self._recorder.begin_call(self._now())
        return call

    def end(self, operation_id: str, call: RecordedCall) -> None:
        """The call is over, and its ``line`` set if it made or changed something."""
        self._calls.pop(operation_id, None)
        self._recorder.end_call(call)

    def publish_events(self, events: Sequence[Event], state: SessionState) -> None:
        """The moment of a call is that of its event."""
        del state
        for event in events:
            if call := self._calls.get(event.operation_id):
                call.at_ms = event.at_ms

    def publish_state(self, state: SessionState) -> None:
        """A new day is nobody's call."""
