"""A node whose clock is wrong: the moments of all nodes are those of the owner of the prices."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from datetime import datetime

import pytest

from tests.kit.nodes import are_even, owns_prices
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from tests.web.guarded import KEY, Caller, caller, ticket
from vyomo_rt.clockwork import wall_now
from vyomo_rt.domain.moment import to_ms

HOUR_MS = 3_600_000


@pytest.mark.parametrize("off_ms", [-HOUR_MS, HOUR_MS])
async def test_a_node_with_a_wrong_clock_owns_no_prices_and_takes_the_time_of_the_others(
    make_settings: MakeSettings, nats_url: str, off_ms: int
) -> None:
    """What is made, opened and taken back on it is of the right moment, and tokens end in time."""
    async with AsyncExitStack() as stack:
        settings = make_settings(nats_url=nats_url, auth_key=KEY)
        served = await stack.enter_async_context(
            serve_here(settings, now=lambda: wall_now() + off_ms)
        )
        right = await stack.enter_async_context(serve_here(settings))
        wrong = token_of(served, exp_s=600)
        await until(lambda: are_even([wrong, token_of(right, exp_s=600)]))
        assert not await owns_prices(wrong)
        sessions = [await wrong.new_session() for _ in range(4)]
        await wrong.tick("NIFTY", 100)
        texts = []
        for session_id in sessions:
            trade = await wrong.open_trade(session_id, symbol="NIFTY", entryPrice=None)
            _, session = await wrong.call("GET", f"/sessions/{session_id}")
            texts += [trade["openedAt"], trade["timestamp"], session["createdAt"]]
        status, revoked = await wrong.call("POST", "/revocations", {"sub": "asha"})
        assert status == 201
        texts.append(revoked["at"])
        for text in texts:
            assert abs(to_ms(datetime.fromisoformat(text)) - wall_now()) < 10_000
        assert (await token_of(served, exp_s=-120).call("GET", "/me"))[0] == 401
        opened = await ticket(wrong, "/ws/auto-trader")
        async with right.http.ws_connect(f"{right.url}/ws/auto-trader?ticket={opened}"):
            pass


def token_of(node: Rest, exp_s: int) -> Caller:
    """An admin whose token ends so many seconds from now."""
    now_s = int(time.time())
    return caller(node, sub="root", role="admin", iat=now_s - 600, exp=now_s + exp_s)


@pytest.mark.parametrize("set_ms", [-HOUR_MS, HOUR_MS])
async def test_a_clock_that_is_set_wrong_on_the_owner_of_the_prices_is_not_followed(
    make_settings: MakeSettings, nats_url: str, set_ms: int
) -> None:
    """No moment is wrong, not even before another node owns the prices."""
    off_ms = 0
    settings = make_settings(nats_url=nats_url)
    async with AsyncExitStack() as stack:
        wrong = await stack.enter_async_context(
            serve_here(settings, now=lambda: wall_now() + off_ms)
        )
        right = await stack.enter_async_context(serve_here(settings))
        await until(lambda: are_even([wrong, right]))
        assert await owns_prices(wrong)
        session_id = await right.new_session()
        off_ms = set_ms
        while not await owns_prices(right):
            await wrong.open_trade(session_id)
        await right.open_trade(session_id)
        _, found = await right.call("GET", f"/sessions/{session_id}/events?since=0")
        moments = [each["data"]["timestamp"] for each in found["events"]]
        assert moments == sorted(moments)
        assert {
            abs(to_ms(datetime.fromisoformat(each)) - wall_now()) < 60_000 for each in moments
        } == {True}
