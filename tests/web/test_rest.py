"""REST, as a client meets it."""

from tests.support import Rest


async def test_the_originals_worked_example(server: Rest) -> None:
    """Bought 50 at 195.25, now 196.30: 52.5 and 0.54 %; capital 50000 + 1245.75."""
    session_id = await server.new_session(50_000)
    first = await server.open_trade(session_id, symbol="NIFTY", quantity=75, entryPrice=22150.5)
    await server.close_trade(first["tradeId"], 22167.11)
    await server.open_trade(session_id)
    await server.tick("BANKNIFTY", 196.30)
    _, session = await server.call("GET", f"/sessions/{session_id}")
    assert session["currentCapital"] == 51245.75
    assert session["totalPnL"] == 1245.75
    assert (session["totalTrades"], session["winRate"]) == (2, 100)
    assert session["unrealizedPnL"] == 52.5
