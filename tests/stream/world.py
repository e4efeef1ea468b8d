"""The rooms around the streams, small enough to know all of the truth, and clients on fake sockets.

Every message is checked against the truth in the moment when it is written; what
is wrong with it goes to ``World.wrongs``, which a test asserts to be empty.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.kit.events import session_event, trade_event
from tests.kit.messages import Message, read_events, read_frames
from vyomo_rt.clockwork import Clockwork
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.errors import Unavailable, VyomoError
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.moment import Clocks, iso, trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import FeedState, FeedStatus, Quote
from vyomo_rt.domain.session import Session, SessionStatus
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.domain.trade import Exit, ExitReason, Trade
from vyomo_rt.stream.beats import SLOT_MS
from vyomo_rt.stream.commands import Commands
from vyomo_rt.stream.hub import Hub
from vyomo_rt.stream.peer import Peer
from vyomo_rt.stream.sources import Sources
from vyomo_rt.wire import messages
from vyomo_rt.wire.commands import SubscribePrices, SubscribeSession
from vyomo_rt.wire.frame import Framing

START_MS = 1_790_000_000_000
EVENT_TYPES = frozenset(("trade_opened", "trade_closed", "session_changed"))
ALL_TYPES = frozenset(("session_update", "pnl_update")) | EVENT_TYPES
RETRY_MS = 3000


@dataclass
class Book:
    """A session's true history: every event, and the state after each."""

    states: list[SessionState]
    events: list[Event] = field(default_factory=list)

    @property
    def state(self) -> SessionState:
        return self.states[-1]

    @property
    def seq(self) -> int:
        return self.state.seq


class World:
    """Sessions, prices and a store, with a hub that is told of them as the real ones tell it."""

    def __init__(self, *, max_events_behind: int = 10_000, max_symbols: int = 500) -> None:
        self.max_events_behind = max_events_behind
        self.wrongs: list[str] = []
        self.books: dict[int, Book] = {}
        self.quotes: dict[str, Quote] = {}
        self.doubts: dict[str, Quote] = {}
        """Prices that are shown in place of those that count."""
        self.refusals: dict[str, str] = {}
        self.demand = Demand()
        self.told: dict[str, list[tuple[int, Quote]]] = {}
        self.delivered: Counter[tuple[str, Framing]] = Counter()
        self.status = FeedStatus("test", FeedState.LIVE, "prices are coming in", START_MS)
        self.store_away = False
        self.store_delay_turns = 0
        self.page_size = 500
        self.pages_read: list[tuple[int, int]] = []
        self.beating = asyncio.Event()
        self._status_told = self.status
        self._trade_ids = 0
        clocks = Clocks.live(self.now)
        self.hub = Hub(
            Sources(
                state=lambda session_id: (
                    book.state if (book := self.books.get(session_id)) else None
                ),
                history=self._history,
                quote=lambda symbol: self.doubts.get(symbol) or self.quotes.get(symbol),
                confirmed=self.quotes.get,
                refusal=self.refusals.get,
                demand=self.demand,
                market_now=clocks.market,
                knows=lambda symbol: not symbol.startswith("X"),
                feed_status=lambda: self._status_told,
            ),
            now=clocks.wall,
            max_events_behind=max_events_behind,
            max_symbols=max_symbols,
        )
        self.clock = Clockwork(clocks.market)
        self.commands = Commands(self.hub)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What comes round by itself; a turn that fails is wrong."""
        watcher = _Watcher(self.wrongs)
        logger = logging.getLogger("vyomo_rt.clockwork")
        logger.addHandler(watcher)
        self.clock.add("the feed's state", SLOT_MS, self._tell_feed_status)
        self.clock.add("the sessions' beat", SLOT_MS, self.hub.topics.beat)
        self.clock.add("the prices' beat", SLOT_MS, self.hub.prices.beat)
        beats = asyncio.create_task(self.clock.run())
        try:
            yield
        finally:
            beats.cancel()
            await asyncio.wait([beats])
            logger.removeHandler(watcher)

    def now(self) -> int:
        return START_MS + round(asyncio.get_running_loop().time() * 1000)

    async def wait(self, ms: float) -> None:
        await asyncio.sleep(ms / 1000)

    # -- what happens ------------------------------------------------------------

    def add_session(self, session_id: int, *, events: int = 0) -> Book:
        """A session, with events that happened before anybody watched."""
        session = Session(
            session_id=session_id,
            name="Test",
            starting_capital_paise=5_000_000,
            created_at_ms=START_MS,
            epoch=f"epoch{session_id}",
        )
        self.books[session_id] = Book([state_of(session, Figures(), trading_day(START_MS))])
        for number in range(events):
            if number % 2:
                self.close_trade(session_id)
            else:
                self.open_trade(session_id, "A")
        return self.books[session_id]

    def open_trade(self, session_id: int, symbol: str = "A") -> Event:
        self._trade_ids += 1
        trade = Trade(
            trade_id=self._trade_ids,
            session_id=session_id,
            symbol=symbol,
            side=Side.BUY,
            quantity=10,
            entry_price_e4=1_000_000,
            stop_loss_e4=None,
            target_e4=None,
            opened_at_ms=self.now(),
        )
        return self._record(trade_event(trade, self.books[session_id].seq + 1))

    def close_trade(self, session_id: int) -> Event | None:
        """Close the oldest open trade, if there is one."""
        open_trades = self.books[session_id].state.open_trades
        return self._close(min(open_trades.values(), key=_trade_id)) if open_trades else None

    def close_last(self, session_id: int) -> Event:
        """Close the newest open trade."""
        return self._close(max(self.books[session_id].state.open_trades.values(), key=_trade_id))

    def _close(self, trade: Trade) -> Event:
        closed = trade.closed(Exit(1_010_000, ExitReason.MANUAL, self.now()))
        return self._record(trade_event(closed, self.books[trade.session_id].seq + 1))

    def change_status(self, session_id: int, status: SessionStatus) -> None:
        book = self.books[session_id]
        standing = replace(book.state.session.standing, status=status)
        self._record(session_event(session_id, book.seq + 1, standing, self.now()))

    def tick(self, symbol: str, price: int, *, stale: bool = False) -> None:
        """A price; every tick has an ``asOf`` of its own, later than those before."""
        told = self.told.setdefault(symbol, [])
        quote = Quote(symbol, price * 10_000, START_MS + len(told), "test", stale)
        told.append((self.now(), quote))
        self.quotes[symbol] = quote
        self.hub.on_quote(quote)

    def change_feed(self, state: FeedState) -> None:
        """The feed's state; it is noticed, and told, before the next beat."""
        self.status = replace(self.status, state=state, since_ms=self.status.since_ms + 1)

    def check_totals(self) -> None:
        """What the hub counted is what clients got, by type and transport."""
        counted = {
            (sample.labels["type"], Framing[sample.labels["transport"].upper()]): int(sample.value)
            for metric in self.hub.traffic.collect()
            for sample in metric.samples
            if sample.name == "vyomo_rt_messages_total" and sample.value
        }
        if counted != dict(self.delivered):
            self.wrongs.append(f"counted {counted}, delivered {dict(self.delivered)}")

    # -- the rooms' side ---------------------------------------------------------

    def _record(self, event: Event) -> Event:
        book = self.books[event.session_id]
        book.events.append(event)
        book.states.append(book.state.after(event))
        self.hub.publish_event(event, book.state)
        return event

    async def _history(self, session_id: int, after: int, upto: int) -> Sequence[Event]:
        self.pages_read.append((after, upto))
        for _ in range(self.store_delay_turns):
            await asyncio.sleep(0)
        if self.store_away:
            raise Unavailable("the store is away")
        return self.books[session_id].events[after : min(upto, after + self.page_size)]

    async def _tell_feed_status(self) -> None:
        self.beating.set()
        self.beating.clear()
        if self.status != self._status_told:
            self._status_told = self.status
            await self.hub.publish_feed_status(self.status)


