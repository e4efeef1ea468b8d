"""Readable copies of trades: the newest stays, and they are found by page and filter."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from vyomo_rt.domain.moment import DAY_MS, day_start_ms
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.trade import Exit, ExitReason, Trade, TradeStatus
from vyomo_rt.domain.trade_filter import TradeFilter
from vyomo_rt.store import trades as trades_module
from vyomo_rt.store.database import BATCH
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.trade_documents import from_trade

if TYPE_CHECKING:
    from collections.abc import Callable

    from vyomo_rt.domain.event import TradeEvent
    from vyomo_rt.store.client import Client

    MakeOpening = Callable[..., TradeEvent]
    OpenClient = Callable[[str], Client]


async def test_an_older_copy_of_a_trade_never_overwrites(
    store: MongoStore, opening: MakeOpening
) -> None:
    opened = opening(1).trade
    closed = opened.closed(Exit(221_510_000, ExitReason.MANUAL, 1_785_200_001_000))
    await store.save_copy(opened, 1)
    assert await store.trade(opened.trade_id) == opened
    await store.save_copy(closed, 9)
    await store.save_copy(opened, 1)
    await store.save_copy(closed, 9)
    assert await store.trade(opened.trade_id) == closed
    assert await store.projected_seqs(Trade, [opened.trade_id, 12345]) == {opened.trade_id: 9}


async def test_of_copies_saved_at_once_the_newest_stays(
    store: MongoStore, opening: MakeOpening
) -> None:
    opened = opening(1).trade
    closed = opened.closed(Exit(1, ExitReason.RISK, 1_785_200_001_000))
    await asyncio.gather(
        *(store.save_copy(closed if seq == 20 else opened, seq) for seq in range(1, 21))
    )
    assert await store.trade(opened.trade_id) == closed


async def test_trades_are_paged_newest_first(store: MongoStore, opening: MakeOpening) -> None:
    exit_ = Exit(1, ExitReason.SL, 1_785_200_001_000)
    trades = [opening(seq).trade for seq in range(1, 8)]
    trades = [trade.closed(exit_) if trade.trade_id % 2 else trade for trade in trades]
    for trade in [*trades, opening(50, session_id=7).trade]:
        await store.save_copy(trade, 1)

    async def ids(status: TradeStatus | None, before: int | None, limit: int) -> list[int]:
        return [
            trade.trade_id
            for trade in await store.trades(6, TradeFilter(status=status), before, limit)
        ]

    assert await ids(None, None, 3) == [107, 106, 105]
    assert await ids(None, 105, 3) == [104, 103, 102]
    assert await ids(TradeStatus.CLOSED, None, 10) == [107, 105, 103, 101]
    assert await ids(TradeStatus.OPEN, 106, 10) == [104, 102]
    assert [t.trade_id async for t in store.open_trades()] == [102, 104, 106, 150]
    assert await store.highest_id(Trade) == 150


async def test_a_filter_finds_the_trades_that_it_accepts_newest_first_page_by_page(
    store: MongoStore, opening: MakeOpening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if only a few are looked at in one read. Of open ones memory knows the days."""
    monkeypatch.setattr(trades_module, "_LOOKED_AT", 5)
    day, trades = date(2026, 7, 28), []
    for seq in range(1, 31):
        trade = replace(opening(seq).trade, side=Side.BUY if seq % 3 else Side.SELL)
        trade = replace(trade, symbol="NIFTY" if seq % 2 else "BANKNIFTY")
        trade = replace(trade, tags=("morning", "gap")[: seq % 3])
        if seq % 5:
            closed_ms = day_start_ms(day + timedelta(days=seq // 8)) + seq % 4 * (DAY_MS - 1) // 3
            trade = trade.closed(Exit(1, ExitReason.SL, closed_ms))
        trades.append(trade)
    trades.reverse()
    for trade in trades:
        await store.save_copy(trade, 1)

    for wanted in (
        TradeFilter(symbol="BANKNIFTY"),
        TradeFilter(side=Side.SELL),
        TradeFilter(tag="gap"),
        TradeFilter(tag="ga"),
        TradeFilter(tag="gap", side=Side.BUY, status=TradeStatus.CLOSED, symbol="NIFTY"),
        TradeFilter(tag="morning", status=TradeStatus.CLOSED, first_day=date(2026, 7, 29)),
        TradeFilter(side=Side.SELL, symbol="NIFTY", status=TradeStatus.CLOSED),
        TradeFilter(status=TradeStatus.CLOSED, first_day=date(2026, 7, 30)),
        TradeFilter(status=TradeStatus.CLOSED, last_day=date(2026, 7, 28)),
        TradeFilter(first_day=date(2026, 7, 29), last_day=date(2026, 7, 29), side=Side.BUY),
        TradeFilter(first_day=date(2027, 1, 1)),
    ):
        expected = [trade for trade in trades if wanted.accepts(trade)]
        if wanted.has_days:
            expected = [trade for trade in expected if trade.exit is not None]
        assert await store.trades(6, wanted, None, 100) == expected
        assert await store.trades(6, wanted, None, 2) == expected[:2]
        if len(expected) > 2:
            assert await store.trades(6, wanted, expected[1].trade_id, 1) == expected[2:3]


async def test_all_open_trades_are_found_however_many_there_are(
    store: MongoStore, opening: MakeOpening
) -> None:
    ids = range(1, 2 * BATCH + 1)
    for start in range(0, len(ids), 100):  # in one piece it would take a busy machine too long
        await store.database["trades"].insert_many(
            [
                {"_id": id_, "seq": 1, **from_trade(opening(1, trade_id=id_).trade)}
                for id_ in ids[start : start + 100]
            ]
        )
    assert [trade.trade_id async for trade in store.open_trades()] == [*ids]
    assert await store.projected_seqs(Trade, [*ids, 10**9]) == dict.fromkeys(ids, 1)
