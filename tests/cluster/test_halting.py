"""The kill switch of all sessions, while these move from node to node."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from tests.kit.nodes import are_even, serving_nodes
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until


async def test_a_halt_that_is_answered_has_missed_no_session_although_a_node_joins_meanwhile(
    make_settings: MakeSettings, nats_url: str
) -> None:
    settings = make_settings(nats_url=nats_url)
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(serving_nodes(settings, 2))
        ids = [await nodes[0].new_session() for _ in range(9)]
        joining = asyncio.create_task(stack.enter_async_context(serve_here(settings)))
        while not (joining.done() and await are_even([*nodes, joining.result()])):
            await halt_all(nodes, ids)
        await until(partial(halt_all, nodes, ids))


async def halt_all(nodes: list[Rest], ids: list[int]) -> bool:
    """Whether it is answered: then every session is halted."""
    await asyncio.gather(*(until(partial(is_active, nodes[1], id_)) for id_ in ids))
    status, answer = await nodes[0].call("POST", "/halt", {})
    if status != 200:
        return False
    assert [each["sessionId"] for each in answer["sessions"]] == ids
    assert {await status_of(nodes[0], id_) for id_ in ids} == {"HALTED"}
    return True


async def is_active(node: Rest, session_id: int) -> bool:
    status, _ = await node.call("PATCH", f"/sessions/{session_id}", {"status": "ACTIVE"})
    return status == 200


async def status_of(node: Rest, session_id: int) -> str:
    _, session = await node.call("GET", f"/sessions/{session_id}")
    return str(session["status"])
