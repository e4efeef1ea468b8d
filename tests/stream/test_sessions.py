"""A session's stream: snapshot, replay, live; how its history is fetched; who is too slow."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.stream.virtual import turns
from tests.stream.world import EVENT_TYPES, Client, World
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.stream import audience as audience_module
from vyomo_rt.stream import delivery, topics
from vyomo_rt.stream import log as log_module
from vyomo_rt.stream import pnl as pnl_module
from vyomo_rt.stream.delivery import CLOSE_SLOW
from vyomo_rt.stream.sessions import SessionTopic
from vyomo_rt.wire.commands import SubscribePrices, SubscribeSession
from vyomo_rt.wire.frame import Framing

SESSION = 6


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    """The types of messages, events with their number."""
    numbered = EVENT_TYPES
    return [m["type"] + (f" {m['seq']}" if m["type"] in numbered else "") for m in messages]


@asynccontextmanager
async def session_world(*, events: int = 0, **more: int) -> AsyncIterator[World]:
    """A world with a session that has a history, and nothing wrong in it at the end."""
    world = World(**more)
    world.add_session(SESSION, events=events)
    async with world.running():
        yield world
    assert world.wrongs == []


@asynccontextmanager
async def topic_of(world: World) -> AsyncIterator[SessionTopic]:
    with world.hub.topics.using(SESSION) as topic:
        yield topic


def users_of_topic(world: World) -> int:
    topic = world.hub.topics.find(SESSION)
    return 0 if topic is None else topic.users


async def test_a_subscription_begins_with_ack_figures_and_the_pnl_of_every_open_trade() -> None:
    async with session_world() as world:
        world.tick("A", 101)
        for symbol in ("A", "A", "UNPRICED"):
            world.open_trade(SESSION, symbol)
        client = Client(world)
        answer = await client.ask("subscribe_session", sessionId=SESSION)
        assert "recovered" not in answer["result"]
        assert client.types() == ["ack", "session_update", "pnl_update", "pnl_update"]


async def test_every_event_is_followed_at_once_by_the_figures_that_contain_it() -> None:
    async with session_world() as world:
        client = Client(world)
        await client.ask("subscribe_session", sessionId=SESSION)
        client.take_all()
        world.open_trade(SESSION)
        assert kinds(client.take_all()) == ["trade_opened 1", "session_update"]
        world.close_trade(SESSION)
        assert kinds(client.take_all()) == ["trade_closed 2", "session_update"]
        world.change_status(SESSION, SessionStatus.PAUSED)
        changed, update = client.take_all()
        assert kinds([changed]) == ["session_changed 3"]
        assert changed["data"]["status"] == update["data"]["status"] == "PAUSED"


async def test_figures_and_pnl_come_every_interval_without_a_price_update_or_an_event() -> None:
    async with session_world() as world:
        world.tick("A", 101)
        world.open_trade(SESSION, "A")
        client = Client(world)
        await client.ask("subscribe_session", sessionId=SESSION, updateInterval=300)
        client.take_all()
        for _ in range(3):
            await world.wait(299)
            assert client.types() == []
            await world.wait(1)
            await turns(2)
            assert client.types() == ["session_update", "pnl_update"]


async def test_a_session_whose_beat_fails_silences_no_other_and_no_price_and_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "vyomo_rt.clockwork")
    world = World()
    for session_id in (SESSION, 7):
        world.add_session(session_id)
    world.tick("A", 101)
    async with world.running():
        client, other = Client(world), Client(world)
        await client.ask("subscribe_session", sessionId=SESSION, updateInterval=100)
        await other.ask("subscribe_session", sessionId=7, updateInterval=100)
        await other.ask("subscribe_prices", symbols=["A"], priceInterval=100)
        broken = pytest.MonkeyPatch()
        broken.setattr(world.hub.topics.find(SESSION), "beat", lambda *_: 1 // 0)
        for each in (client, other):
            each.take_all()
        await world.wait(1000)
        await turns(3)
        assert client.types() == []
        assert Counter(other.types()) == {"session_update": 10, "price_update": 10}
        broken.undo()
        await world.wait(100)
        await turns(3)
        assert client.types() == ["session_update"]
    told = [record.getMessage() for record in caplog.records]
    assert len([text for text in told if f"a beat of session {SESSION} failed" in text]) == 1
    assert f"a beat of session {SESSION} succeeds again" in told


async def test_all_watchers_with_the_same_interval_get_their_beat_together() -> None:
    """So that what a beat says is made once, however many came when."""
    async with session_world() as world:
        clients = []
        for number in range(5):
            clients.append(Client(world, Framing(number % 2)))
            session = SubscribeSession(session_id=SESSION, update_interval=500)
            await clients[-1].open_stream(session)
            await world.wait(110)
        for client in clients:
            client.take_all()
        beats = 0
        for _ in range(20):
            await world.wait(100)
            await turns(2)
            got = [client.types() for client in clients]
            assert all(types == got[0] for types in got)
            beats += bool(got[0])
        assert beats == 4


async def test_a_long_beat_is_written_in_pieces_and_what_happens_meanwhile_comes_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An event does not wait for the rest, a close takes its P&L along, a price is the newest."""
    monkeypatch.setattr(pnl_module, "PAGE", 10)
    monkeypatch.setattr(audience_module, "SLICE", 3)
    async with session_world() as world:
        world.tick("A", 101)
        for _ in range(100):
            world.open_trade(SESSION, "A")
        clients = [Client(world, Framing(number % 2)) for number in range(8)]
        for client in clients:
            session = SubscribeSession(session_id=SESSION, update_interval=100)
            await client.open_stream(session)
        await turns(50)
        for client in clients:
            client.take_all()
        await world.beating.wait()
        longest, close_after, events = 0, [10, 25, 40], []
        before = sum(len(client.received) for client in clients)
        for turn in range(400):
            received = sum(len(client.received) for client in clients)
            longest, before = max(longest, received - before), received
            if turn in close_after:
                world.tick("A", 102 + turn)
                events += [world.open_trade(SESSION, "A"), world.close_last(SESSION)]
                before = sum(len(client.received) for client in clients)
            await turns(1)
        assert longest < 2 * 3 * 11, "no two slices of peers, and a page for each peer"
        for client in clients:
            got = client.take_all()
            seqs = [m["seq"] for m in got if m["type"] in {"trade_opened", "trade_closed"}]
            assert seqs == [event.seq for event in events]
            pnls = [m["data"]["tradeId"] for m in got if m["type"] == "pnl_update"]
            assert len(pnls) == len(set(pnls)) > 90, "each once in a beat"


