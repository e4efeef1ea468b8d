"""The replay of a session's events: from memory, from the store, and what happens meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from tests.stream.client import Client
from tests.stream.virtual import turns
from tests.stream.world import SESSION, kinds, session_world, topic_of
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.stream import delivery, topics
from vyomo_rt.stream import log as log_module
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.commands import SubscribePrices, SubscribeSession
from vyomo_rt.wire.frame import Framing


async def test_a_replay_that_fills_the_socket_leaves_the_figures_for_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "_DRAIN_BYTES", 600)
    async with session_world(events=20) as world:
        client = Client(world)
        client.wire.room = 900
        answer = await client.ask("subscribe_session", sessionId=SESSION, since=0)
        assert answer["result"]["seq"] == 0
        await turns(5)
        assert set(kinds(client.take_all())) <= {
            "ack",
            *(f"trade_{what} {seq}" for what in ("opened", "closed") for seq in range(1, 20)),
        }
        world.open_trade(SESSION)
        client.wire.take(None)
        await turns(20)
        rest = kinds(client.take_all())
        assert rest[-2:] == ["trade_opened 21", "session_update"]
        assert rest.count("session_update") == 1


async def test_a_replay_whose_end_fills_the_socket_leaves_the_figures_for_later() -> None:
    """They would be old by the time that the client reads them."""
    async with session_world(events=20) as world:
        client = Client(world)
        client.wire.room = 500
        await client.ask("subscribe_session", sessionId=SESSION, since=0)
        assert client.types()[-1] == "trade_closed"
        world.open_trade(SESSION)
        client.wire.take(None)
        assert kinds(client.take_all()) == ["trade_opened 21", "session_update"]


async def test_prices_wait_until_a_replay_is_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_DRAIN_BYTES", 300)
    async with session_world(events=10) as world:
        world.tick("A", 1)
        client = Client(world, Framing.SSE)
        session = SubscribeSession(session_id=SESSION, since=0)
        await client.open_stream(session, SubscribePrices(symbols=["A", "NEW"]))
        world.tick("NEW", 1)
        await turns(20)
        found = kinds(client.take_all())
        assert found[0] == "ack"
        assert found[11:] == ["session_update", "price_update", "price_update"]


async def test_who_leaves_in_the_midst_of_a_replay_gets_no_more_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "_DRAIN_BYTES", 300)
    async with session_world(events=10) as world:
        client = Client(world)
        await client.ask("subscribe_session", sessionId=SESSION, since=0)
        client.peer.due_status = True
        client.leave()
        client.take_all()
        await turns(20)
        assert client.take_all() == []
        assert not client.world.hub.peers


async def test_a_new_session_in_the_midst_of_a_replay_ends_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "_DRAIN_BYTES", 300)
    async with session_world(events=10) as world:
        world.add_session(7, events=3)
        client = Client(world)
        await client.ask("subscribe_session", sessionId=SESSION, since=0)
        await client.ask("subscribe_session", sessionId=7, since=0)
        seen = client.take_all()
        await turns(30)
        seen += client.take_all()
        assert {message["id"] for message in seen if message["type"] == "ack"} == {1, 2}
        after = kinds(seen[[m.get("id") for m in seen].index(2) + 1 :])
        assert after == ["trade_opened 1", "trade_closed 2", "trade_opened 3", "session_update"]


@pytest.mark.parametrize("page_size", [1, 3, 500])
async def test_a_history_is_read_page_by_page_and_replayed_without_gap_or_double(
    page_size: int,
) -> None:
    async with session_world(events=12) as world:
        world.page_size = page_size
        world.store_delay_turns = 5
        client = Client(world)
        client.send("subscribe_session", sessionId=SESSION, since=4)
        await turns(3)
        world.open_trade(SESSION)
        await turns(100)
        found = kinds(client.take_all())
        assert [kind.split()[-1] for kind in found[1:-1]] == [str(n) for n in range(5, 14)]
        assert world.pages_read[0] == (4, 12)
        assert len(world.pages_read) == -(-8 // page_size)


async def test_a_second_reader_of_the_same_history_does_not_ask_the_store_again() -> None:
    async with session_world(events=12) as world, topic_of(world) as topic:
        world.store_delay_turns = 3
        world.page_size = 4
        await asyncio.gather(topic.fetch(8), topic.fetch(2), topic.fetch(8), topic.fetch(4))
        assert world.pages_read == [(8, 12), (2, 8)]
        for since in (2, 3, 8, 11):
            client = Client(world)
            await client.ask("subscribe_session", sessionId=SESSION, since=since)
            await turns(10)
            numbers = [m["seq"] for m in client.take_all() if m["type"].startswith("trade_")]
            assert numbers == list(range(since + 1, 13))
        assert world.pages_read == [(8, 12), (2, 8), (6, 8)]


async def test_what_happens_during_a_replay_from_the_store_comes_after_it() -> None:
    async with session_world(events=6) as world:
        world.store_delay_turns = 3
        world.page_size = 2
        client = Client(world, Framing.SSE)
        opening = asyncio.ensure_future(
            client.open_stream(SubscribeSession(session_id=SESSION, since=0))
        )
        for _ in range(5):
            await turns(3)
            world.open_trade(SESSION)
        assert await opening
        await turns(30)
        seqs = [m["seq"] for m in client.take_all() if m["type"].startswith("trade")]
        assert seqs == list(range(1, 12))


async def test_a_reader_that_is_further_behind_than_memory_is_served_from_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topics, "MAX_BYTES", 20_000)
    async with session_world() as world:
        slow, other = Client(world), Client(world)
        for client in (slow, other):
            await client.ask("subscribe_session", sessionId=SESSION)
        world.hub.delivery.pause(slow.peer)
        for _ in range(200):
            world.open_trade(SESSION)
        topic = world.hub.topics.find(SESSION)
        assert topic is not None
        assert topic.log.base > 100
        assert world.hub.topics.shelf.bytes <= 20_000
        slow.take_all()
        world.page_size = 10
        world.hub.delivery.resume(slow.peer)
        await turns(200)
        got = [message for message in slow.take_all() if message["type"] != "pnl_update"]
        assert [m["seq"] for m in got] == [*range(1, 201), 200]
        assert world.hub.topics.shelf.bytes <= 20_000
        for client in (slow, other):
            client.leave()
        assert world.hub.topics.shelf.bytes == 0


async def test_a_reader_behind_memory_is_closed_to_come_again_if_the_store_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(topics, "MAX_BYTES", 5000)
    async with session_world() as world:
        slow, other = Client(world), Client(world)
        for client in (slow, other):
            await client.ask("subscribe_session", sessionId=SESSION)
        world.hub.delivery.pause(slow.peer)
        for _ in range(100):
            world.open_trade(SESSION)
        world.store_away = True
        world.hub.delivery.resume(slow.peer)
        await turns(10)
        assert (slow.closed_with, other.closed_with) == (CloseCode.SLOW, None)
    assert "the store is away" in caplog.text


async def test_a_load_that_the_log_has_outrun_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cutting the log while its past is fetched must not leave a hole in it."""
    monkeypatch.setattr(log_module, "_TRIM_AT_ONCE", 2)
    async with session_world(events=6, max_events_behind=5) as world:
        paused = Client(world)
        await paused.ask("subscribe_session", sessionId=SESSION)
        world.hub.delivery.pause(paused.peer)
        world.store_delay_turns = 5
        client = Client(world)
        client.send("subscribe_session", sessionId=SESSION, since=2)
        await turns(2)
        for _ in range(10):
            world.open_trade(SESSION)
        await turns(20)
        ack, figures = client.take_all()[:2]
        assert (ack["result"]["recovered"], figures["recovered"]) == (False, False)
        world.hub.delivery.resume(paused.peer)
        assert paused.closed_with == CloseCode.SLOW


