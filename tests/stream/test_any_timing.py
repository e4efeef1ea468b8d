"""Whatever happens in whatever order: every client sees the truth, in order, once, and newest last.

The rules that each message must obey are in ``tests/stream/view.py``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from tests.stream.client import Client
from tests.stream.virtual import turns, virtually
from tests.stream.world import ALL_TYPES, World
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.stream import audience as audience_module
from vyomo_rt.stream import delivery, topics
from vyomo_rt.stream import log as log_module
from vyomo_rt.stream import overview as overview_module
from vyomo_rt.stream import pnl as pnl_module
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.commands import SubscribePrices, SubscribeSession, WatchSessions
from vyomo_rt.wire.frame import Framing

SESSIONS = (1, 2)
CLIENTS = 3
MAX_BEHIND = 7
LONGEST_INTERVAL_MS = 2000


@dataclass(frozen=True)
class Step:
    """Something that happens; ``what`` is a method of ``Play``."""

    what: str
    args: tuple[Any, ...] = ()


def step(what: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(*args).map(lambda values: Step(what, values))


sessions = st.sampled_from(SESSIONS)
clients = st.integers(0, CLIENTS - 1)
symbols = st.sampled_from(["A", "B", "C"])
intervals = st.sampled_from([None, 100, 200, 300])
some_types = st.none() | st.sets(st.sampled_from(sorted(ALL_TYPES)), min_size=1).map(sorted)
# Counted back from the newest event: at it, ahead of it, within reach and too far behind.
behind = st.none() | st.integers(-2, MAX_BEHIND + 3)
epochs = st.sampled_from([None, None, "right", "wrong"])
places = st.tuples(behind, epochs)

steps = st.one_of(
    step("wait", st.sampled_from([1, 50, 100, 250])),
    step("to_beat"),
    step("turns", st.integers(1, 4)),
    step("open_trades", sessions, symbols, st.sampled_from([1, 1, 2, 6])),
    step("open_trades", sessions, symbols, st.just(1)),
    step("close_trade", sessions),
    step("change_status", sessions, st.sampled_from(sorted(set(SessionStatus) - {"STOPPED"}))),
    step("bear"),
    step("stop_youngest"),
    step("tick", symbols, st.integers(95, 99), st.booleans()),
    step("tick", symbols, st.integers(95, 99), st.just(value=False)),
    step("change_feed", st.sampled_from(FeedState)),
    step("block", clients, st.sampled_from([0, 0, 100, 700])),
    step("block", clients, st.just(0)),
    step("take", clients, st.sampled_from([None, None, 1, 300, 900])),
    step("store", st.booleans(), st.integers(0, 3), st.integers(1, 5)),
    step("subscribe_session", clients, sessions, places, some_types, intervals),
    step("subscribe_session", clients, sessions, places, some_types, intervals),
    step(
        "subscribe_prices",
        clients,
        st.lists(st.sampled_from(["A", "B", "C", "X"]), max_size=3),
        intervals,
        st.sampled_from([None, True, False]),
    ),
    step("unsubscribe_session", clients),
    step("unsubscribe_prices", clients, st.none() | st.lists(symbols, max_size=2)),
    step("watch_sessions", clients, intervals),
    step("unwatch_sessions", clients),
    step(
        "reconnect",
        clients,
        sessions,
        places,
        some_types,
        st.tuples(st.lists(symbols, max_size=2), st.booleans()),
    ),
)


class Play:
    """A world with a few clients, of both framings and both kinds of sockets."""

    def __init__(self) -> None:
        self.world = World(max_events_behind=MAX_BEHIND)
        for session_id in SESSIONS:
            self.world.add_session(session_id, events=3 * session_id)
        self.world.tick("A", 97)
        self.everybody: list[Client] = []
        self.clients = [self._client(Framing.WS, index) for index in range(CLIENTS)]
        self.opening: set[asyncio.Task[bool]] = set()

    async def run(self, step_: Step) -> None:
        result = getattr(self, step_.what)(*step_.args)
        if asyncio.iscoroutine(result):
            await result

    async def end(self) -> None:
        """Wait for everybody's beat, then let all read: no further beat may be needed."""
        self.world.store_away = False
        await self.wait(LONGEST_INTERVAL_MS)
        for client in self.clients:
            self.take(client, None)
            await turns(50)
        if self.opening:
            await asyncio.wait(self.opening)
        for client in self.clients:
            if not client.closed:
                client.view.check_caught_up()
            elif client.closed_with not in {CloseCode.SLOW, None}:
                client.wrong(f"closed with {client.closed_with}")
            client.leave()
        self.world.check_totals()
        for client in self.everybody:
            if client.peer.messages != client.delivered:
                client.wrong(f"{client.peer.messages} counted, {client.delivered} delivered")

    # -- steps -------------------------------------------------------------------

    async def wait(self, ms: int) -> None:
        await self.world.wait(ms)

    async def turns(self, count: int) -> None:
        await turns(count)

    async def to_beat(self) -> None:
        """Right into the next beat, whose slices take turns with what follows."""
        await self.world.beating.wait()

    def open_trades(self, session_id: int, symbol: str, count: int) -> None:
        for _ in range(count):
            self.world.open_trade(session_id, symbol)

    def close_trade(self, session_id: int) -> None:
        self.world.close_trade(session_id)

    def change_status(self, session_id: int, status: SessionStatus) -> None:
        self.world.change_status(session_id, status)

    def bear(self) -> None:
        """A session is made while others are watched."""
        session_id = max(self.world.books) + 1
        self.world.bear_session(session_id)
        self.world.open_trade(session_id)

    def stop_youngest(self) -> None:
        session_id = max(self.world.books)
        if session_id not in SESSIONS and self.world.close_trade(session_id):
            self.world.change_status(session_id, SessionStatus.STOPPED)

    def tick(self, symbol: str, price: int, stale: bool) -> None:
        self.world.tick(symbol, price, stale=stale)

    def change_feed(self, state: FeedState) -> None:
        self.world.change_feed(state)

    def store(self, away: bool, delay_turns: int, page_size: int) -> None:
        self.world.store_away = away
        self.world.store_delay_turns = delay_turns
        self.world.page_size = page_size

    def block(self, client: int, room: int) -> None:
        """The client stops to read: the socket takes only so much more."""
        self.clients[client].wire.room = room

    def take(self, client: int | Client, room: int | None) -> None:
        chosen = self.clients[client] if isinstance(client, int) else client
        if not chosen.closed:
            chosen.wire.take(room)

    def subscribe_session(
        self,
        client: int,
        session_id: int,
        place: tuple[int | None, str | None],
        types: list[str] | None,
        interval: int | None,
    ) -> None:
        if self.clients[client].framing is Framing.WS:
            self.clients[client].send(
                "subscribe_session",
                sessionId=session_id,
                **self._position(session_id, place),
                types=types,
                updateInterval=interval,
            )

    def subscribe_prices(
        self, client: int, names: list[str], interval: int | None, only_changes: bool | None
    ) -> None:
        if self.clients[client].framing is Framing.WS:
            self.clients[client].send(
                "subscribe_prices", symbols=names, priceInterval=interval, onlyChanges=only_changes
            )

    def unsubscribe_session(self, client: int) -> None:
        if self.clients[client].framing is Framing.WS:
            self.clients[client].send("unsubscribe_session")

    def unsubscribe_prices(self, client: int, names: list[str] | None) -> None:
        if self.clients[client].framing is Framing.WS:
            named = {} if names is None else {"symbols": names}
            self.clients[client].send("unsubscribe_prices", **named)

    def watch_sessions(self, client: int, interval: int | None) -> None:
        if self.clients[client].framing is Framing.WS:
            self.clients[client].send("watch_sessions", updateInterval=interval)

    def unwatch_sessions(self, client: int) -> None:
        if self.clients[client].framing is Framing.WS:
            self.clients[client].send("unwatch_sessions")

    def reconnect(
        self,
        client: int,
        session_id: int,
        place: tuple[int | None, str | None],
        types: Any,
        more: tuple[list[str], bool],
    ) -> None:
        """The connection is lost; the client comes back on the other transport."""
        old = self.clients[client]
        old.leave()
        framing = Framing.SSE if old.framing is Framing.WS else Framing.WS
        new = self.clients[client] = self._client(framing, client)
        if framing is Framing.SSE:
            names, watches = more
            session = SubscribeSession(
                session_id=session_id, **self._position(session_id, place), types=types
            )
            prices = SubscribePrices(symbols=names, price_interval=100) if names else None
            watch = WatchSessions(update_interval=100) if watches else None
            task = asyncio.ensure_future(new.open_stream(session, prices, watch))
            self.opening.add(task)
            task.add_done_callback(self.opening.discard)

    def _client(self, framing: Framing, index: int) -> Client:
        self.everybody.append(Client(self.world, framing, eager=index % 2 == 0))
        return self.everybody[-1]

    def _position(self, session_id: int, place: tuple[int | None, str | None]) -> dict[str, Any]:
        behind_, epoch = place
        since = None if behind_ is None else max(0, self.world.books[session_id].seq - behind_)
        return {"since": since, "epoch": f"epoch{session_id}" if epoch == "right" else epoch}


