"""Sources of prices that one node runs for all."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from tests.kit.nodes import are_even, owns_prices
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching
from tests.kit.waiting import until
from tests.market.feeds.serving import serving
from tests.market.feeds.yahoo import FAST, MockYahoo
from vyomo_rt.clockwork import wall_now
from vyomo_rt.market.feeds.yahoo.feed import YahooFeed


async def test_what_is_watched_on_any_node_is_asked_for_by_one_and_known_on_all(
    make_settings: MakeSettings, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also once the node that asks has stopped."""
    monkeypatch.setattr(YahooFeed, "pace", FAST)
    mock = MockYahoo(wall_now() - 5000)
    async with serving(mock), AsyncExitStack() as stack, AsyncExitStack() as first:
        settings = make_settings(feed=("yahoo",), yahoo_url=mock.url, nats_url=nats_url)
        owner = await first.enter_async_context(serve_here(settings))
        await until(lambda: owns_prices(owner))
        other = await stack.enter_async_context(serve_here(settings))
        await until(lambda: are_even([owner, other]))
        async with watching("ws", other.url, symbols=["NIFTY"]) as watcher:
            assert (await watcher.next("price_update"))["data"]["price"] == 24190.05
            async with watching("ws", owner.url, symbols=["TCS"]) as at_owner:
                await at_owner.next("price_update")
            for node in (owner, other):
                await until(partial(close_of, node, "NIFTY"))
            assert await close_of(owner, "NIFTY") == await close_of(other, "NIFTY")
        await first.aclose()
        async with watching("ws", other.url, symbols=["RELIANCE"]) as watcher:
            await watcher.next("price_update")


async def close_of(node: Rest, symbol: str) -> tuple[Any, Any] | None:
    """The price of the session before, and its date."""
    _, found = await node.call("GET", f"/instruments?symbols={symbol}")
    [instrument] = found["instruments"]
    close = instrument.get("previousClose")
    return None if close is None else (close, instrument["previousCloseDate"])
