"""Which symbols the board forgets when it is full, and which it never does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.rest import Rest
from tests.kit.streams import watching
from tests.market.market import START_MS, Market
from vyomo_rt.domain.quote import Quote
from vyomo_rt.market import places

ROOM = 3


@pytest.fixture(autouse=True)
def small_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_SYMBOLS", ROOM)


@pytest.fixture
def market() -> Market:
    market = Market()
    for symbol in "ABC":
        market.tick(100, symbol)
    market.book.changed.clear()
    return market


def held(market: Market) -> str:
    return " ".join(sorted(quote.symbol for quote in market.board.quotes()))


def test_a_new_symbol_takes_the_place_of_the_one_whose_tick_is_oldest(market: Market) -> None:
    market.tick(101, "A")
    market.tick(100, "D")
    assert held(market) == "A C D"
    assert market.book.changed == {"A", "B", "D"}, "who saves prices learns that one is gone"
    assert market.board.quote("B") is None
    assert market.board.confirmed("B") is None


def test_what_somebody_wants_stays_however_old_it_is(market: Market) -> None:
    market.demand.wanted(["A", "B"])
    market.demand.wanted(["A"])
    for symbol in ("JUNK1", "JUNK2", "D"):
        market.tick(100, symbol)
    assert held(market) == "A B D"
    market.demand.released(["A"])
    market.tick(100, "E")
    assert held(market) == "A B E", "one still wants it"
    market.demand.released(["A"])
    for symbol in ("F", "G"):
        market.tick(100, symbol)
    assert held(market) == "B F G"


def test_when_all_are_wanted_a_new_one_is_refused_with_the_reason(market: Market) -> None:
    market.demand.wanted(["A", "B", "C"])
    reason = market.accept("D", 100)
    assert reason == "no room for D: the server holds 3 symbols that are in use"
    assert not market.board.reserve("D")
    assert market.board.reserve("A")
    market.tick(101, "A")
    market.demand.released(["C"])
    assert market.board.reserve("D")
    assert market.board.quote("D") is None
    market.demand.wanted(["D"])
    assert market.accept("E", 100) is not None, "the place is kept for the first price"
    market.tick(100, "D")
    assert held(market) == "A B D"


def test_a_restart_keeps_what_open_trades_need_and_then_the_newest(market: Market) -> None:
    restarted = Market()
    restarted.demand.wanted(["OLD", "NEVER"])
    kept = {"OLD": 0, "A": 3, "B": 5, "C": 4}
    restarted.board.restore(
        restarted.book,
        (Quote(symbol, 100, START_MS + ms, "ingest", stale=True) for symbol, ms in kept.items()),
    )
    assert held(restarted) == "B OLD"
    assert restarted.book.changed == {"A", "C"}, "so that the store forgets them, too"
    restarted.tick(100, "D")
    assert held(restarted) == "D OLD"
    restarted.tick(100, "NEVER")
    assert held(restarted) == "D NEVER OLD"


symbols = st.sampled_from("ABCDEFGH")
steps = st.one_of(
    st.tuples(st.just("tick"), symbols, st.integers(50, 200)),
    st.tuples(st.just("want"), symbols, st.none()),
    st.tuples(st.just("release"), symbols, st.none()),
)


@settings(deadline=None)
@given(st.lists(steps, max_size=60))
def test_whatever_comes_no_wanted_symbol_is_forgotten_and_room_is_found_while_there_is_any(
    taken: list[tuple[str, str, int | None]],
) -> None:
    market, wanted = Market(), []
    for step, symbol, price_e4 in taken:
        before = {quote.symbol for quote in market.board.quotes()}
        if step == "want":
            market.demand.wanted([symbol])
            wanted.append(symbol)
        elif step == "release" and symbol in wanted:
            market.demand.released([symbol])
            wanted.remove(symbol)
        elif price_e4 is not None:
            refused = market.accept(symbol, price_e4) is not None
            assert refused == (symbol not in before and len(before & set(wanted)) == ROOM)
        after = {quote.symbol for quote in market.board.quotes()}
        assert before & set(wanted) <= after
        assert len(after) <= ROOM
        assert set(market.demand) == set(wanted)


async def test_a_trade_and_a_watcher_keep_their_symbols_and_a_stop_that_could_not_fire_is_refused(
    server: Rest,
) -> None:
    session_id = await server.new_session()
    for symbol in ("TRADED", "WATCHED", "ANY"):
        await server.tick(symbol, 100)
    order = {"symbol": "TRADED", "entryPrice": 100, "stopLoss": 90}
    trade = await server.open_trade(session_id, **order)
    async with watching("ws", server.url, symbols=["WATCHED"]) as watcher:
        for number in range(10):
            await server.tick(f"JUNK{number}", 100)
        _, answer = await server.call("GET", "/prices")
        assert [price["symbol"] for price in answer["prices"]] == ["TRADED", "WATCHED", "JUNK9"]
        await server.open_trade(session_id, symbol="JUNK9", entryPrice=100, target=200)
        new = {"symbol": "NEW", "quantity": 1, "entryPrice": 100}
        path = f"/sessions/{session_id}/trades"
        status, problem = await server.call("POST", path, new | {"stopLoss": 90})
        assert (status, problem["code"]) == (409, "conflict")
        assert "no stopLoss or target in NEW could fire" in problem["detail"]
        status, _ = await server.call("POST", path, new)
        assert status == 201, "without a level it needs no price"
        await watcher.next("price_update")
    await server.tick("TRADED", 89)
    assert (await server.closed(trade["tradeId"]))["exitReason"] == "SL"
