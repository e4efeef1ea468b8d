"""What a connection's grant does not allow is refused, and changes nothing."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest

from tests.stream.client import Client
from tests.stream.world import World
from vyomo_rt.domain.grant import Grant, Need, Role
from vyomo_rt.stream.subscriptions import subscription
from vyomo_rt.wire.commands import Auth, Command

MINE, FOREIGN, UNKNOWN = 6, 7, 8
VIEWER = Grant("asha", Role.VIEWER, frozenset({MINE}), None)
NO_VIEWER = Grant("feed", Role.FEED, None, None)


def make(grant: Grant) -> tuple[World, Client]:
    world = World(max_symbols=3)
    for session_id in (MINE, FOREIGN):
        world.add_session(session_id, events=3)
    world.tick("A", 1)
    client = Client(world)
    client.peer.grant = grant
    return world, client


def answer(world: World, client: Client, type_: str, **fields: Any) -> Any:
    world.commands.receive(client.peer, json.dumps({"type": type_, "id": 1} | fields))
    return client.received[-1].json


@pytest.mark.parametrize("command", [c for c in get_args(Command) if c is not Auth])
async def test_each_command_needs_something_and_is_refused_where_the_role_lacks_it(
    command: type[msgspec.Struct],
) -> None:
    assert isinstance(command.needs, Need)  # type: ignore[attr-defined]
    world, client = make(NO_VIEWER)
    before = subscription(client.peer)
    # The session is unknown: that the role is asked first shows in the answer.
    refusal = answer(
        world, client, str(command.__struct_config__.tag), sessionId=UNKNOWN, symbols=["A"]
    )
    assert (refusal["type"], refusal["id"], refusal["code"]) == ("error", 1, "forbidden")
    assert subscription(client.peer) == before
    assert len(client.received) == 1


async def test_a_session_out_of_reach_is_an_unknown_one_in_the_same_words() -> None:
    _, client = make(VIEWER)
    foreign = await client.ask("subscribe_session", sessionId=FOREIGN)
    unknown = await client.ask("subscribe_session", sessionId=UNKNOWN)
    assert foreign["code"] == "not_found"
    assert foreign == unknown | {
        "id": 1,
        "message": unknown["message"].replace(f"{UNKNOWN}", f"{FOREIGN}"),
    }
    assert client.peer.topic is None
    ack = await client.ask("subscribe_session", sessionId=MINE)
    assert (ack["type"], client.peer.topic is not None) == ("ack", True)
