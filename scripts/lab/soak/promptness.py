"""How soon every watcher hears of what is acknowledged or told to somebody else."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, NamedTuple

from lab.soak.site import Site
from lab.soak.violated import Violated

_PROMISED_S = 2.0
_TURN_S = 0.02
_KEPT = 1000

What = tuple[str, int]
"""The type of an event, and its trade."""
_JUDGED = ("trade_opened", "trade_closed")


class _Known(NamedTuple):
    at_s: float
    calm: int | None


class Promptness:
    """Judges while nothing disturbs but the bus.

    Its clock counts turns of this program, so that it is late when the machine is busy, as are
    the servers.
    """

    def __init__(self, site: Site) -> None:
        self.judged = 0
        self.slowest_s = 0.0
        self._site = site
        self.now_s = 0.0
        """Stands while the machine has no time for this program."""
        self._known: dict[int, dict[What, _Known]] = {}
        """By session, when something was first known to have happened."""
        self._order: deque[tuple[int, What]] = deque()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_TURN_S)
            self.now_s += _TURN_S

    def know(self, session_id: int, type_: str, trade_id: int) -> None:
        """Somebody knows that it has happened."""
        known = self._known.setdefault(session_id, {})
        if (type_, trade_id) not in known:
            known[type_, trade_id] = _Known(self.now_s, self._site.calm)
            self._order.append((session_id, (type_, trade_id)))
        if len(self._order) > _KEPT:
            of_session, what = self._order.popleft()
            del self._known[of_session][what]

    def hear(self, session_id: int, event: dict[str, Any]) -> What | None:
        """A numbered event has come to somebody; returns what is judged of it, if it is."""
        if event["type"] not in _JUDGED:
            return None
        what = event["type"], event["data"]["tradeId"]
        self.know(session_id, *what)
        return what

    def visit(self, session_id: int) -> Visit:
        """A watcher is there, and reads."""
        return Visit(self, session_id, self.now_s)

    def judge(self, session_id: int, what: What, since_s: float, *, has_come: bool) -> None:
        """It comes now to somebody who was there from a moment on, or has not come until now.

        Raises Violated.
        """
        known = self._known.get(session_id, {}).get(what)
        # In the turn in which it came, it may have been there for what the watcher saw elsewhere.
        if known is None or known.at_s <= since_s or known.calm is None:
            return
        if known.calm != self._site.calm:
            return
        took_s = self.now_s - known.at_s
        if has_come:
            self.judged += 1
            self.slowest_s = max(self.slowest_s, took_s)
        if took_s > _PROMISED_S:
            raise Violated(
                f"what the bus does is repaired within {_PROMISED_S:g} s: {what} of session "
                f"{session_id} was known for {took_s:.1f} s"
            )

    def happened(self, session_id: int) -> list[What]:
        """What is known of a session of late."""
        return list(self._known.get(session_id, ()))


class Visit:
    """What one watcher hears from when it is there to when it leaves."""

    def __init__(self, promptness: Promptness, session_id: int, since_s: float) -> None:
        self._promptness = promptness
        self._session_id = session_id
        self._since_s = since_s
        self._heard: set[What] = set()

    def hear(self, event: dict[str, Any]) -> None:
        """A numbered event has come. Raises Violated if it is late."""
        if (what := self._promptness.hear(self._session_id, event)) is not None:
            self._heard.add(what)
            self._promptness.judge(self._session_id, what, self._since_s, has_come=True)

    def end(self) -> None:
        """It leaves. Raises Violated if something has not come that should have."""
        for what in self._promptness.happened(self._session_id):
            if what not in self._heard:
                self._promptness.judge(self._session_id, what, self._since_s, has_come=False)
