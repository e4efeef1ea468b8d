"""What a soaked server has acknowledged, announced and stored, and whether these agree."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec

from lab.soak.rulebook import RULE_BEHIND, Rulebook
from lab.soak.violated import Violated

CAPITAL = 10_000_000
_MOST_MOVE = Fraction(1, 4)
"""No true price of the soak's feed moves so far from a trade's entry; its misprints do."""
_TRADE_EVENTS = {"trade_opened", "trade_closed"}
_BEGINNINGS = {"trade_opened", "order_placed"}
_ENDS_OF_ORDERS = {"trade_opened", "order_ended"}
_IST = timezone(timedelta(hours=5, minutes=30))
_CLOCK_OFF = timedelta(seconds=2.5)
"""Of several machines, one whose clock is further off does not say what time it is."""
_WAITED = timedelta(seconds=20)
"""So long what a price has decided may wait for the store, and come after what is younger."""


class Event(NamedTuple):
    """A stored event."""

    text: bytes
    seq: int
    type: str
    data: dict[str, Any]


class Acknowledged(NamedTuple):
    """What the server has said about a session up to some moment."""

    opened: dict[str, int]
    ordered: dict[str, int]
    closed: dict[int, dict[str, Any]]
    told_upto: int


class SessionTruth:
    """One session: its stored events as far as they were fetched, and what else is known."""

    def __init__(self, session_id: int) -> None:
        self.session_id = session_id
        self.stored: list[Event] = []
        self.book = Rulebook()
        self.told: dict[int, bytes] = {}
        """The text of each event that a watcher got, by number."""
        self.opened: dict[str, int] = {}
        """The trade of each acknowledged opening, by its key."""
        self.ordered: dict[str, int] = {}
        """The order of each acknowledged placing, by its key."""
        self.closed: dict[int, dict[str, Any]] = {}
        """The answer to each acknowledged close, by trade."""
        self._checked_told = 0
        self._made = datetime.now(UTC)

    @property
    def newest_seq(self) -> int:
        return len(self.stored)

    def acknowledge_opening(self, key: str, trade_id: int) -> None:
        if self.opened.setdefault(key, trade_id) != trade_id:
            raise Violated(
                f"a retry opens nothing twice: key {key!r} made the trades "
                f"{self.opened[key]} and {trade_id}"
            )

    def acknowledge_order(self, key: str, order_id: int) -> None:
        if self.ordered.setdefault(key, order_id) != order_id:
            raise Violated(
                f"a retry places nothing twice: key {key!r} made the orders "
                f"{self.ordered[key]} and {order_id}"
            )

    def tell(self, seq: int, text: bytes) -> None:
        """A watcher got an event."""
        if self.told.setdefault(seq, text) != text:
            raise Violated(
                f"all watchers see the same: event {seq} of session {self.session_id} is "
                f"{self.told[seq].decode()} and {text.decode()}"
            )

    def take(self, texts: Sequence[bytes], since: int) -> None:
        """Compare and keep the events after number ``since``, as they are replayed now."""
        for seq, text in enumerate(texts, since + 1):
            message = msgspec.json.decode(text)
            if message["seq"] != seq:
                raise Violated(
                    f"event numbers have no gap: session {self.session_id} replays "
                    f"{message['seq']} in the place of {seq}"
                )
            if seq > len(self.stored):
                self.stored.append(Event(text, seq, message["type"], message["data"]))
            elif self.stored[seq - 1].text != text:
                raise Violated(
                    f"a replay has the same bytes as before: event {seq} of session "
                    f"{self.session_id} was {self.stored[seq - 1].text.decode()}, "
                    f"is {text.decode()}"
                )
        if since + len(texts) < len(self.stored):
            raise Violated(
                f"what was stored stays stored: session {self.session_id} had "
                f"{len(self.stored)} events and has {since + len(texts)}"
            )

    def check_told(self, upto: int) -> None:
        """Check that what watchers got, up to a number, is what is stored."""
        for seq in range(self._checked_told + 1, upto + 1):
            text = self.told.get(seq)
            if text is None:
                continue
            if seq > len(self.stored) or self.stored[seq - 1].text != text:
                there = self.stored[seq - 1].text.decode() if seq <= len(self.stored) else "nothing"
                raise Violated(
                    f"nobody is told of what is not stored: event {seq} of session "
                    f"{self.session_id} was told as {text.decode()}, stored is {there}"
                )
        self._checked_told = max(self._checked_told, upto)

    def check_figures(self, session: dict[str, Any]) -> None:
        """Check that a session's figures are those of its events."""
        today = datetime.fromisoformat(session["timestamp"]).astimezone(_IST).date()
        events = self.stored[: session["seq"]]
        wanted = _figures([(event.type, event.data) for event in events], today)
        found = {name: session[name] for name in wanted}
        if found != wanted:
            raise Violated(
                f"figures are those of the events: session {self.session_id} at event "
                f"{session['seq']} has {found}, its events make {wanted}"
            )

    def acknowledged(self) -> Acknowledged:
        """What has been acknowledged so far: take it before fetching what must contain it."""
        told_upto = max(self.told, default=0)
        return Acknowledged(dict(self.opened), dict(self.ordered), dict(self.closed), told_upto)

    def holds(self, known: Acknowledged) -> bool:
        """Whether all that was acknowledged is among what was fetched."""
        there = {
            (event.type, event.data.get(name))
            for event in self.stored
            for name in ("tradeId", "orderId")
        }
        return (
            all(("trade_opened", trade_id) in there for trade_id in known.opened.values())
            and all(("trade_closed", trade_id) in there for trade_id in known.closed)
            and all(
                any((type_, order_id) in there for type_ in ("order_placed", *_ENDS_OF_ORDERS))
                for order_id in known.ordered.values()
            )
        )

    def check_trades(self, known: Acknowledged) -> None:
        """Check that what was acknowledged is stored, and each trade opens and closes correctly."""
        trades = [event for event in self.stored if event.type in _TRADE_EVENTS]
        count = Counter((event.type, event.data["tradeId"]) for event in trades)
        if doubled := [which for which, times in count.items() if times > 1]:
            raise Violated(f"a trade opens and closes once: session {self.session_id}, {doubled}")
        events = {(event.type, event.data["tradeId"]): event.data for event in trades}
        for key, trade_id in known.opened.items():
            if ("trade_opened", trade_id) not in events:
                raise Violated(f"what is acknowledged is stored: opening {key!r}, trade {trade_id}")
        for trade_id, answer in known.closed.items():
            stored = events.get(("trade_closed", trade_id))
            if stored is None or {name: answer.get(name) for name in stored} != stored:
                raise Violated(
                    f"what is acknowledged is stored: the close of trade {trade_id} was "
                    f"answered as {answer}, stored is {stored}"
                )
        for (type_, trade_id), data in events.items():
            if type_ == "trade_closed" and data["exitReason"] != "MANUAL":
                entry = Fraction(str(events["trade_opened", trade_id]["entryPrice"]))
                if abs(Fraction(str(data["exitPrice"])) - entry) > _MOST_MOVE * entry:
                    raise Violated(f"no misprint closes a trade: {data}")

    def check_moments(self) -> None:
        """Check that the moments of events are those of the soak, and go on."""
        newest, end = self._made - _CLOCK_OFF, datetime.now(UTC) + _CLOCK_OFF
        for event in self.stored:
            moment = datetime.fromisoformat(event.data["timestamp"])
            if not max(self._made - _CLOCK_OFF, newest - _WAITED) <= moment <= end:
                raise Violated(
                    f"moments are true, and go on: session {self.session_id}, after "
                    f"{newest.isoformat()} and before {end.isoformat()}: {event.text.decode()}"
                )
            newest = max(newest, moment)

    def check_orders(self, known: Acknowledged) -> None:
        """Check that each acknowledged order is stored, and becomes a trade or ends, once."""
        placed = {e.data["orderId"] for e in self.stored if e.type == "order_placed"}
        ends = Counter(
            event.data["orderId"]
            for event in self.stored
            if event.type in _ENDS_OF_ORDERS and "orderId" in event.data
        )
        if doubled := [order_id for order_id, times in ends.items() if times > 1]:
            raise Violated(f"an order ends once: session {self.session_id}, orders {doubled}")
        for key, order_id in known.ordered.items():
            if order_id not in placed | ends.keys():
                raise Violated(f"what is acknowledged is stored: placing {key!r}, order {order_id}")

    def check_halts(self) -> None:
        """Check that nothing begins in a halt, and that one that closes has closed when it ends."""
        active, killed, left = True, False, set[tuple[str, int]]()
        for event in self.stored:
            data = event.data
            if event.type in _BEGINNINGS and not active:
                raise Violated(f"nothing begins in a halt: {event.text.decode()}")
            if event.type == "session_changed":
                active = data["status"] == "ACTIVE"
                if active and killed and left:
                    raise Violated(f"a halt closes everything: still open are {sorted(left)}")
                closes = data["reason"] in ("KILL", *RULE_BEHIND)
                killed = not active and (killed or closes)
            elif event.type == "order_placed":
                left.add(("order", data["orderId"]))
            elif event.type == "order_ended":
                left.discard(("order", data["orderId"]))
            elif event.type == "trade_opened":
                left.discard(("order", data.get("orderId", 0)))
                left.add(("trade", data["tradeId"]))
            elif event.type == "trade_closed":
                left.discard(("trade", data["tradeId"]))

    def check_rules(self, session: dict[str, Any]) -> None:
        """Check rules, charges and square-off up to the newest event of a session's document."""
        for event in self.stored[self.book.seq : session["seq"]]:
            self.book.take(event.type, event.data)
        self.book.check_document(session)

    def check_nothing_else(self) -> None:
        """At the end, when every request is answered, check that nothing else has happened."""
        openings = [event.data for event in self.stored if event.type == "trade_opened"]
        opened = [data["tradeId"] for data in openings if "orderId" not in data]
        if strange := {d["orderId"] for d in openings if "orderId" in d} - {*self.ordered.values()}:
            raise Violated(
                f"only what was asked for is opened: session {self.session_id}, orders {strange}"
            )
        asked = sorted(self.opened.values())
        if sorted(opened) != asked:
            raise Violated(
                f"only what was asked for is opened: session {self.session_id} has the trades "
                f"{sorted(set(opened) ^ set(asked))} on one side only"
            )


