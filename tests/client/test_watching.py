"""The figures of all sessions, for a Python program."""

from __future__ import annotations

import pytest

from tests.client.rig import take
from tests.kit.proxy import proxy_before
from tests.kit.rest import Rest
from vyomo_rt_client import connect
from vyomo_rt_client.stream import Choice

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.usefixtures("quick")
async def test_all_sessions_are_watched_again_after_a_lost_connection(
    server: Rest, transport: Choice
) -> None:
    first, second = await server.new_session(), await server.new_session()
    async with (
        proxy_before(server.url) as proxy,
        connect(
            proxy.url,
            session_id=first,
            watch_sessions=True,
            watch_interval_ms=100,
            transport=transport,
        ) as stream,
    ):
        for _ in range(2):
            watched = {}
            while second not in watched:
                message = await take(stream, "session_update")
                watched[message.data["sessionId"]] = message
            assert watched[second].seq is None
            assert stream.position is not None
            assert stream.position.session_id == first
            proxy.drop()


async def test_nothing_else_is_needed() -> None:
    with pytest.raises(ValueError, match="watch_sessions is required"):
        connect("http://localhost:4025")
