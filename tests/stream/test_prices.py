"""Prices: every interval, the newest, the first at once, and changes only for who asks so."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stream.client import Client
from tests.stream.virtual import VirtualLoop, turns
from tests.stream.world import World
from vyomo_rt.stream import audience as audience_module
from vyomo_rt.wire.commands import SubscribePrices
from vyomo_rt.wire.frame import Framing


def shown(client: Client) -> list[tuple[str, float]]:
    """Symbol and price of what has come since the last look."""
    found = client.take_all()
    assert {message["type"] for message in found} <= {"price_update"}
    return [(message["data"]["symbol"], message["data"]["price"]) for message in found]


async def watching(world: World, *symbols: str, eager: bool = True, **more: object) -> Client:
    """A client whose subscription has been answered, with its snapshot not yet looked at."""
    client = Client(world, eager=eager)
    answer = await client.ask("subscribe_prices", symbols=list(symbols), **more)
    assert answer["type"] == "ack"
    client.received = [m for m in client.received if m.type != "ack"]
    return client


async def test_subscribing_shows_the_last_known_prices_of_the_symbols_named_at_once() -> None:
    world = World()
    world.tick("A", 10)
    world.tick("B", 20)
    client = await watching(world, "A", "NEW")
    assert shown(client) == [("A", 10)]
    await client.ask("subscribe_prices", symbols=["B"])
    assert [m["type"] for m in client.take_all()] == ["ack", "price_update"]
    assert world.wrongs == []


async def test_a_price_comes_every_interval_changed_or_not() -> None:
    world = World()
    async with world.running():
        world.tick("A", 10)
        client = await watching(world, "A", priceInterval=500)
        assert shown(client) == [("A", 10)]
        for _ in range(5):
            await world.wait(499)
            assert shown(client) == []
            await world.wait(1)
            await turns(3)
            assert shown(client) == [("A", 10)]


async def test_a_beats_prices_bear_its_own_time_though_a_newcomer_got_them_just_before() -> None:
    world = World()
    async with world.running():
        world.tick("A", 10)
        client = await watching(world, "A", priceInterval=500)
        await world.wait(496)
        client.take_all()
        newcomer = await watching(world, "A")
        await world.wait(4)
        await turns(3)
        [snapshot], [beat] = newcomer.take_all(), client.take_all()
        assert snapshot["data"]["timestamp"] < beat["data"]["timestamp"]
    assert world.wrongs == []


async def test_a_snapshot_is_not_followed_by_a_beat_at_once_because_the_beats_are_late() -> None:
    """A busy loop takes up a subscription before the beat that was due earlier."""
    world = World()
    world.add_session(6)
    async with world.running():
        world.tick("A", 10)
        await world.wait(250)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.now_s += 0.1
        client = await watching(world, "A", priceInterval=1000)
        await client.ask("subscribe_session", sessionId=6, updateInterval=1000)
        client.take_all()
        await world.wait(500)
        assert client.types() == []
        await world.wait(500)
        await turns(3)
        assert sorted(client.types()) == ["price_update", "session_update"]
    assert world.wrongs == []


async def test_after_the_whole_machine_stood_still_one_price_comes_and_no_burst() -> None:
    world = World()
    async with world.running():
        world.tick("A", 10)
        client = await watching(world, "A", priceInterval=100)
        await world.wait(100)
        client.take_all()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.now_s += 3600
        await turns(5)
        assert shown(client) == [("A", 10)]


@pytest.mark.parametrize("paused", [False, True], ids=["reading", "paused"])
async def test_a_first_price_is_sent_when_it_arrives_and_not_with_the_next_beat(
    paused: bool,
) -> None:
    world = World()
    client = await watching(world, "NEW", priceInterval=60_000)
    assert shown(client) == []
    if paused:
        world.hub.delivery.pause(client.peer)
    world.tick("NEW", 5)
    world.tick("NEW", 6)
    if paused:
        assert shown(client) == []
        world.hub.delivery.resume(client.peer)
        assert shown(client) == [("NEW", 6)]
    else:
        assert shown(client) == [("NEW", 5)], "and the second price waits for its interval"
    assert world.wrongs == []


async def test_an_unpriced_symbol_that_was_given_up_sends_nothing_when_its_price_comes() -> None:
    world = World()
    client = await watching(world, "NEW")
    await client.ask("unsubscribe_prices", symbols=["NEW"])
    client.take_all()
    world.tick("NEW", 5)
    assert shown(client) == []


async def test_a_paused_client_gets_only_the_newest_of_each_price_when_it_reads_again() -> None:
    world = World()
    async with world.running():
        world.tick("A", 10)
        world.tick("B", 20)
        client = await watching(world, "A", "B", priceInterval=100)
        client.take_all()
        client.wire.room = 0
        for price in range(100, 150):
            world.tick("A", price)
            await world.wait(100)
        assert len(client.take_all()) == 2, "what did not fit any more, and then nothing"
        client.wire.take(None)
        assert shown(client) == [("A", 149), ("B", 20)]
    assert world.wrongs == []


@settings(deadline=None, max_examples=60)
@given(
    interval=st.sampled_from([100, 300, 1000]),
    changes=st.lists(
        st.tuples(st.sampled_from("AB"), st.integers(1, 3), st.booleans()), max_size=40
    ),
)
async def test_only_changes_of_price_or_staleness_come_if_that_is_asked_for(
    interval: int, changes: list[tuple[str, int, bool]]
) -> None:
    world = World()
    async with world.running():
        client = await watching(world, "A", "B", priceInterval=interval, onlyChanges=True)
        last: dict[str, tuple[float, bool]] = {}
        for symbol, price, stale in changes:
            world.tick(symbol, price, stale=stale)
            await world.wait(interval)
            await turns(3)
            for message in client.take_all():
                data = message["data"]
                now = (data["price"], data["stale"])
                assert last.get(data["symbol"]) != now
                last[data["symbol"]] = now
            assert last[symbol] == (price, stale)
    assert world.wrongs == []


async def test_only_changes_holds_for_a_client_that_paused_meanwhile() -> None:
    world = World()
    async with world.running():
        world.tick("A", 10)
        world.tick("B", 20)
        client = await watching(world, "A", "B", priceInterval=100, onlyChanges=True)
        client.take_all()
        world.hub.delivery.pause(client.peer)
        world.tick("A", 11)
        await world.wait(250)
        world.hub.delivery.resume(client.peer)
        assert shown(client) == [("A", 11)], "B has not changed"


async def test_a_first_price_in_the_midst_of_a_beat_costs_nobody_the_rest_of_that_beat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a beat goes through many peers, slice by slice, a symbol may get its first price."""
    monkeypatch.setattr(audience_module, "SLICE", 1)
    world = World()
    async with world.running():
        world.tick("A", 10)
        crowd = [await watching(world, "A", "NEW", priceInterval=60_000) for _ in range(3)]
        for client in crowd:
            assert shown(client) == [("A", 10)]
        await world.wait(59_950)
        await world.beating.wait()
        world.tick("NEW", 5)
        await turns(10)
        for client in crowd:
            assert sorted(set(shown(client))) == [("A", 10), ("NEW", 5)]