class Truth:
    """All sessions of a soak, and the first invariant that was violated."""

    def __init__(self) -> None:
        self.sessions: list[SessionTruth] = []
        self.violated: list[str] = []
        self.failed = asyncio.Event()

    def violate(self, violated: Violated) -> None:
        self.violated.append(str(violated))
        self.failed.set()


def _figures(events: list[tuple[str, dict[str, Any]]], today: date) -> dict[str, Any]:
    """A session's figures by the protocol's arithmetic."""
    closes = [data for type_, data in events if type_ == "trade_closed"]
    pnls = [Fraction(str(data["pnl"])) for data in closes]
    parts = _parts(events)
    total = sum(pnl for pnl, _ in parts)
    todays = [
        pnl
        for pnl, timestamp in parts
        if datetime.fromisoformat(timestamp).astimezone(_IST).date() == today
    ]
    opened = sum(type_ == "trade_opened" for type_, _ in events)
    wins = sum(pnl > 0 for pnl in pnls)
    return {
        "totalTrades": opened,
        "openTrades": opened - len(pnls),
        "winningTrades": wins,
        "losingTrades": sum(pnl < 0 for pnl in pnls),
        "totalPnL": float(total),
        "todayPnL": float(sum(todays)),
        "currentCapital": float(CAPITAL + total),
        "winRate": (Fraction(wins * 10_000, len(pnls)) + Fraction(1, 2)).__floor__() / 100
        if pnls
        else 0,
    }


def _parts(events: list[tuple[str, dict[str, Any]]]) -> list[tuple[Fraction, str]]:
    """What each closing of a trade or of a part has earned, and when."""
    earlier: dict[int, Fraction] = {}
    parts: list[tuple[Fraction, str]] = []
    for type_, data in events:
        if type_ not in ("trade_reduced", "trade_closed"):
            continue
        trade_id, pnl = data["tradeId"], Fraction(str(data["pnl"]))
        if type_ == "trade_closed":
            pnl -= earlier.get(trade_id, Fraction(0))
        earlier[trade_id] = earlier.get(trade_id, Fraction(0)) + pnl
        parts.append((pnl, data["timestamp"]))
    return parts
