"""The market's time and the world's, which a replay takes apart."""

from __future__ import annotations

from tests.kit.server import MakeSettings, serve_here
from vyomo_rt.domain.moment import Clocks, MarketMs, WallMs, iso

MARKET_MS = 1_700_000_000_000
WALL_MS = 1_800_000_000_000


async def test_trades_prices_and_days_go_by_the_market_and_what_is_created_or_sent_by_the_world(
    make_settings: MakeSettings,
) -> None:
    clocks = Clocks(market=lambda: MarketMs(MARKET_MS), wall=lambda: WallMs(WALL_MS))
    async with serve_here(make_settings(), clocks=clocks) as rest:
        await rest.tick("NIFTY", 100)
        session_id = await rest.new_session()
        trade = await rest.open_trade(session_id, symbol="NIFTY", entryPrice=100)
        await rest.close_trade(trade["tradeId"])
        _, session = await rest.call("GET", f"/sessions/{session_id}")
        _, closed = await rest.call("GET", f"/trades/{trade['tradeId']}")
        _, prices = await rest.call("GET", "/prices")
    assert [session["createdAt"], session["timestamp"]] == [iso(WALL_MS)] * 2
    assert [closed["openedAt"], closed["closedAt"]] == [iso(MARKET_MS)] * 2
    [price] = prices["prices"]
    assert (price["asOf"], price["timestamp"], price["stale"]) == (
        iso(MARKET_MS),
        iso(WALL_MS),
        False,
    )