async def test_a_long_snapshot_is_written_in_pieces_with_events_in_between_and_then_goes_on_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pnl_module, "PAGE", 10)
    async with session_world() as world:
        world.tick("A", 101)
        for _ in range(100):
            world.open_trade(SESSION, "A")
        client = Client(world)
        client.send("subscribe_session", sessionId=SESSION)
        assert Counter(client.types()) == {"ack": 1, "session_update": 1, "pnl_update": 10}
        await turns(3)
        closed = world.close_trade(SESSION)
        assert closed is not None
        await turns(30)
        got = client.take_all()
        kinds_in_between = [m["type"] for m in got if m["type"] != "pnl_update"]
        assert kinds_in_between == ["trade_closed", "session_update"]
        assert len([m for m in got if m["type"] == "pnl_update"]) == 90
        assert client.peer.ready
        world.open_trade(SESSION, "A")
        assert kinds(client.take_all()) == ["trade_opened 102", "session_update"]


async def test_a_client_that_reads_a_long_snapshot_slowly_gets_all_of_it_and_the_newest_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beats that it misses meanwhile do not send it back to the first trade for ever."""
    monkeypatch.setattr(pnl_module, "PAGE", 10)
    async with session_world() as world:
        world.tick("A", 101)
        for _ in range(100):
            world.open_trade(SESSION, "A")
        client = Client(world)
        client.wire.room = 0
        client.send("subscribe_session", sessionId=SESSION, updateInterval=100)
        seen: Counter[int] = Counter()
        for step in range(45):
            world.tick("A", 102 + step)
            await world.wait(150)
            client.wire.take(4000)
            pnls = [m for m in client.take_all() if m["type"] == "pnl_update"]
            seen.update(m["data"]["tradeId"] for m in pnls)
        assert set(seen) == set(range(1, 101))
        assert max(seen.values()) - min(seen.values()) <= 1
        client.wire.take(None)
        await turns(50)
        client.view.check_caught_up()


async def test_a_closed_trade_has_no_pnl_any_more_even_for_a_client_that_was_paused() -> None:
    async with session_world() as world:
        world.tick("A", 101)
        world.open_trade(SESSION, "A")
        client = Client(world)
        await client.ask("subscribe_session", sessionId=SESSION, updateInterval=100)
        client.take_all()
        world.hub.delivery.pause(client.peer)
        await world.wait(500)
        world.close_trade(SESSION)
        await world.wait(500)
        world.hub.delivery.resume(client.peer)
        assert kinds(client.take_all()) == ["trade_closed 2", "session_update"]


async def test_a_paused_client_gets_its_events_in_order_and_then_the_newest_figures_once() -> None:
    async with session_world() as world:
        client = Client(world)
        await client.ask("subscribe_session", sessionId=SESSION)
        client.take_all()
        client.wire.room = 0
        for _ in range(30):
            world.open_trade(SESSION)
            await world.wait(500)
        assert kinds(client.take_all()) == ["trade_opened 1", "session_update"]
        client.wire.take(None)
        events = [f"trade_opened {seq}" for seq in range(2, 31)]
        assert kinds(client.take_all()) == [*events, "session_update"]


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
        assert (slow.closed_with, other.closed_with) == (CLOSE_SLOW, None)
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
        assert paused.closed_with == CLOSE_SLOW


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


async def test_a_topic_lives_exactly_as_long_as_somebody_uses_it() -> None:
    async with session_world(events=5) as world:
        first, second = Client(world), Client(world, Framing.SSE)
        await first.ask("subscribe_session", sessionId=SESSION, since=0)
        await first.ask("subscribe_session", sessionId=SESSION, since=0)
        await second.open_stream(SubscribeSession(session_id=SESSION, since=2))
        assert users_of_topic(world) == 2
        first.leave()
        first.leave()
        assert users_of_topic(world) == 1
        second.leave()
        assert world.hub.topics.find(SESSION) is None
        world.store_away = True
        await Client(world).ask("subscribe_session", sessionId=SESSION, since=0)
        world.store_away, world.store_delay_turns = False, 3
        gone = Client(world)
        gone.send("subscribe_session", sessionId=SESSION, since=0)
        await turns(1)
        gone.leave()
        await turns(10)
        assert world.hub.topics.find(SESSION) is None


async def test_a_client_too_many_events_behind_is_closed_when_it_reads_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_module, "_TRIM_AT_ONCE", 5)
    async with session_world(max_events_behind=20) as world:
        slow, other = Client(world), Client(world)
        for client in (slow, other):
            await client.ask("subscribe_session", sessionId=SESSION)
        world.hub.delivery.pause(slow.peer)
        for _ in range(60):
            world.open_trade(SESSION)
        slow.take_all()
        world.hub.delivery.resume(slow.peer)
        assert slow.closed_with == CLOSE_SLOW
        assert slow.take_all() == []
        assert other.closed_with is None
        assert other.view.position == 60


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


@pytest.mark.parametrize("types", [["trade_closed"], ["pnl_update"], ["session_update"]])
async def test_only_the_types_that_were_asked_for_are_sent_live_and_in_the_replay(
    types: list[str],
) -> None:
    async with session_world(events=4) as world:
        world.tick("A", 1)
        world.open_trade(SESSION, "A")
        client = Client(world)
        await client.ask("subscribe_session", sessionId=SESSION, since=0, types=types)
        world.open_trade(SESSION, "A")
        world.close_trade(SESSION)
        await world.wait(2000)
        await turns(2)
        assert set(client.types()) - {"ack"} == set(types)
