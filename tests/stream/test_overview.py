"""All sessions at once: what a watcher is told, when, and what it costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from tests.stream.client import Client
from tests.stream.virtual import turns
from tests.stream.world import World
from vyomo_rt.domain.errors import Unauthorized
from vyomo_rt.domain.grant import Grant, Role
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.stream import overview as overview_module
from vyomo_rt.stream.rights import Authority
from vyomo_rt.wire.commands import SubscribeSession, WatchSessions
from vyomo_rt.wire.frame import Framing
from vyomo_rt.wire.session import watched_update

MINE, NAMED, FOREIGN = 1, 2, 3


@asynccontextmanager
async def world_of(count: int, *, on_symbol: str = "A", **more: Any) -> AsyncIterator[World]:
    """So many sessions, each with an open trade that is worth the same."""
    world = World(**more)
    world.tick(on_symbol, 100)
    for session_id in range(1, count + 1):
        world.add_session(session_id)
        world.open_trade(session_id, on_symbol)
    async with world.running():
        yield world
    assert world.wrongs == []


async def watcher(world: World, **fields: Any) -> Client:
    """A client that has got what comes at once."""
    client = Client(world)
    await client.ask("watch_sessions", **fields)
    await turns(10)
    client.take_all()
    return client


def told(client: Client) -> list[int]:
    """The sessions whose figures have come since the last call."""
    return [m["data"]["sessionId"] for m in client.take_all() if m["type"] == "session_update"]


async def interval(world: World, ms: int = 2000) -> None:
    await world.wait(ms + 1)
    await turns(10)


async def test_figures_of_all_sessions_that_are_not_stopped_come_at_once_without_a_position() -> (
    None
):
    async with world_of(3) as world:
        world.close_trade(2)
        world.change_status(2, SessionStatus.STOPPED)
        client = Client(world)
        ack = await client.ask("watch_sessions", updateInterval=590)
        await turns(3)
        assert (ack["result"]["watching"], ack["result"]["watchInterval"]) == (True, 500)
        assert ack["result"]["sessionId"] is None
        _, *messages = client.take_all()
        assert [m["data"]["sessionId"] for m in messages] == [1, 3]
        assert not any("seq" in m for m in messages)


async def test_then_only_sessions_whose_figures_changed_come_once_an_interval() -> None:
    async with world_of(5) as world:
        client = await watcher(world)
        await interval(world)
        assert told(client) == []
        world.open_trade(4)
        world.close_last(4)
        world.change_status(2, SessionStatus.PAUSED)
        await interval(world)
        assert sorted(told(client)) == [2, 4]
        await interval(world, 6000)
        assert told(client) == []


async def test_a_price_concerns_the_sessions_that_have_trades_in_it_and_a_returned_one_none() -> (
    None
):
    async with world_of(3) as world:
        world.open_trade(2, "B")
        world.tick("B", 100)
        client = await watcher(world)
        world.tick("B", 101)
        await interval(world)
        assert told(client) == [2]
        world.tick("B", 99)
        world.tick("B", 101)
        await interval(world)
        assert told(client) == []
        world.close_last(2)
        await interval(world)
        client.take_all()
        world.tick("B", 105)
        await interval(world)
        assert told(client) == []


async def test_an_event_that_changes_no_figure_is_not_told() -> None:
    async with world_of(2) as world:
        client = await watcher(world)
        book = world.books[1]
        world.change_status(1, book.state.session.status)
        await interval(world)
        assert told(client) == []


async def test_a_session_that_is_made_comes_and_one_that_is_stopped_once_more() -> None:
    async with world_of(2) as world:
        client = await watcher(world)
        world.bear_session(9)
        await interval(world)
        assert told(client) == [9]
        world.change_status(9, SessionStatus.STOPPED)
        late = await watcher(world)
        await interval(world)
        [update] = client.take_all()
        assert (update["data"]["sessionId"], update["data"]["status"]) == (9, "STOPPED")
        assert told(late) == []
        await interval(world)
        assert told(client) == []
        assert 9 not in world.hub.overview._shown


async def test_the_subscribed_session_comes_from_its_own_stream_alone_and_back_afterwards() -> None:
    async with world_of(3) as world:
        client = await watcher(world)
        await client.ask("subscribe_session", sessionId=2)
        client.take_all()
        world.tick("A", 101)
        await interval(world)
        updates = [m for m in client.take_all() if m["type"] == "session_update"]
        assert sorted((m["data"]["sessionId"], m.get("seq")) for m in updates) == [
            (1, None),
            (2, 1),
            (3, None),
        ]
        world.tick("A", 102)
        await client.ask("unsubscribe_session")
        assert told(client) == [2], "of the newest price, though no beat has looked at it"
        await interval(world)
        assert sorted(told(client)) == [1, 3]
        world.tick("A", 103)
        await interval(world)
        assert sorted(told(client)) == [1, 2, 3]


async def test_a_subscription_without_its_figures_takes_none_from_the_overview() -> None:
    async with world_of(2) as world:
        client = await watcher(world)
        await client.ask("subscribe_session", sessionId=2, types=["trade_opened"])
        world.tick("A", 101)
        await interval(world)
        assert sorted(told(client)) == [1, 2]


async def test_unwatching_ends_it_any_number_of_times_and_keeps_the_interval() -> None:
    async with world_of(2) as world:
        client = await watcher(world, updateInterval=300)
        for _ in range(2):
            ack = await client.ask("unwatch_sessions")
            assert (ack["result"]["watching"], ack["result"]["watchInterval"]) == (False, 300)
        client.take_all()
        world.tick("A", 101)
        await interval(world)
        assert client.take_all() == []
        overview = world.hub.overview
        assert not any((overview._shown, overview._holders, overview._views, overview._unseen))
        assert (await client.ask("watch_sessions"))["result"]["watchInterval"] == 300


async def test_an_event_stream_carries_them_without_ids() -> None:
    async with world_of(2) as world:
        client = Client(world, Framing.SSE)
        await client.open_stream(None, None, WatchSessions(update_interval=100))
        await turns(3)
        ack, *updates = client.received
        assert (ack.json["result"]["watching"], ack.id) == (True, None)
        assert [(m.event, m.id) for m in updates] == [("session_update", None)] * 2


async def test_a_slow_reader_is_owed_the_newest_of_each_and_no_memory() -> None:
    async with world_of(200) as world:
        client = await watcher(world, updateInterval=100)
        client.wire.room = 0
        for price in range(101, 140):
            world.tick("A", price)
            await interval(world, 100)
        first = told(client)
        assert client.peer.paused
        assert len(first) == overview_module.PAGE
        client.wire.take(None)
        await interval(world, 1)
        newest: dict[int, Any] = {}
        rest = client.take_all()
        for message in rest:
            assert message["data"]["unrealizedPnL"] == 390
            newest[message["data"]["sessionId"]] = message
        assert (len(rest), len(newest)) == (200, 200)


async def test_a_page_is_written_at_a_time_and_other_messages_come_in_between() -> None:
    async with world_of(1000) as world:
        client = Client(world)
        writes: list[int] = []
        write = client.peer.write

        def measured(data: bytes) -> None:
            writes.append(len(data))
            write(data)

        client.peer.write = measured
        await client.ask("subscribe_prices", symbols=["A"])
        await client.ask("watch_sessions")
        await turns(40)
        assert len(told(client)) == 1000
        assert max(writes) < 32 * 1024


async def test_figures_are_encoded_once_for_all_that_have_the_same_rights() -> None:
    async with world_of(50) as world:
        clients = [await watcher(world, updateInterval=200) for _ in range(20)]
        made = 0
        original = watched_update

        def count(*args: Any) -> Any:
            nonlocal made
            made += 1
            return original(*args)

        with patch.object(overview_module, "watched_update", count):
            world.tick("A", 101)
            await interval(world, 200)
        assert made == 50
        assert all(len(told(client)) == 50 for client in clients)


async def test_what_has_not_changed_costs_its_watcher_nothing() -> None:
    async with world_of(500) as world:
        world.open_trade(7, "B")
        world.tick("B", 100)
        client = await watcher(world, updateInterval=100)
        looked: list[int] = []
        overview = world.hub.overview
        original = overview._look

        def look(session_id: int) -> Any:
            looked.append(session_id)
            return original(session_id)

        with patch.object(overview, "_look", look):
            for price in range(101, 111):
                world.tick("B", price)
                await interval(world, 100)
        assert set(looked) == {7}
        assert told(client) == [7] * 10


def limited(sessions: set[int], role: Role = Role.VIEWER) -> Grant:
    return Grant("asha", role, frozenset(sessions), None)


def own(world: World, session_id: int, owner: str) -> None:
    book = world.books[session_id]
    state = book.state
    book.states[-1] = replace(state, session=replace(state.session, owner=owner))


async def test_a_limited_grant_sees_what_it_names_and_what_its_subject_made() -> None:
    async with world_of(3) as world:
        own(world, MINE, "asha")
        own(world, FOREIGN, "ravi")
        client = Client(world)
        client.peer.grant = limited({NAMED})
        await client.ask("watch_sessions", updateInterval=100)
        await turns(3)
        assert told(client) == [MINE, NAMED]
        everything = await watcher(world, updateInterval=100)
        world.tick("A", 101)
        world.bear_session(FOREIGN + 1)
        await interval(world, 100)
        assert sorted(told(client)) == [MINE, NAMED]
        assert sorted(told(everything)) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("new", "sees"), [({NAMED}, [NAMED]), ({NAMED, FOREIGN}, [NAMED, FOREIGN]), (set(), [])]
)
async def test_changed_rights_act_at_once_on_what_is_watched(
    new: set[int], sees: list[int]
) -> None:
    async def grant(_token: str, _peer: object) -> Grant:
        return limited(new)

    authority = Authority(grant, lambda _: True, lambda *_: None)
    async with world_of(3, authority=authority) as world:
        client = Client(world)
        client.peer.grant = limited({MINE, NAMED})
        await client.ask("watch_sessions", updateInterval=100)
        await client.ask("auth", token="another")
        await turns(5)
        client.take_all()
        world.tick("A", 101)
        await interval(world, 100)
        assert sorted(told(client)) == sees


async def test_the_same_rights_again_repeat_nothing() -> None:
    async def grant(_token: str, _peer: object) -> Grant:
        return limited({MINE, NAMED})

    authority = Authority(grant, lambda _: True, lambda *_: None)
    async with world_of(3, authority=authority) as world:
        client = Client(world)
        client.peer.grant = limited({MINE, NAMED})
        await client.ask("watch_sessions")
        await turns(3)
        client.take_all()
        await client.ask("auth", token="another")
        await interval(world)
        assert told(client) == []


async def test_a_stranger_may_not_watch() -> None:
    world = World()
    client = Client(world)
    client.peer.grant = Grant.NOTHING
    world.commands.receive(client.peer, json.dumps({"type": "watch_sessions", "id": 1}))
    assert client.received[-1].json["code"] == Unauthorized.code
    assert not client.peer.subscribed


async def test_two_intervals_each_get_what_has_changed_since_their_own_last_beat() -> None:
    async with world_of(2) as world:
        fast = await watcher(world, updateInterval=100)
        slow = await watcher(world, updateInterval=1000)
        await world.wait(1000 - (asyncio.get_running_loop().time() * 1000) % 1000)
        await turns(5)
        for client in (fast, slow):
            client.take_all()
        for price in (101, 102, 103):
            world.tick("A", price)
            await interval(world, 100)
        assert sorted(told(fast)) == [1, 1, 1, 2, 2, 2]
        assert told(slow) == []
        await interval(world, 700)
        assert sorted(told(slow)) == [1, 2]


async def test_a_session_and_all_others_can_be_asked_for_by_one_event_stream() -> None:
    async with world_of(2) as world:
        client = Client(world, Framing.SSE)
        await client.open_stream(SubscribeSession(session_id=1), None, WatchSessions())
        await turns(5)
        updates = [m for m in client.received if m.type == "session_update"]
        assert [(m.json["data"]["sessionId"], m.id is None) for m in updates] == [
            (1, False),
            (2, True),
        ]
