"""Notices of several nodes: one of them tells of all sessions, and the next goes on from there."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tests.kit.nodes import are_even, owns_prices
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from tests.notices.receiving import Hook, hook


async def test_each_event_is_told_once_by_whichever_node_and_in_order(
    make_settings: MakeSettings, nats_url: str
) -> None:
    """Sessions of all shards; the node that tells stops meanwhile."""
    async with hook() as receiver:
        settings = make_settings(nats_url=nats_url, notify_url=receiver.url)
        async with AsyncExitStack() as stack, AsyncExitStack() as first:
            here = await first.enter_async_context(serve_here(settings))
            await until(lambda: owns_prices(here))
            there = await stack.enter_async_context(serve_here(settings))
            await until(lambda: are_even([here, there]))
            sessions = [await here.new_session() for _ in range(4)]
            for node in (here, there):
                await trade_in(node, sessions)
            await until(lambda: all_told(receiver, sessions, 4))
            await first.aclose()
            await until(lambda: owns_prices(there))
            sessions.append(await there.new_session())
            await trade_in(there, sessions)
            await until(lambda: all_told(receiver, sessions[:4], 6))
            await until(lambda: all_told(receiver, sessions[4:], 2))


async def trade_in(node: Rest, sessions: list[int]) -> None:
    for session_id in sessions:
        trade = await node.open_trade(session_id)
        await node.close_trade(trade["tradeId"], 200)


def all_told(receiver: Hook, sessions: list[int], upto: int) -> bool:
    """Whether all events were told; that each was told once and in its turn is required."""
    told = [[each.seq for each in receiver.of(session_id)] for session_id in sessions]
    for seqs in told:
        assert seqs == [*range(1, len(seqs) + 1)]
    return all(len(seqs) == upto for seqs in told)
