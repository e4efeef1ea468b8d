"""What a client knows from the messages alone, and the rules that every message must obey."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.kit.messages import Message
from tests.stream.world import ALL_TYPES, EVENT_TYPES, Book
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.wire.encoding import encode
from vyomo_rt.wire.session import session_data

if TYPE_CHECKING:
    from tests.stream.client import Client


class View:
    """What a client knows from the messages alone, and the rules that every message must obey."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._world = client.world
        self.last_asked: dict[str, Any] = {}
        self.session_id: int | None = None
        self.position = 0
        self.types: frozenset[str] = ALL_TYPES
        self.symbols: set[str] = set()
        self.only_changes = False
        self.prices: dict[str, dict[str, Any]] = {}
        self.pnls: dict[int, dict[str, Any]] = {}
        self.figures: dict[str, Any] | None = None
        self.status: dict[str, Any] | None = None
        self.recovered: bool | None = None
        self.snapshot_pending = False
        self._announced: set[str] = set()
        self.watching = False
        self.watched: dict[int, dict[str, Any]] = {}
        self._returned: set[int] = set()
        """Sessions whose own stream was left: they may be repeated."""
        self._states_before: dict[int, int] = {}
        self._figures_before: dict[int, int] = {}
        """How many figures of a session there had been when it was told."""

    def asked(self, command: dict[str, Any]) -> None:
        self.last_asked = command

    def check(self, message: Message) -> None:
        json_ = message.json
        if message.event is not None:
            name = "server_error" if json_["type"] == "error" else json_["type"]
            self._require(message.event == name, "event: is not the type", message)
            self._require(
                (message.retry is not None) == (json_["type"] == "ack"), "retry: elsewhere", message
            )
        match json_["type"]:
            case "ack":
                self._on_ack(message, json_["result"])
            case "trade_opened" | "trade_closed" | "session_changed":
                self._on_event(message, json_)
            case "session_update":
                on_figures = self._on_figures if "seq" in json_ else self._on_watched
                on_figures(message, json_)
            case "pnl_update":
                self._on_pnl(message, json_["data"])
            case "price_update":
                self._on_price(message, json_["data"])
            case "feed_status":
                self.status = json_["data"]
            case "error":
                allowed = {"unavailable", "not_found", "bad_request", "limit_exceeded"}
                self._require(json_["code"] in allowed, "an unexpected error", message)
        has_id = "seq" in json_ or (json_["type"] == "ack" and self.session_id is not None)
        if message.event is not None:
            wanted = f"{self.session_id}-{self.position}-epoch{self.session_id}" if has_id else None
            self._require(message.id == wanted, f"id: should be {wanted}", message)

    def _on_ack(self, message: Message, result: dict[str, Any]) -> None:
        asked = self.last_asked
        self._require(message.json.get("id") == asked.get("id"), "an ack to nobody", message)
        opening = asked["type"] == "open"
        if asked["type"] in {"subscribe_session", "unsubscribe_session"} and self.session_id:
            self._returned.add(self.session_id)
        if asked["type"] in {"watch_sessions", "auth"} or opening:
            self._on_new_watch()
        self.watching = result["watching"]
        if opening or asked["type"].startswith(("subscribe", "watch")):
            # A snapshot that says nothing of the feed says that it is live.
            self.status = None
        if asked["type"] == "subscribe_session" or (opening and result["sessionId"] is not None):
            self._on_new_session(message, result, asked)
        elif asked["type"] == "unsubscribe_session":
            self.session_id = None
        else:
            self._require(
                self.session_id is None or result["seq"] == self.position or bool(self._withheld()),
                f"an ack is not at the position {self.position}",
                message,
            )
        self._require(result["sessionId"] == self.session_id, "the session changed", message)
        if result["onlyChanges"] and not self.only_changes:
            self._announced |= set(result["symbols"])
        self.only_changes = result["onlyChanges"]
        named = asked.get("symbols") if asked["type"] == "subscribe_prices" else ()
        self._announced |= {str(name).strip().upper() for name in named or ()}
        if opening:
            self._announced |= set(result["symbols"])
        for symbol in self.symbols - set(result["symbols"]):
            self.prices.pop(symbol, None)
        self.symbols = set(result["symbols"])

    def _on_new_session(
        self, message: Message, result: dict[str, Any], asked: dict[str, Any]
    ) -> None:
        book = self._world.books[result["sessionId"]]
        since, epoch = asked.get("since"), asked.get("epoch")
        wanted = (
            None
            if since is None
            else since <= book.seq <= since + self._world.max_events_behind
            and epoch in (None, book.state.session.epoch)
        )
        self._require(result.get("recovered") == wanted, f"recovered is not {wanted}", message)
        start = since if wanted else book.seq
        self._require(result["seq"] == start, f"the position is not {start}", message)
        self.session_id = result["sessionId"]
        self.position = result["seq"]
        self.types = frozenset(result["types"])
        self.recovered = wanted
        self.snapshot_pending = True
        self.figures = None
        self.pnls.clear()

    def _on_new_watch(self) -> None:
        self.watched.clear()
        self._returned.clear()
        self._states_before = {id_: len(book.states) for id_, book in self._world.books.items()}

    def _on_watched(self, message: Message, json_: dict[str, Any]) -> None:
        data = json_["data"]
        session_id = data["sessionId"]
        self._require(self.watching, "nobody watches all sessions", message)
        self._require(not self._comes_by_itself(session_id), "the subscribed session", message)
        self._require("recovered" not in json_, "an answer to no since", message)
        self._require(data == self._figures(session_id), "wrong figures", message)
        before = self.watched.get(session_id)
        self._require(
            session_id in self._returned
            or before is None
            or before | {"timestamp": data["timestamp"]} != data
            or self._was_otherwise(session_id, before),
            "nothing has changed",
            message,
        )
        since = self._world.books[session_id].states[self._states_before.get(session_id, 1) - 1 :]
        self._require(
            any(state.session.status is not SessionStatus.STOPPED for state in since),
            "it was stopped before",
            message,
        )
        self._returned.discard(session_id)
        self.watched[session_id] = data
        self._figures_before[session_id] = len(self._world.books[session_id].figures)

    def _was_otherwise(self, session_id: int, told: dict[str, Any]) -> bool:
        """Whether figures that are again what was told have been others since."""
        since = self._world.books[session_id].figures[self._figures_before[session_id] :]
        return any(_figures_of(*each, told["timestamp"]) != told for each in since)

    def _comes_by_itself(self, session_id: int) -> bool:
        return session_id == self.session_id and "session_update" in self.types

    def _figures(self, session_id: int) -> dict[str, Any]:
        state = self._world.books[session_id].state
        unrealised_paise = state.unrealised_paise(self._world.quotes.get)
        return _figures_of(state, unrealised_paise, iso(self._world.now()))

    def _on_event(self, message: Message, json_: dict[str, Any]) -> None:
        self._require(json_["data"]["sessionId"] == self.session_id, "another session", message)
        if self.session_id is None:
            return
        self._require(json_["type"] in self.types, "a type that was not asked for", message)
        following = [e for e in self._book.events[self.position :] if e.kind in self.types]
        next_ = following[0] if following else None
        self._require(
            next_ is not None and message.text == next_.message,
            f"after {self.position} should come {next_ and next_.seq}",
            message,
        )
        self.position = json_["seq"]
        if json_["type"] == "trade_closed":
            self.pnls.pop(json_["data"]["tradeId"], None)

    def _on_figures(self, message: Message, json_: dict[str, Any]) -> None:
        data = json_["data"]
        self._require(data["sessionId"] == self.session_id, "another session", message)
        if self.session_id is None:
            return
        state = self._book.state
        self._require("session_update" in self.types, "a type that was not asked for", message)
        self._require(json_["seq"] == state.seq, f"the newest event is {state.seq}", message)
        self._require(not self._missing(), f"ahead of the events from {self.position} on", message)
        self._require(data == self._figures(self.session_id), "wrong figures", message)
        wanted = self.recovered if self.snapshot_pending else None
        self._require(json_.get("recovered") == wanted, f"recovered is not {wanted}", message)
        self.snapshot_pending = False
        self.position = json_["seq"]
        self.figures = data

    def _on_pnl(self, message: Message, data: dict[str, Any]) -> None:
        self._require(data["sessionId"] == self.session_id, "another session", message)
        if self.session_id is None:
            return
        self._require("pnl_update" in self.types, "a type that was not asked for", message)
        self._require(
            not ("session_update" in self.types and self.snapshot_pending),
            "P&L before the figures of the snapshot",
            message,
        )
        trade = self._book.state.open_trades.get(data["tradeId"])
        self._require(trade is not None, "the trade is not open", message)
        self._require(not self._missing(), f"ahead of the events from {self.position} on", message)
        at = iso(self._world.now())
        self._require(data["timestamp"] == at, f"it is {at}", message)
        if trade is not None:
            quote = self._world.quotes[trade.symbol]
            self._require(
                data["currentPrice"] == quote.price_e4 / 10_000, "not the newest price", message
            )
        self.pnls[data["tradeId"]] = data

    def _on_price(self, message: Message, data: dict[str, Any]) -> None:
        symbol = data["symbol"]
        self._require(symbol in self.symbols, "a symbol that was not asked for", message)
        told = self._world.told[symbol]
        now_ms = self._world.now()
        number = self._number(data)
        self._require(
            number == len(told) - 1 or told[number + 1][0] == now_ms, "an old price", message
        )
        before = self.prices.get(symbol)
        if before is not None:
            self._require(number >= self._number(before), "a price goes back", message)
            same = (data["price"], data["stale"]) == (before["price"], before["stale"])
            self._require(
                not (self.only_changes and same) or symbol in self._announced,
                "no change, although only changes were asked for",
                message,
            )
        self._announced.discard(symbol)
        self.prices[symbol] = data

    def check_caught_up(self) -> None:
        """Once everything has been taken and an interval has passed, the client knows all."""
        world, wrong = self._world, self._client.wrong
        state_of_feed = FeedState.LIVE if self.status is None else self.status["state"]
        if self._client.peer.subscribed and state_of_feed != world.status.state:
            wrong(f"the feed is {world.status.state}, not {state_of_feed}")
        for symbol in self.symbols & world.quotes.keys():
            if not self._knows_price(symbol):
                wrong(f"the last price of {symbol} has not arrived: {self.prices.get(symbol)}")
        if self.session_id is not None:
            self._check_session_caught_up()
        if self.watching:
            self._check_watch_caught_up()

    def _check_watch_caught_up(self) -> None:
        for session_id, book in self._world.books.items():
            got = self.watched.get(session_id)
            if self._comes_by_itself(session_id):
                continue
            if book.state.session.status is SessionStatus.STOPPED:
                # Of its changes after that nobody is told.
                knows = got is None or got["status"] == SessionStatus.STOPPED
            else:
                now = self._figures(session_id)
                knows = got is not None and got == now | {"timestamp": got["timestamp"]}
            if not knows:
                self._client.wrong(f"the last figures of {session_id} have not arrived: {got}")

    def _check_session_caught_up(self) -> None:
        world, wrong, state = self._world, self._client.wrong, self._book.state
        if missing := self._missing():
            wrong(f"events {[event.seq for event in missing]} have not arrived")
        unrealized = state.unrealised_paise(world.quotes.get) / 100
        if "session_update" in self.types and (
            self.figures is None or self.figures["unrealizedPnL"] != unrealized
        ):
            wrong(f"the last figures have not arrived: {self.figures}")
        priced = [trade for trade in state.open_trades.values() if trade.symbol in world.quotes]
        for trade in priced if "pnl_update" in self.types else ():
            got = self.pnls.get(trade.trade_id)
            price = world.quotes[trade.symbol].price_e4 / 10_000
            if got is None or got["currentPrice"] != price:
                wrong(f"the last P&L of {trade.trade_id} has not arrived: {got}")

    def _knows_price(self, symbol: str) -> bool:
        got, quote = self.prices.get(symbol), self._world.quotes[symbol]
        return got is not None and (got["price"], got["stale"]) == (
            quote.price_e4 / 10_000,
            quote.stale,
        )

    @property
    def _book(self) -> Book:
        assert self.session_id is not None
        return self._world.books[self.session_id]

    def _missing(self) -> list[Event]:
        """The events that the client should have by now."""
        return [e for e in self._book.events[self.position :] if e.kind in self.types]

    def _withheld(self) -> frozenset[str]:
        return EVENT_TYPES - self.types

    def _number(self, data: dict[str, Any]) -> int:
        """Which tick of its symbol a price is: their ``asOf`` count up."""
        return int(data["asOf"][-4:-1])

    def _require(self, holds: bool, why: str, message: Message) -> None:
        if not holds:
            self._client.wrong(f"{why}: {message.text} after {self.last_asked}")


def _figures_of(state: SessionState, unrealised_paise: int, timestamp: str) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(encode(session_data(state, unrealised_paise, 0)))
    return figures | {"timestamp": timestamp}
