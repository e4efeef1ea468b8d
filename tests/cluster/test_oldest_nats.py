"""The oldest NATS that is supported: the one of Debian 12."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack

import pytest

from lab.site.nats_server import running_nats
from tests.kit.machine import missing
from tests.kit.nodes import are_even, foreign_session, serving_nodes
from tests.kit.server import MakeSettings
from tests.kit.waiting import until

_DEBIANS = "/usr/sbin:/usr/bin"
"""Where its program is; the one for all other tests comes from PyPI."""


@pytest.mark.slow(4)
async def test_nodes_work_with_the_oldest_nats_that_is_supported(
    make_settings: MakeSettings,
) -> None:
    program = shutil.which("nats-server", path=_DEBIANS) or missing("Debian's nats-server")
    config = 'authorization { user: node, password: "s3cret" }\n'
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(running_nats(config, program))
        settings = make_settings(nats_url=f"nats://node:s3cret@127.0.0.1:{nats.port}")
        nodes = await stack.enter_async_context(serving_nodes(settings, 2))
        for here, there in (nodes, reversed(nodes)):
            await here.tick("BANKNIFTY", 200)
            session_id = await foreign_session(here)
            trade = await here.open_trade(session_id, entryPrice=200, stopLoss=190)
            await there.tick("BANKNIFTY", 180)
            for node in nodes:
                assert (await node.closed(trade["tradeId"]))["exitReason"] == "SL"
        await nats.stop()
        await nats.start()
        await until(lambda: are_even(nodes))
