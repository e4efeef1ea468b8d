"""A write of a session's events, which goes to the store in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from vyomo_rt.domain.event import Event, EventKind, SessionEvent, TradeEvent
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.pace import Pace
from vyomo_rt.domain.session import ChangeReason
from vyomo_rt.domain.trade import ExitReason
from vyomo_rt.wire.event import event_message

_AT_ONCE = 50
"""The embedded store answers for so many in time, even on a busy machine."""


class Write(NamedTuple):
    """Events on their way to the store, and what holds once they are there."""

    events: Sequence[Event]
    pace: Pace
    moments: int
    """How many of those that waited they answer."""

    @property
    def first(self) -> Sequence[Event]:
        """The part to be stored next."""
        return self.events[:_AT_ONCE]

    @property
    def rest(self) -> Sequence[Event]:
        """What follows that part; empty if it is the last."""
        return self.events[_AT_ONCE:]

    def rest_of_it(self) -> Write:
        """The same write once its first part is stored."""
        return self._replace(events=self.rest)


def signed_all(events: Sequence[Event], operation: Operation, term: int, shape: int) -> list[Event]:
    """Events that a subject's request caused, up to what a rule decides; moves are nobody's.

    One of them has the request's id: the change of the session, otherwise the first close.
    """
    found: list[Event] = []
    is_by_rule = False
    changes = (event for event in events if isinstance(event, SessionEvent))
    closes = (event for event in events if event.kind is EventKind.CLOSED)
    own = next(changes, None) or next(closes, events[0])
    for event in events:
        is_by_rule = is_by_rule or _is_by_rule(event)
        is_own = not is_by_rule and event.kind is not EventKind.CHANGED
        signing = operation if event is own else Operation.internal()
        by = operation.by if is_own else None
        found.append(signed(event, replace(signing, by=by), term, shape))
    return found


def _is_by_rule(event: Event) -> bool:
    if isinstance(event, SessionEvent):
        return event.reason not in (ChangeReason.MANUAL, ChangeReason.KILL)
    exit_ = event.trade.exit if isinstance(event, TradeEvent) else None
    return exit_ is not None and exit_.reason is ExitReason.RISK


def signed(event: Event, operation: Operation, term: int, shape: int) -> Event:
    """An event with what its writer adds, and its text."""
    event = replace(
        event,
        operation_id=operation.operation_id,
        request_hash=operation.request_hash,
        by=operation.by,
        term=term,
        shape=shape,
    )
    return replace(event, message=event_message(event))
