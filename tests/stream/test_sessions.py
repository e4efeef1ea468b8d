"""A session's stream: snapshot and live; who is too slow."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.stream.client import Client
from tests.stream.virtual import turns
from tests.stream.world import SESSION, World, kinds, session_world
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.stream import audience as audience_module
from vyomo_rt.stream import log as log_module
from vyomo_rt.stream import pnl as pnl_module
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.commands import SubscribeSession
from vyomo_rt.wire.frame import Framing


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
        assert slow.closed_with == CloseCode.SLOW
        assert slow.take_all() == []
        assert other.closed_with is None
        assert other.view.position == 60


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