async def test_a_store_that_is_away_refuses_the_resumption_and_changes_nothing() -> None:
    async with session_world(events=5) as world:
        world.add_session(7)
        client = Client(world)
        await client.ask("subscribe_session", sessionId=7)
        client.take_all()
        world.store_away = True
        answer = await client.ask("subscribe_session", sessionId=SESSION, since=1)
        assert (answer["type"], answer["code"]) == ("error", "unavailable")
        client.take_all()
        world.open_trade(7)
        world.open_trade(SESSION)
        assert [m["data"]["sessionId"] for m in client.take_all()] == [7, 7]
        world.store_away = False
        answer = await client.ask("subscribe_session", sessionId=SESSION, since=1)
        assert answer["result"]["recovered"]


async def test_a_history_with_a_hole_is_unavailable_and_not_replayed_with_the_hole() -> None:
    async with session_world(events=5) as world, topic_of(world) as topic:
        world.books[SESSION].events.clear()
        with pytest.raises(Unavailable, match="incomplete"):
            await topic.fetch(0)
        assert topic.log.base == 5


async def test_commands_wait_behind_a_resumption_that_asks_the_store() -> None:
    async with session_world(events=5) as world:
        world.store_delay_turns = 5
        client = Client(world)
        client.send("subscribe_session", sessionId=SESSION, since=0)
        client.send("ping")
        client.send("unsubscribe_session")
        await turns(30)
        answers = [m for m in client.take_all() if "id" in m]
        assert [m["id"] for m in answers] == [1, 2, 3]
        assert answers[2]["result"]["sessionId"] is None


@pytest.mark.parametrize(
    ("since", "epoch", "recovered"),
    [
        (30, None, True),
        (20, "epoch6", True),
        (10, None, True),
        (9, None, False),
        (31, None, False),
        (10**15, None, False),
        (30, "another", False),
    ],
)
async def test_a_position_is_recovered_if_it_lies_in_this_history_and_not_too_far_back(
    since: int, epoch: str | None, recovered: bool
) -> None:
    async with session_world(events=30, max_events_behind=20) as world:
        client = Client(world)
        answer = await client.ask("subscribe_session", sessionId=SESSION, since=since, epoch=epoch)
        assert answer["result"]["recovered"] is recovered
        assert answer["result"]["seq"] == (since if recovered else 30)
        assert answer["result"]["epoch"] == "epoch6"
        messages = client.take_all()
        assert len([m for m in messages if m["type"].startswith("trade_")]) == (
            30 - since if recovered else 0
        )
        [update] = [m for m in messages if m["type"] == "session_update"]
        assert (update["recovered"], update["seq"]) == (recovered, 30)
        world.open_trade(SESSION)
        assert all("recovered" not in m for m in client.take_all())