async def test_adding_a_symbol_in_the_midst_of_a_beat_costs_nobody_the_rest_of_that_beat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audience_module, "SLICE", 1)
    world = World()
    async with world.running():
        world.tick("A", 10)
        world.tick("B", 20)
        crowd = [await watching(world, "A", priceInterval=60_000) for _ in range(3)]
        for client in crowd:
            assert shown(client) == [("A", 10)]
        await world.wait(59_950)
        await world.beating.wait()
        for client in crowd:
            client.send("subscribe_prices", symbols=["B"])
        await turns(10)
        for client in crowd:
            client.received = [m for m in client.received if m.type != "ack"]
            assert sorted(set(shown(client))) == [("A", 10), ("B", 20)]


async def test_a_newer_price_that_was_sent_during_a_beat_is_not_followed_by_the_beats_older_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audience_module, "SLICE", 1)
    world = World()
    async with world.running():
        world.tick("A", 10)
        crowd = [await watching(world, "A", priceInterval=100) for _ in range(3)]
        for client in crowd:
            client.take_all()
        await world.beating.wait()
        world.tick("A", 11)
        for client in crowd:
            client.send("subscribe_prices", symbols=["A"])
        await turns(10)
        for client in crowd:
            assert client.take_all()[-1]["data"]["price"] == 11
    assert world.wrongs == []


async def test_who_leaves_in_the_midst_of_a_beat_gets_no_more_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audience_module, "SLICE", 1)
    world = World()
    async with world.running():
        world.tick("A", 10)
        crowd = [await watching(world, "A", priceInterval=100) for _ in range(5)]
        for client in crowd:
            client.take_all()
        await world.beating.wait()
        for client in crowd:
            client.leave()
        await turns(10)
        assert sum(len(client.received) for client in crowd) <= 1
    assert world.wrongs == []


