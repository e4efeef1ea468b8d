"""Kept P&L frames are at any time what would be made anew, and are made anew only on a change."""

from __future__ import annotations

from collections.abc import Mapping
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.trade import Trade
from vyomo_rt.stream import pnl as pnl_module
from vyomo_rt.stream.pnl import BEGIN, Page, PnlFrames
from vyomo_rt.wire.frame import Frame
from vyomo_rt.wire.trade import pnl_update

SYMBOLS = ["A", "B", "C"]


def trade(trade_id: int, symbol: str, quantity: int = 10) -> Trade:
    return Trade(trade_id, 6, symbol, Side.BUY, quantity, 100_0000, 0)


def quote(symbol: str, price: int, *, stale: bool = False, as_of_ms: int = 0) -> Quote:
    return Quote(symbol, price * 10_000, as_of_ms, "test", stale)


def pages(pnl: PnlFrames, open_trades: Mapping[int, Trade]) -> list[Page]:
    found = [pnl.page(open_trades, BEGIN)]
    while not found[-1].is_last:
        found.append(pnl.page(open_trades, found[-1].upto))
    return found


def all_frames(pnl: PnlFrames, open_trades: Mapping[int, Trade]) -> list[Frame]:
    return [frame for page in pages(pnl, open_trades) for frame in page.frames]


changes = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(1, 12), st.sampled_from(SYMBOLS)),
        st.tuples(st.just("change"), st.integers(1, 12), st.integers(1, 3)),
        st.tuples(st.just("quote"), st.sampled_from(SYMBOLS), st.integers(95, 97), st.booleans()),
    ),
    max_size=40,
)


@given(changes)
def test_pages_hold_every_priced_open_trade_once_by_id_at_its_newest_price(
    story: list[tuple[object, ...]],
) -> None:
    quotes: dict[str, Quote] = {}
    open_trades = {5: trade(5, "A"), 2: trade(2, "B")}
    with patch.object(pnl_module, "PAGE", 3):
        pnl = PnlFrames(open_trades, quotes.get)
        for change in story:
            match change:
                case ("trade", int(trade_id), str(symbol)):
                    if open_trades.pop(trade_id, None) is None:
                        open_trades[trade_id] = trade(trade_id, symbol)
                    pnl.follow(trade_id, open_trades)
                case ("change", int(trade_id), int(quantity)) if trade_id in open_trades:
                    symbol = open_trades[trade_id].symbol
                    open_trades[trade_id] = trade(trade_id, symbol, quantity)
                    pnl.follow(trade_id, open_trades)
                case ("quote", str(symbol), int(price), bool(stale)):
                    quotes[symbol] = quote(symbol, price, stale=stale)
            assert all_frames(pnl, open_trades) == [
                pnl_update(open_trades[trade_id], quotes[open_trades[trade_id].symbol])
                for trade_id in sorted(open_trades)
                if open_trades[trade_id].symbol in quotes
            ]
            assert max(len(page.frames) for page in pages(pnl, open_trades)) <= 3


def test_only_what_changed_is_encoded_anew() -> None:
    open_trades = {n: trade(n, "A" if n % 2 else "B") for n in range(1, 101)}
    quotes = {"A": quote("A", 100), "B": quote("B", 100)}
    pnl = PnlFrames(open_trades, quotes.get)
    with patch("vyomo_rt.stream.pnl.pnl_update", wraps=pnl_update) as encode:
        counts = []
        for change in (None, None, quote("A", 100, as_of_ms=5), quote("A", 101)):
            if change is not None:
                quotes["A"] = change
            encode.reset_mock()
            all_frames(pnl, open_trades)
            counts.append(encode.call_count)
        open_trades[7] = trade(7, "A", quantity=3)
        encode.reset_mock()
        all_frames(pnl, open_trades)
    assert counts == [100, 0, 0, 50]
    assert encode.call_count == 1


def test_a_page_is_no_longer_current_once_one_of_its_prices_has_changed() -> None:
    open_trades = {1: trade(1, "A"), 2: trade(2, "B")}
    quotes = {"A": quote("A", 100)}
    page = (pnl := PnlFrames(open_trades, quotes.get)).page(open_trades, BEGIN)
    quotes["C"] = quote("C", 1)
    assert pnl.is_current(page)
    quotes["A"] = quote("A", 100, stale=True)
    assert not pnl.is_current(page)
    quotes["A"], quotes["B"] = quote("A", 100), quote("B", 1)
    assert not pnl.is_current(page), "the first price of a symbol"
