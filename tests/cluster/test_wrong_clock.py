"""A node whose clock is wrong: the moments of all nodes are those of the owner of the prices."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import datetime

import pytest

from tests.kit.nodes import are_even
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from vyomo_rt.clockwork import wall_now
from vyomo_rt.domain.moment import to_ms

HOUR_MS = 3_600_000


@pytest.mark.parametrize("off_ms", [-HOUR_MS, HOUR_MS])
async def test_a_node_with_a_wrong_clock_owns_no_prices_and_writes_the_right_moments(
    make_settings: MakeSettings, nats_url: str, off_ms: int
) -> None:
    async with AsyncExitStack() as stack:
        settings = make_settings(nats_url=nats_url)
        wrong = await stack.enter_async_context(
            serve_here(settings, now=lambda: wall_now() + off_ms)
        )
        right = await stack.enter_async_context(serve_here(settings))
        await until(lambda: are_even([wrong, right]))
        _, cluster = await wrong.call("GET", "/cluster")
        assert [n["prices"] for n in cluster["nodes"] if n["node"] == cluster["node"]] == [False]
        sessions = [await wrong.new_session() for _ in range(4)]
        await wrong.tick("NIFTY", 100)
        for session_id in sessions:
            trade = await wrong.open_trade(session_id, symbol="NIFTY", entryPrice=None)
            for text in (trade["openedAt"], trade["timestamp"]):
                assert abs(to_ms(datetime.fromisoformat(text)) - wall_now()) < 10_000
