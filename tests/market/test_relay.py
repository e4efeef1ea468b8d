"""Ticks from the owner of the prices to another node, over a bus that loses what it is told to."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.market.relaying import Side, World, tick
from vyomo_rt.domain.quote import Tick
from vyomo_rt.market import relay as relay_module


def _keep(late: list[bytes], said: list[bytes]) -> list[bytes]:
    late += said
    return []


def _fail(_tick: Tick, _now_ms: int, _arrived_ms: int) -> None:
    raise ArithmeticError


async def test_a_follower_acts_on_each_tick_once_and_by_the_owners_clock() -> None:
    world = World()
    await world.settle()
    for number in range(5):
        world.now_s += 0.01
        assert world.here.board.accept(tick(number)) is None
    world.say(lambda said: said * 2)
    assert world.there.acted == world.here.acted
    assert abs(world.there.clock() - world.here.clock()) < 5


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from("losing")), max_size=12))
def test_whatever_is_lost_doubled_or_late_everything_is_acted_on_in_order(
    parts: list[tuple[int, str]],
) -> None:
    async def story() -> None:
        world = World()
        await world.settle()
        late: list[bytes] = []
        number = 0
        for count, fate in parts:
            for _ in range(count):
                number += 1
                world.now_s += 0.01
                world.here.board.accept(tick(number))
            match fate:
                case "l":
                    world.say(lambda _: [])
                case "o":
                    world.say(lambda said: [*said, *said])
                case "s":
                    world.say(lambda said: said[::-1])
                case "i":
                    world.say(partial(_keep, late))
                case _:
                    world.say()
            await world.settle()
        world.say(lambda said: [*late, *said])
        await world.settle()
        assert world.there.acted == world.here.acted

    asyncio.run(story())


async def test_what_cannot_be_had_within_a_second_makes_prices_stale_until_it_comes() -> None:
    world = World()
    await world.settle()
    world.here.board.accept(tick(1))
    world.say()
    world.answers = False
    world.here.board.accept(tick(2))
    world.say(lambda _: [])
    world.here.board.accept(tick(3))
    world.say()
    await world.settle()
    quote = world.there.board.confirmed("NIFTY")
    assert quote is not None
    assert (quote.price_e4, quote.stale) == (1_000_100, False), "it may still come"
    world.now_s += 1.1
    world.say()
    quote = world.there.board.confirmed("NIFTY")
    assert quote is not None
    assert quote.stale
    world.answers = True
    await world.settle()
    quote = world.there.board.confirmed("NIFTY")
    assert quote is not None
    assert (quote.price_e4, quote.stale) == (1_000_300, False)
    assert world.there.acted == world.here.acted, "late, but in order"


async def test_an_owner_that_is_not_heard_makes_prices_stale() -> None:
    world = World()
    assert 1 < world.there.relay.silent_s < 10, "it has just begun"
    await world.settle()
    world.here.board.accept(tick(1))
    world.say()
    world.now_s += 1.1
    quote = world.there.board.confirmed("NIFTY")
    assert quote is not None
    assert quote.stale
    world.say()
    quote = world.there.board.confirmed("NIFTY")
    assert quote is not None
    assert not quote.stale


async def test_the_next_owner_goes_on_from_what_it_has_followed() -> None:
    """Even a price that is held is confirmed by its next tick, and time does not go back."""
    world = World()
    await world.settle()
    world.here.board.accept(tick(1))
    world.here.board.accept(Tick("NIFTY", 2_000_000, None, "ingest"))
    world.say()
    assert world.there.board.is_held("NIFTY", "ingest")
    before_ms = world.there.clock()
    world.here.relay.end()
    world.there.relay.begin(2)
    world.owner = world.there
    assert world.there.clock() >= before_ms
    world.there.board.accept(Tick("NIFTY", 2_000_100, None, "ingest"))
    world.say()
    for side in (world.here, world.there):
        quote = side.board.confirmed("NIFTY")
        assert quote is not None
        assert quote.price_e4 == 2_000_100


async def test_what_fails_on_a_follower_takes_nothing_behind_it_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    await world.settle()
    for number in (1, 2, 3):
        world.here.board.accept(tick(number))
    with monkeypatch.context() as failing:
        failing.setattr(world.there.board, "repeat", _fail)
        with pytest.raises(ArithmeticError):
            world.say()
    await world.settle()
    quote = world.there.board.confirmed("NIFTY")
    assert quote is not None
    assert (quote.price_e4, quote.stale) == (1_000_300, False)


async def test_a_former_owner_has_no_say_any_more() -> None:
    world = World()
    await world.settle()
    third = Side(world, 0)
    world.here.board.accept(tick(1))
    world.here.relay.beat()
    for message in world.here.said:
        world.there.relay.hear(message)
    world.here.said.clear()
    world.there.relay.begin(2)
    world.owner = world.there
    world.there.board.accept(tick(2))
    world.there.relay.beat()
    await world.settle_side(third)
    world.here.board.accept(tick(7))
    world.here.relay.beat()
    for message in world.here.said:
        third.relay.hear(message)
    quote = third.board.confirmed("NIFTY")
    assert quote is not None
    assert quote.price_e4 == 1_000_200


async def test_what_a_former_owner_said_last_is_had_from_the_next_tick_by_tick() -> None:
    """A follower that missed it acts on each, although the one that took them is gone."""
    world = World()
    third = Side(world, 0)
    await world.settle()
    await world.settle_side(third)
    for number in (1, 2, 3):
        world.here.board.accept(tick(number))
    world.here.relay.beat()
    for message in world.here.said:
        world.there.relay.hear(message)
    world.there.relay.begin(2)
    world.owner = world.there
    world.there.board.accept(tick(4))
    world.there.relay.beat()
    for message in world.there.said:
        third.relay.hear(message)
    await world.settle_side(third)
    assert third.acted == world.there.acted == [*world.here.acted, third.acted[-1]]
    assert third.relay.gaps >= 3


async def test_a_next_owner_acts_on_what_it_heard_behind_a_gap() -> None:
    world = World()
    await world.settle()
    for number in (1, 2, 3):
        world.here.board.accept(tick(number))
        world.here.relay.beat()
    told = [each for each in world.here.said if relay_module._prices.decode(each).entries]
    for message in (told[0], told[2]):
        world.there.relay.hear(message)
    assert len(world.there.acted) == 1
    world.there.relay.begin(2)
    assert world.there.acted == [world.here.acted[0], world.here.acted[2]]
