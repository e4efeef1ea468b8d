"""A connection's explanation says, in words that hold, why it gets what it gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.stream.client import Client
from tests.stream.world import World
from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.stream.explanation import explain
from vyomo_rt.wire.connection import ConnectionDocument

SESSION = 6


def make() -> tuple[World, Client]:
    world = World()
    world.add_session(SESSION, events=3)
    world.tick("A", 97)
    return world, Client(world)


def asked(world: World, client: Client) -> ConnectionDocument:
    return explain(world.hub, world.hub.find(client.peer.id))


def says(document: ConnectionDocument, *words: str) -> bool:
    return any(all(word in reason for word in words) for reason in document.reasons)


async def test_who_asked_for_nothing_is_told_what_to_send() -> None:
    document = asked(*make())
    assert says(document, "no session", "subscribe_session")
    assert says(document, "no prices", "subscribe_prices")
    assert (document.messages, document.last_write_at) == (0, None)


async def test_what_it_asked_for_is_named_and_what_that_leaves_out() -> None:
    world, client = make()
    types = ["trade_opened", "session_update"]
    await client.ask("subscribe_session", sessionId=SESSION, types=types, updateInterval=500)
    await client.ask("subscribe_prices", symbols=["A"], onlyChanges=True, priceInterval=300)
    document = asked(world, client)
    assert document.subscription.symbols == ["A"]
    assert says(
        document,
        "leave out",
        "order_ended, order_placed, pnl_update, session_changed, trade_changed, trade_closed",
    )
    assert says(document, "every 500 ms")
    assert says(document, "every 300 ms")
    assert says(document, "onlyChanges")


async def test_prices_that_are_missing_or_stale_are_named() -> None:
    world, client = make()
    world.tick("B", 5, stale=True)
    await client.ask("subscribe_prices", symbols=["A", "B", "C"])
    document = asked(world, client)
    assert says(document, "no price has come yet for C")
    assert [r for r in document.reasons if r.startswith("stale") and r.endswith(": B")]


async def test_a_session_without_open_or_priced_trades_says_why_there_is_no_pnl() -> None:
    world, client = make()
    await client.ask("subscribe_session", sessionId=SESSION)
    assert not says(asked(world, client), "pnl_update")
    world.close_trade(SESSION)
    world.close_trade(SESSION)
    assert says(asked(world, client), "no open trade", "pnl_update")
    world.open_trade(SESSION, "C")
    assert says(asked(world, client), "pnl_update", "lack of a price", "C")
    world.change_status(SESSION, SessionStatus.PAUSED)
    assert says(asked(world, client), "PAUSED")


async def test_a_feed_that_is_not_live_is_a_reason() -> None:
    world, client = make()
    async with world.running():
        world.change_feed(FeedState.DOWN)
        await world.wait(200)
        assert says(asked(world, client), "DOWN")


async def test_a_client_that_does_not_read_sees_since_when_and_what_it_missed() -> None:
    world, client = make()
    async with world.running():
        await client.ask("subscribe_session", sessionId=SESSION, updateInterval=100)
        await client.ask("subscribe_prices", symbols=["A"], priceInterval=100)
        assert asked(world, client).paused_since is None
        client.wire.room = 0
        world.open_trade(SESSION)
        await world.wait(1000)
        world.open_trade(SESSION)
        document = asked(world, client)
        assert document.paused_since is not None
        assert document.buffered_bytes > 0
        assert document.events_behind == 1
        assert document.conflated >= 20, "ten beats of prices and of figures"
        assert says(document, "has taken no more since", "does not read")
        client.wire.take(None)
        document = asked(world, client)
        assert (document.paused_since, document.events_behind) == (None, 0)
        assert document.messages == client.delivered
        assert document.last_write_at is not None


async def test_a_connection_that_has_ended_is_not_found() -> None:
    world, client = make()
    client.leave()
    with pytest.raises(NotFound, match="has ended"):
        world.hub.find(client.peer.id)


async def test_prices_of_a_new_source_are_named_while_trades_go_by_the_former_one() -> None:
    world, client = make()
    world.tick("A", 5)
    await client.ask("subscribe_prices", symbols=["A"])
    assert not says(asked(world, client), "of another source")
    world.doubts["A"] = replace(world.quotes["A"], source="other", price_e4=51_000, stale=True)
    document = asked(world, client)
    assert says(document, "of another source than before", "until it has said a second one: A")
    assert not says(document, "they jumped")


async def test_prices_in_doubt_and_those_that_are_refused_are_named_with_the_reason() -> None:
    world, client = make()
    for symbol in ("A", "B"):
        world.tick(symbol, 5, stale=True)
    world.doubts["A"] = replace(world.quotes["A"], price_e4=90_0000)
    world.refusals["B"] = "older than the last price of B"
    world.refusals["C"] = "price must be above 0"
    await client.ask("subscribe_prices", symbols=["A", "B"])
    document = asked(world, client)
    assert says(document, "they jumped and nothing has confirmed it: A")
    assert [r for r in document.reasons if r.startswith("stale") and r.endswith(": B")]
    assert says(document, "ticks of B come in but are refused: older than the last price of B")
    assert not says(document, "ticks of C")
