"""What a program asked for, where its session stands, and which messages it gets."""

from __future__ import annotations

import logging
from typing import Any

from vyomo_rt_client import numbers
from vyomo_rt_client.messages import Gap, Message, Position

log = logging.getLogger(__name__)

AUTH_ID = "auth"
PRICES_ID = "prices"
SESSION_ID = "session"
WATCH_ID = "sessions"

Fields = dict[str, Any]


class Subscription:
    """A session, prices and all sessions at once, or some of these, over all connections.

    `session` and `prices` are the fields of the two subscribe commands. An unwanted one is empty,
    and a field that is None is left out. `watch` are those of `watch_sessions`; None if that is
    not wanted.
    """

    def __init__(
        self,
        session: Fields,
        prices: Fields,
        position: Position | None,
        watch: Fields | None = None,
    ) -> None:
        self.position = position
        self._session = session
        self._prices = prices
        self._watch = None if watch is None else _given(watch)
        self._gap: Gap | None = None

    def commands(self) -> tuple[Fields, Fields, Fields | None]:
        """The fields of the three commands, from the current position on."""
        session = self._session
        if self.position is not None:
            session = session | {"since": self.position.seq, "epoch": self.position.epoch}
        return _given(session), _given(self._prices), self._watch

    def acknowledge(self, id_: str | None, result: Fields) -> None:
        """Process the server's answer to a command, or on SSE to both."""
        if id_ == AUTH_ID:  # its position may be ahead of what has come
            return
        if result["unknown"]:
            log.warning("the server does not know these symbols: %s", ", ".join(result["unknown"]))
        if result["sessionId"] is None or id_ in {PRICES_ID, WATCH_ID}:
            return
        now = Position(result["sessionId"], result["seq"], result["epoch"])
        before, self.position = self.position, now
        if before is None:
            return
        if result["recovered"]:
            self.position = before._replace(epoch=now.epoch)
        else:
            self._missed(before, now)

    def deliver(self, message: Fields, text: str) -> Message | None:
        """Advance the position; returns None for an event that was already delivered."""
        type_, data, seq = message["type"], message.get("data", {}), message.get("seq")
        gap, before = None, self.position
        if seq is not None and before is not None and not self._advance(type_, seq, before):
            return None
        if before is not None and (seq is not None or data.get("sessionId") == before.session_id):
            gap, self._gap = self._gap, None
        return Message(type_, data, seq, message.get("recovered"), gap, text)

    def _advance(self, type_: str, seq: int, before: Position) -> bool:
        """Whether this is new. A message with a `seq` is an event, even of an unknown type; only
        ``session_update`` is state, whose `seq` is that of the newest event.
        """
        is_state = type_ == "session_update"
        if seq <= before.seq:
            return is_state
        unseen = seq if is_state else seq - 1
        # With only some types, missing numbers are no loss.
        if self._session.get("types") is None and unseen > before.seq:
            self._missed(before, before._replace(seq=unseen))
        self.position = before._replace(seq=seq)
        return True

    def _missed(self, before: Position, now: Position) -> None:
        self._gap = Gap(self._gap.before if self._gap else before, now)
        log.warning("events after %s did not come: now at %s", *self._gap)


def parse(text: str) -> Fields:
    """A message, with exact numbers. Raises ValueError."""
    message = numbers.decode(text)
    if not isinstance(message, dict) or "type" not in message:
        raise ValueError("no message of a vyomo-rt server")
    return message


def _given(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}