async def test_a_beat_is_written_in_slices_and_others_run_in_between() -> None:
    world = World()
    async with world.running():
        world.tick("A", 10)
        crowd = [await watching(world, "A", priceInterval=100) for _ in range(200)]
        for client in crowd:
            client.take_all()
        assert not world.hub.slices.go_on()
        await world.beating.wait()
        served = sum(bool(client.received) for client in crowd)
        assert 0 < served < len(crowd), "the first slices"
        while served < len(crowd):
            assert world.hub.slices.go_on()
            await turns(1)
            now = sum(bool(client.received) for client in crowd)
            assert 0 < now - served <= audience_module.SLICE
            served = now
        await turns(1)
        assert not world.hub.slices.go_on()


async def test_unsubscribing_stops_the_symbols_named_or_all_of_them() -> None:
    world = World()
    async with world.running():
        for symbol in "ABC":
            world.tick(symbol, 1)
        client = await watching(world, "A", "B", "C", priceInterval=100)
        for gone, left in (([], "ABC"), ([" b", "NOPE"], "AC"), (None, "")):
            named = {} if gone is None else {"symbols": gone}
            answer = await client.ask("unsubscribe_prices", **named)
            assert answer["result"]["symbols"] == list(left)
            client.take_all()
            await world.wait(250)
            assert {symbol for symbol, _ in shown(client)} == set(left)


async def test_adding_symbols_all_the_time_does_not_put_off_the_prices_of_the_others() -> None:
    world = World()
    async with world.running():
        world.tick("A", 1)
        client = await watching(world, "A", priceInterval=1000)
        client.take_all()
        for number in range(30):
            await client.ask("subscribe_prices", symbols=[f"N{number}"])
            await world.wait(100)
        prices = [m for m in client.take_all() if m["type"] == "price_update"]
        assert len(prices) == 3


async def test_both_framings_carry_the_very_same_text() -> None:
    world = World()
    async with world.running():
        world.tick("A", 10)
        world.tick("B", 20)
        over_ws = await watching(world, "A", "B", priceInterval=100)
        over_sse = Client(world, Framing.SSE)
        await over_sse.open_stream(None, SubscribePrices(symbols=["A", "B"], price_interval=100))
        over_sse.received = over_sse.received[1:]
        await world.wait(350)
        texts = [message.text for message in over_ws.received]
        assert texts == [message.text for message in over_sse.received]
        assert len(texts) == 8


async def test_many_clients_with_sets_of_their_own_leave_in_a_time_that_does_not_explode() -> None:
    """A crowd leaves at once when a proxy falls, and the server must not stand still for it."""

    async def leaving_s(count: int) -> float:
        world = World()
        crowd = [await watching(world, f"S{number}") for number in range(count)]
        started = time.process_time()
        for client in crowd:
            client.leave()
        return time.process_time() - started

    few = min([await leaving_s(500) for _ in range(3)])
    many = min([await leaving_s(2000) for _ in range(3)])
    assert many < 9 * few, "4 times as many; growing with their square it would be 16 times"


async def test_what_anybody_watches_is_wanted_until_the_last_one_has_left() -> None:
    """So that its price does not vanish while somebody relies on it."""
    world = World()
    one = await watching(world, "A", "B")
    two = await watching(world, "B", "C", priceInterval=500, onlyChanges=True)
    assert sorted(world.demand) == ["A", "B", "C"]
    await one.ask("unsubscribe_prices", symbols=["A"])
    await one.ask("subscribe_prices", symbols=["D"], priceInterval=300)
    assert sorted(world.demand) == ["B", "C", "D"]
    two.peer.paused = True
    world.hub.leave(one.peer)
    assert sorted(world.demand) == ["B", "C"]
    world.hub.leave(two.peer)
    world.hub.leave(two.peer)
    assert list(world.demand) == []


async def test_frames_of_symbols_that_are_no_longer_priced_do_not_pile_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vyomo_rt.stream.prices._MAX_FRAMES", 3)
    world = World()
    for number in range(10):
        world.tick(f"S{number}", 10)
        client = await watching(world, f"S{number}")
        assert shown(client) == [(f"S{number}", 10)]
        world.hub.leave(client.peer)
        assert len(world.hub.prices._frames) <= 3


async def test_a_price_that_comes_back_before_it_could_be_sent_is_no_change() -> None:
    world = World()
    async with world.running():
        world.tick("A", 96)
        client = await watching(world, "A", priceInterval=100, onlyChanges=True)
        assert shown(client) == [("A", 96)]
        client.wire.room = 0
        for price in (95, 97):  # the first fills the socket, the second is owed
            world.tick("A", price)
            await world.wait(150)
        world.tick("A", 95)
        client.wire.take(None)
        await world.wait(500)
        assert shown(client) == [("A", 95)]
    assert world.wrongs == []
