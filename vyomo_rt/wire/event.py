"""The numbered events of a session, as they are stored and as clients get them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

from msgspec import Meta

from vyomo_rt.domain.event import Event, EventKind, OrderEvent, SessionEvent, TradeEvent
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, around_list, encode
from vyomo_rt.wire.frame import Frame, make_frame
from vyomo_rt.wire.order import OrderEnded, OrderPlaced, order_ended, order_placed
from vyomo_rt.wire.position import spell_position
from vyomo_rt.wire.session import SessionChanged, SessionUpdate, session_changed
from vyomo_rt.wire.trade import PnlUpdate
from vyomo_rt.wire.trade_event import (
    TradeChanged,
    TradeClosed,
    TradeOpened,
    TradeReduced,
    trade_changed,
    trade_closed,
    trade_opened,
    trade_reduced,
)
from vyomo_rt.wire.values import MAX_INT, Epoch, Seq

NumberedMessage = (
    TradeOpened
    | TradeClosed
    | TradeReduced
    | TradeChanged
    | OrderPlaced
    | OrderEnded
    | SessionChanged
)

SessionMessage = SessionUpdate | PnlUpdate | NumberedMessage
"""What a session's stream may carry."""


class EventsQuery(Body):
    since: Annotated[int, Meta(ge=0, le=MAX_INT)] = 0


class EventList(Data):
    """Stored events, byte for byte as the streams carry them."""

    events: list[NumberedMessage]
    seq: Seq
    epoch: Epoch


def event_message(event: Event) -> str:
    """The JSON text of a numbered event, as it is stored and as clients get it.

    What newer shapes have more is left out where it is not set, so all are written alike.
    """
    return encode(_message(event)).decode()


def _message(event: Event) -> NumberedMessage:
    if isinstance(event, SessionEvent):
        return session_changed(event)
    if isinstance(event, OrderEvent):
        return order_placed(event) if event.kind is EventKind.ORDER_PLACED else order_ended(event)
    assert isinstance(event, TradeEvent)
    return _TRADE_MESSAGES[event.kind](event)


_TRADE_MESSAGES: dict[EventKind, Callable[[TradeEvent], NumberedMessage]] = {
    EventKind.OPENED: trade_opened,
    EventKind.CLOSED: trade_closed,
    EventKind.REDUCED: trade_reduced,
    EventKind.CHANGED: trade_changed,
}


def numbered_event(event: Event, epoch: str) -> Frame:
    """The frame of a stored event; its SSE id is the position after it."""
    event_id = spell_position(event.session_id, event.seq, epoch)
    return make_frame(event.kind, event.message.encode(), event_id)


def around_events(seq: int, epoch: str) -> tuple[bytes, bytes]:
    """The JSON of an EventList before and behind its events."""
    return around_list(EventList([], seq, epoch))


def events_text(events: Iterable[Event]) -> bytes:
    """Events of an EventList, byte for byte as they are stored."""
    return ",".join(event.message for event in events).encode()