def _trade_id(trade: Trade) -> int:
    return trade.trade_id


class _Watcher(logging.Handler):
    def __init__(self, wrongs: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._wrongs = wrongs

    def emit(self, record: logging.LogRecord) -> None:
        self._wrongs.append(f"{record.getMessage()}: {record.exc_info}")


class Wire:
    """A socket that takes as much as a test lets it.

    ``eager`` pauses its writer inside the write that does not fit, as asyncio's
    transport does; otherwise it does so a turn of the loop later, as uvloop's.
    """

    def __init__(self, client: Client, *, eager: bool) -> None:
        self.room: int | None = None
        self.paused = False
        self.buffered = 0
        self.settled = False
        self._client = client
        self._eager = eager
        self._pausing = False

    def write(self, data: bytes) -> None:
        client = self._client
        if client.peer.closed:
            client.wrong("something was written after the end")
        if self.paused and self.settled and not client.answering:
            client.wrong(f"{len(data)} bytes were written while the socket takes nothing")
        taken = len(data) if self.room is None else min(self.room, len(data))
        if self.room is not None:
            self.room -= taken
        self.buffered += len(data) - taken
        client.got(data)
        if self.buffered and not self.paused and not self._pausing:
            if self._eager:
                self._pause()
            else:
                self._pausing = True
                asyncio.get_running_loop().call_soon(self._pause)

    def take(self, room: int | None) -> None:
        """The client reads: so many bytes, or all that will ever come."""
        self.room = room
        taken = self.buffered if room is None else min(room, self.buffered)
        self.buffered -= taken
        if self.room is not None:
            self.room -= taken
        if self.paused and not self.buffered:
            self.paused = False
            self._client.resume()

    def _pause(self) -> None:
        self._pausing = False
        if self.buffered:
            self.paused, self.settled = True, False
            # What is being written in this very moment may go on until it is done.
            asyncio.get_running_loop().call_soon(self._settle)
            self._client.world.hub.delivery.pause(self._client.peer)

    def _settle(self) -> None:
        self.settled = self.paused


class WirePeer(Peer):
    """The server's end of a client's wire."""

    def __init__(self, client: Client) -> None:
        super().__init__(
            f"{id(client):x}", client.framing, client.world.hub.traffic, client.wire.write
        )
        self._client = client

    def close(self, code: int, _reason: str) -> None:
        self._client.on_close(code)

    def buffered_bytes(self) -> int:
        return self._client.wire.buffered


class Client:
    """A connection, what it got, and a model of what it may get next."""

    def __init__(self, world: World, framing: Framing = Framing.WS, *, eager: bool = True) -> None:
        self.world = world
        self.framing = framing
        self.wire = Wire(self, eager=eager)
        self.peer = WirePeer(self)
        self.received: list[Message] = []
        self.delivered = 0
        self.closed_with: int | None = None
        self.view = View(self)
        self._inbox: deque[dict[str, Any]] = deque()
        self._pending: asyncio.Future[bool] | None = None
        self._sent = 0
        world.hub.enter(self.peer)

    # -- asking ------------------------------------------------------------------

    def send(self, type_: str, **fields: Any) -> int:
        """Send a command, which waits its turn as in a connection; returns its id."""
        self._sent += 1
        self._inbox.append({"type": type_, "id": self._sent} | fields)
        self._run_inbox()
        return self._sent

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        id_ = self.send(type_, **fields)
        for _ in range(1000):
            for message in self.received:
                if message.json.get("id") == id_:
                    return message.json
            await asyncio.sleep(0)
        raise AssertionError(f"no answer to {fields}")

    async def open_stream(
        self, session: SubscribeSession | None, prices: SubscribePrices | None = None
    ) -> bool:
        """What the SSE endpoint does with a query; False if the store or the client is away."""
        commands, hub = self.world.commands, self.world.hub
        if session is None:
            self.view.asked({"type": "open", "since": None, "epoch": None})
            commands.open_stream(self.peer, None, prices, RETRY_MS)
            return True
        with hub.topics.using(session.session_id) as topic:
            try:
                await hub.subscriptions.load(session, topic)
            except VyomoError:
                return False
            if self.closed:
                return False
            self.view.asked({"type": "open", "since": session.since, "epoch": session.epoch})
            commands.open_stream(self.peer, (session, topic), prices, RETRY_MS)
            return True

    def leave(self) -> None:
        """The connection is lost."""
        self.world.hub.leave(self.peer)

    def resume(self) -> None:
        self.world.hub.delivery.resume(self.peer)
        self._run_inbox()

    def _run_inbox(self) -> None:
        while self._inbox and self._pending is None and not self.peer.paused and not self.closed:
            command = self._inbox.popleft()
            self.view.asked(command)
            outcome = self.world.commands.receive(self.peer, json.dumps(command))
            if isinstance(outcome, Awaitable):
                self._pending = asyncio.ensure_future(outcome)
                self._pending.add_done_callback(self._pending_done)

    def _pending_done(self, pending: asyncio.Future[bool]) -> None:
        self._pending = None
        pending.result()
        self._run_inbox()

    # -- getting -----------------------------------------------------------------

    @property
    def answering(self) -> bool:
        """Whether a command is still being carried out: its one answer may come at any time."""
        return self._pending is not None

    @property
    def closed(self) -> bool:
        return self.peer.closed

    def got(self, data: bytes) -> None:
        read = read_frames if self.framing is Framing.WS else read_events
        for message in read(data):
            name = "server_error" if message.type == "error" else message.type
            self.world.delivered[name, self.framing] += 1
            self.delivered += 1
            self.received.append(message)
            self.view.check(message)

    def take_all(self) -> list[dict[str, Any]]:
        """What has come since the last call."""
        found = [message.json for message in self.received]
        self.received.clear()
        return found

    def types(self) -> list[str]:
        """The types of what has come since the last call."""
        return [message["type"] for message in self.take_all()]

    def wrong(self, why: str) -> None:
        self.world.wrongs.append(f"{self.framing.name} {why}")

    def on_close(self, code: int) -> None:
        self.closed_with = code
        self.world.hub.leave(self.peer)


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
                self._on_figures(message, json_)
            case "pnl_update":
                self._on_pnl(message, json_["data"])
            case "price_update":
                self._on_price(message, json_["data"])
            case "feed_status":
                self.status = json_["data"]
            case "error":
                allowed = {"unavailable", "not_found", "bad_request", "limit_exceeded"}
                self._require(json_["code"] in allowed, "an unexpected error", message)
        has_id = json_["type"] in {"session_update", *EVENT_TYPES} or (
            json_["type"] == "ack" and self.session_id is not None
        )
        if message.event is not None:
            wanted = f"{self.session_id}-{self.position}-epoch{self.session_id}" if has_id else None
            self._require(message.id == wanted, f"id: should be {wanted}", message)

    def _on_ack(self, message: Message, result: dict[str, Any]) -> None:
        asked = self.last_asked
        self._require(message.json.get("id") == asked.get("id"), "an ack to nobody", message)
        opening = asked["type"] == "open"
        if opening or asked["type"].startswith("subscribe"):
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
        figures = messages.session_data(
            state, state.unrealised_paise(self._world.quotes.get), self._world.now()
        )
        self._require(data == json.loads(messages.encode(figures)), "wrong figures", message)
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
