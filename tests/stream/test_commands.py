"""What a client may ask: one answer each, first of all; a refused one changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.stream.client import Client
from tests.stream.world import ALL_TYPES, World
from vyomo_rt.domain.quote import FeedState

SESSION = 6


def make() -> tuple[World, Client]:
    world = World(max_symbols=3)
    world.add_session(SESSION, events=3)
    world.tick("A", 1)
    world.tick("B", 2)
    return world, Client(world)


def receive(world: World, client: Client, text: str) -> Any:
    """Whether a text was carried out; it must not need the store."""
    result = world.commands.receive(client.peer, text)
    assert isinstance(result, bool)
    return result


async def test_an_ack_shows_the_whole_subscription_as_it_is_afterwards() -> None:
    _, client = make()
    await client.ask("subscribe_session", sessionId="6", updateInterval="2590")
    await client.ask("subscribe_prices", symbols=[" b ", "A", "b", "XX"], priceInterval=99)
    answer = await client.ask("subscribe_prices", symbols=[], onlyChanges=True)
    assert answer == {
        "type": "ack",
        "id": 3,
        "connectionId": client.peer.id,
        "result": {
            "sessionId": SESSION,
            "seq": 3,
            "epoch": "epoch6",
            "types": sorted(ALL_TYPES),
            "updateInterval": 2500,
            "symbols": ["A", "B"],
            "priceInterval": 100,
            "onlyChanges": True,
            "unknown": [],
            "watching": False,
            "watchInterval": 2000,
        },
    }
    [second] = [m.json for m in client.received if m.json.get("id") == 2]
    assert second["result"]["unknown"] == ["XX"]


@pytest.mark.parametrize("id_", ["", "x" * 64, 0, -5, 7, "ä"])
async def test_every_command_with_an_id_gets_exactly_one_answer_that_echoes_it(id_: object) -> None:
    world, client = make()
    commands: list[dict[str, Any]] = [
        {"type": "subscribe_session", "sessionId": SESSION},
        {"type": "subscribe_session", "sessionId": SESSION, "since": 3},
        {"type": "subscribe_session", "sessionId": 99},
        {"type": "subscribe_session"},
        {"type": "subscribe_prices", "symbols": ["A", "XX"]},
        {"type": "subscribe_prices", "symbols": list("ABCDE")},
        {"type": "unsubscribe_session"},
        {"type": "unsubscribe_prices"},
        {"type": "ping"},
        {"type": "pong"},
        {},
    ]
    for command in commands:
        client.received.clear()
        client.view.asked(command | {"id": id_})
        receive(world, client, json.dumps(command | {"id": id_}))
        found = client.take_all()
        assert [m["id"] for m in found if "id" in m] == [id_], command
        assert found[0]["id"] == id_, "the answer comes before anything it causes"
        assert found[0]["type"] in {"ack", "pong", "error"}


async def test_a_command_without_an_id_is_carried_out_without_an_ack() -> None:
    world, client = make()
    client.view.session_id, client.view.position = SESSION, 3
    assert receive(world, client, '{"type":"subscribe_session","sessionId":6}')
    assert client.types() == ["session_update", "pnl_update"]
    client.view.symbols = {"A"}
    assert receive(world, client, '{"type":"subscribe_prices","symbols":["A","XX","XY"]}')
    error, price = client.take_all()
    assert (error["code"], price["type"]) == ("not_found", "price_update")
    assert "XX, XY" in error["message"]


@pytest.mark.parametrize(
    ("text", "code", "names"),
    [
        ("", "bad_json", ""),
        ("[]", "bad_json", ""),
        ("{", "bad_json", ""),
        ("nonsense", "bad_json", "not valid JSON"),
        ("ping", "bad_json", 'to ping, send {"type":"ping"}'),
        ('"PING"', "bad_json", 'to ping, send {"type":"ping"}'),
        ('{"type":"subscribe_session","sessionId":6} x', "bad_json", ""),
        ('{"id":"\\ud800"}', "bad_json", ""),
        ("[" * 100_000, "bad_json", ""),
        ("{}", "bad_request", "type"),
        ('{"type":5}', "bad_request", "type"),
        ('{"type":"Subscribe_Session"}', "unknown_type", "Subscribe_Session"),
        ('{"type":"subscribe_session"}', "bad_request", "sessionId"),
        ('{"type":"subscribe_session","sessionId":null}', "bad_request", "sessionId"),
        ('{"type":"subscribe_session","sessionId":0}', "bad_request", "sessionId"),
        ('{"type":"subscribe_session","sessionId":6.5}', "bad_request", "sessionId"),
        ('{"type":"subscribe_session","sessionId":true}', "bad_request", "sessionId"),
        ('{"type":"subscribe_session","sessionId":"six"}', "bad_request", "sessionId"),
        ('{"type":"subscribe_session","sessionId":NaN}', "bad_request", "sessionId"),
        ('{"type":"subscribe_session","sessionId":7}', "not_found", "7"),
        ('{"type":"subscribe_session","sessionId":6,"since":-1}', "bad_request", "since"),
        ('{"type":"subscribe_session","sessionId":6,"types":["all"]}', "bad_request", "types"),
        ('{"type":"subscribe_session","sessionId":6,"types":"pnl_update"}', "bad_request", "types"),
        (
            '{"type":"subscribe_session","sessionId":6,"updateInterval":"fast"}',
            "bad_request",
            "updateInterval",
        ),
        ('{"type":"subscribe_prices"}', "bad_request", "symbols"),
        ('{"type":"subscribe_prices","symbols":"A"}', "bad_request", "symbols"),
        ('{"type":"subscribe_prices","symbols":["A",5]}', "bad_request", "symbols"),
        ('{"type":"subscribe_prices","symbols":["A","*"]}', "bad_request", "symbols"),
        ('{"type":"subscribe_prices","symbols":["A",""]}', "bad_request", "symbols"),
        ('{"type":"subscribe_prices","symbols":["A","B","C","D"]}', "limit_exceeded", "symbols"),
        (
            '{"type":"subscribe_prices","symbols":["B"],"priceInterval":1.5}',
            "bad_request",
            "priceInterval",
        ),
        (
            '{"type":"subscribe_prices","symbols":["B"],"onlyChanges":"maybe"}',
            "bad_request",
            "onlyChanges",
        ),
        ('{"type":"unsubscribe_prices","symbols":"A"}', "bad_request", "symbols"),
    ],
)
async def test_a_refused_command_says_why_and_changes_nothing(
    text: str, code: str, names: str
) -> None:
    world, client = make()
    await client.ask("subscribe_session", sessionId=SESSION, updateInterval=700)
    before = await client.ask("subscribe_prices", symbols=["A"], priceInterval=700)
    client.take_all()
    assert receive(world, client, text) is False
    [error] = client.take_all()
    assert (error["type"], error["code"]) == ("error", code)
    if code == "bad_json":
        assert error["message"] == "Invalid message format"
        assert names in error["detail"]
    else:
        assert names in error["message"]
    after = await client.ask("unsubscribe_prices", symbols=[])
    assert after["result"] == before["result"]


async def test_a_limit_counts_known_symbols_and_nothing_is_added_beyond_it() -> None:
    _, client = make()
    answer = await client.ask("subscribe_prices", symbols=["A", "B"])
    answer = await client.ask("subscribe_prices", symbols=["C", "D"])
    assert answer["code"] == "limit_exceeded"
    answer = await client.ask("subscribe_prices", symbols=["A", "XX", "C"])
    assert answer["result"]["symbols"] == ["A", "B", "C"]
    assert answer["result"]["unknown"] == ["XX"]


@pytest.mark.parametrize(
    ("asked", "taken"),
    [(1, 100), (0, 100), (-5, 100), (199, 100), (200, 200), (60_001, 60_000), (10**30, 60_000)],
)
async def test_intervals_are_clamped_and_rounded_down_to_tenths_of_a_second(
    asked: int, taken: int
) -> None:
    _, client = make()
    answer = await client.ask("subscribe_session", sessionId=SESSION, updateInterval=asked)
    assert answer["result"]["updateInterval"] == taken
    answer = await client.ask("subscribe_prices", symbols=[], priceInterval=asked)
    assert answer["result"]["priceInterval"] == taken
    answer = await client.ask("subscribe_prices", symbols=[])
    assert answer["result"]["priceInterval"] == taken, "left out it keeps its value"


async def test_unsubscribing_a_session_stops_it_and_may_be_repeated() -> None:
    world, client = make()
    async with world.running():
        await client.ask("subscribe_session", sessionId=SESSION, updateInterval=100)
        for _ in range(2):
            answer = await client.ask("unsubscribe_session")
            assert answer["result"]["sessionId"] is None
        client.take_all()
        world.open_trade(SESSION)
        await world.wait(500)
        assert client.take_all() == []
    assert world.wrongs == []


async def test_snapshots_say_how_the_feed_is_while_it_is_not_live_and_changes_are_told_once() -> (
    None
):
    world, client = make()
    bystander = Client(world)
    async with world.running():
        await client.ask("subscribe_prices", symbols=["A"], priceInterval=60_000)
        assert "feed_status" not in client.types()
        world.change_feed(FeedState.DOWN)
        await world.wait(300)
        assert client.types() == ["feed_status"]
        await client.ask("subscribe_session", sessionId=SESSION, updateInterval=60_000)
        assert client.types()[-1] == "feed_status"
        world.change_feed(FeedState.LIVE)
        await world.wait(300)
        [status] = client.take_all()
        assert status["data"]["state"] == "LIVE"
        assert bystander.take_all() == [], "who subscribed to nothing is told nothing"
    assert world.wrongs == []


async def test_a_ping_is_answered_with_the_time() -> None:
    _, client = make()
    pong = await client.ask("ping")
    assert pong["type"] == "pong"
    assert pong["timestamp"].endswith("Z")