stories = st.lists(steps, min_size=25, max_size=60)
THERE_AND_BACK = [
    *(Step("open_trades", (1, "A", 1)), Step("watch_sessions", (0, 100))),
    *(Step("watch_sessions", (1, 300)), Step("wait", (250,)), Step("wait", (250,))),
    *(Step("tick", ("A", price, False)) if price else Step("to_beat") for price in (96, 0, 97, 0)),
    *(Step("tick", ("A", price, False)) if price else Step("to_beat") for price in (96, 0, 97, 0)),
]
"""Figures that change and are as before once the slower watcher's interval has passed."""


@settings(deadline=None, max_examples=100)
@given(stories)
@example(THERE_AND_BACK)
def test_every_client_sees_every_event_once_in_order_and_the_newest_state_in_the_end(
    story: list[Step],
) -> None:
    """Also: no figures ahead of their events, no P&L outside a trade's life, nothing goes back."""
    require_no_wrongs(story)


@pytest.mark.slow(55)
@pytest.mark.timeout(600)
@settings(deadline=None, max_examples=1500)
@given(stories)
def test_every_client_sees_all_of_many_more_stories(story: list[Step]) -> None:
    require_no_wrongs(story)


def require_no_wrongs(story: list[Step]) -> None:
    async def tell() -> list[str]:
        play = Play()
        async with play.world.running():
            for step_ in story:
                await play.run(step_)
                for client in play.clients:
                    require_small(client)
            await play.end()
        return play.world.wrongs

    # Small pieces and slices, so that what follows comes in between.
    with (
        patch.object(delivery, "_DRAIN_BYTES", 300),
        patch.object(log_module, "_TRIM_AT_ONCE", 3),
        # Room for about seven events: readers have to go back to the store in between.
        patch.object(topics, "MAX_BYTES", 6000),
        patch.object(audience_module, "SLICE", 1),
        patch.object(pnl_module, "PAGE", 2),
        patch.object(overview_module, "PAGE", 1),
    ):
        wrongs = virtually(tell())
    if wrongs:
        for told in story:
            note(f"{told.what}{told.args}")
    assert not wrongs


def require_small(client: Client) -> None:
    """What a peer holds depends on what it subscribed to, not on what it has missed."""
    peer = client.peer
    assert peer.due_prices <= set(peer.symbols)
    assert peer.due_watched <= set(SESSIONS)
    assert set(peer.seen or ()) <= {"A", "B", "C"}
    of_its_subscription = {"due_prices", "seen", "keep_alive"}
    held = [getattr(peer, name) for name in peer.__slots__ if name not in of_its_subscription]
    queues = [value for value in held if isinstance(value, list | dict | set | bytes | bytearray)]
    assert not queues
