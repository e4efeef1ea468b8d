"""Rights on several nodes: what is taken on one ends on all, and what is used once is used once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio

from tests.conftest import KNOWN_YEARS
from tests.kit.nodes import are_even
from tests.kit.rest import Rest
from tests.kit.server import serve_here
from tests.kit.store import new_database
from tests.kit.waiting import PATIENCE_S, until
from tests.web.guarded import KEY, caller, post, signed_in, ticket
from vyomo_rt.config import Settings

WS = "/ws/auto-trader"


def now() -> dict[str, Any]:
    moment = int(time.time())
    return {"iat": moment - 5, "exp": moment + 600}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(embedded_uri: str, nats_url: str) -> AsyncIterator[list[Rest]]:
    """Two nodes with a key."""
    settings = Settings(
        port=0,
        mongo_uri=new_database(embedded_uri),
        nats_url=nats_url,
        calendar=KNOWN_YEARS,
        auth_key=KEY,
        call_burst=10_000,
        failed_tokens_per_minute=10_000,  # the tests ask until they are refused
    )
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(serve_here(settings)) for _ in range(2)]
        admins = [caller(node, sub="root", role="admin", **now()) for node in found]
        await until(lambda: are_even(admins))
        yield found


async def opened(node: Rest, **claims: Any) -> aiohttp.ClientWebSocketResponse:
    """A stream with a token, from its subscription on."""
    text = await ticket(caller(node, **claims), WS)
    stream = await node.http.ws_connect(f"{node.url}{WS}?ticket={text}")
    await stream.send_json({"type": "ping"})
    assert (await stream.receive_json())["type"] == "pong"
    return stream


async def test_a_revocation_on_one_node_ends_what_is_open_on_the_other(nodes: list[Rest]) -> None:
    here, there = nodes
    sub = f"asha {uuid4().hex}"  # who is revoked stays so
    stream = await opened(there, sub=sub, **now())
    admin = caller(here, sub="root", role="admin", **now())
    status, _ = await admin.call("POST", "/revocations", {"sub": sub})
    assert status == 201
    message = await stream.receive(timeout=PATIENCE_S)
    assert (message.type, stream.close_code) == (aiohttp.WSMsgType.CLOSE, 4500)
    await until(lambda: is_refused(caller(there, sub=sub, **now())))


async def is_refused(rest: Rest) -> bool:
    return (await rest.call("GET", "/me"))[0] == 401


async def test_a_ticket_of_one_node_opens_a_stream_on_any_and_only_once(nodes: list[Rest]) -> None:
    async def open_(node: Rest, text: str) -> int:
        try:
            async with node.http.ws_connect(f"{node.url}{WS}?ticket={text}"):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status

    for issuer in (*nodes, nodes[0]):
        text = await ticket(caller(issuer, sub="mira", **now()), WS)
        found = await asyncio.gather(*(open_(node, text) for node in nodes * 3))
        assert sorted(found) == [101, *[401] * 5]


async def test_a_connection_is_listed_and_kicked_from_any_node(nodes: list[Rest]) -> None:
    stream = await opened(nodes[1], sub="ravi", **now())
    admin = caller(nodes[0], sub="root", role="admin", **now())
    _, listed = await admin.call("GET", "/connections")
    [mine] = [each for each in listed["connections"] if each["sub"] == "ravi"]
    mira = caller(nodes[0], sub="mira", **now())
    for who, status in ((admin, 200), (caller(nodes[0], sub="ravi", **now()), 200), (mira, 404)):
        assert (await who.call("GET", f"/connections/{mine['connectionId']}"))[0] == status
    status, _ = await admin.call("POST", f"/connections/{mine['connectionId']}/kick")
    assert status == 204
    await stream.receive(timeout=PATIENCE_S)
    assert stream.close_code == 4503


async def test_who_has_signed_in_on_one_node_commands_on_all_until_it_signs_out(
    nodes: list[Rest],
) -> None:
    """Sessions of every shard: what one node lets in, another carries out."""
    who = await signed_in(nodes[0], sub="devi", role="trader", **now())

    async def made(node: Rest) -> int:
        body = {"startingCapital": 1000}
        return (await post(node, "/sessions", body, **(who | {"Origin": node.url})))[0]

    assert {await made(node) for node in nodes for _ in range(4)} == {201}
    assert (await post(nodes[1], "/sign-out", **(who | {"Origin": nodes[1].url})))[0] == 204
    await until(lambda: is_signed_out(made, nodes))


async def is_signed_out(made: Callable[[Rest], Awaitable[int]], nodes: list[Rest]) -> bool:
    return {await made(node) for node in nodes} == {401}
