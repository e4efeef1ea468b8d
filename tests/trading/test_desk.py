"""Opening and closing trades by request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.trading.bench import BEGIN_MS, Bench
from vyomo_rt.domain.errors import BadRequest, Conflict, NotFound, Unavailable
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.trade import AlreadyClosed, Exit, ExitReason, Trade, TradeStatus
from vyomo_rt.domain.trade_filter import EVERY_TRADE


async def test_an_event_is_stored_before_it_is_announced(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    await bench.close(trade.trade_id)
    assert bench.store.journal == [
        f"{what} {session_id}-{seq}" for seq in (1, 2) for what in ("stored", "announced")
    ]
    await bench.assert_sound(session_id)


async def test_a_trade_opens_at_the_price_that_is_given_or_else_at_the_fresh_one(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    bench.tick(123_4500)
    given = await bench.open(session_id, 99_0025)
    assert given.entry_price_e4 == 99_0025
    assert (await bench.open(session_id, None)).entry_price_e4 == 123_4500
    assert given.opened_at_ms == BEGIN_MS


@pytest.mark.parametrize("stale", [True, None])
async def test_without_a_fresh_price_opening_needs_one(bench: Bench, stale: bool | None) -> None:
    session_id = await bench.new_session()
    if stale is not None:
        bench.tick(123_4500, stale=stale)
    with pytest.raises(Conflict, match="entryPrice"):
        await bench.open(session_id, None)
    assert bench.seq(session_id) == 0


async def test_the_fresh_price_must_lie_between_stop_and_target(bench: Bench) -> None:
    session_id = await bench.new_session()
    bench.tick(90_0000)
    with pytest.raises(BadRequest, match="stopLoss"):
        await bench.open(session_id, None, stop_e4=95_0000)
    assert bench.seq(session_id) == 0


async def test_a_symbol_that_the_feed_does_not_know_is_refused(bench: Bench) -> None:
    session_id = await bench.new_session()
    with pytest.raises(BadRequest, match="symbol"):
        await bench.open(session_id, symbol="UNKNOWN")


async def test_opening_needs_a_session(bench: Bench) -> None:
    with pytest.raises(NotFound, match="session 77"):
        await bench.open(77)


async def test_a_trade_is_closed_by_hand_at_the_price_that_is_given(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    bench.tick(105_0000)
    bench.now_ms += 1234
    closed = await bench.close(trade.trade_id, 0)
    assert closed.exit == Exit(0, ExitReason.MANUAL, BEGIN_MS + 1234)
    assert await bench.desk.records.trade(trade.trade_id) == closed
    await bench.assert_sound(session_id)


@pytest.mark.parametrize("stale", [False, True])
async def test_without_a_price_it_is_closed_at_the_last_known_one(
    bench: Bench, stale: bool
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    bench.tick(105_0000, stale=stale)
    assert (await bench.close(trade.trade_id, None)).realised_paise == 50_00


async def test_closing_without_any_price_is_a_conflict(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    with pytest.raises(Conflict, match="no price of NIFTY"):
        await bench.close(trade.trade_id, None)
    assert (await bench.desk.records.trade(trade.trade_id)).status is TradeStatus.OPEN


async def test_closing_needs_a_trade(bench: Bench) -> None:
    with pytest.raises(NotFound, match="trade 77"):
        await bench.close(77)


async def test_closing_again_is_a_conflict_that_shows_the_closed_trade(bench: Bench) -> None:
    session_id = await bench.new_session()
    closed = await bench.close((await bench.open(session_id)).trade_id, 102_0000)
    with pytest.raises(AlreadyClosed) as refused:
        await bench.close(closed.trade_id, 103_0000)
    assert refused.value.trade == closed
    await bench.assert_sound(session_id)


async def test_of_many_closes_at_once_exactly_one_wins(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    prices = [100_0000 + n * 1_0000 for n in range(1, 9)]
    outcomes = await asyncio.gather(
        *(bench.close(trade.trade_id, price_e4) for price_e4 in prices), return_exceptions=True
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, Trade)]
    assert len(won) == 1
    lost = [outcome for outcome in outcomes if isinstance(outcome, AlreadyClosed)]
    assert [refusal.trade for refusal in lost] == won * 7
    assert bench.seq(session_id) == 2
    await bench.assert_sound(session_id)


@pytest.mark.parametrize(
    "call",
    [
        lambda bench: bench.change_session(77, status=SessionStatus.PAUSED),
        lambda bench: bench.desk.records.trades(77, EVERY_TRADE, None, 10),
        lambda bench: bench.desk.records.trade(77),
    ],
    ids=["status", "trades", "trade"],
)
async def test_what_is_not_there_is_not_found(
    bench: Bench, call: Callable[[Bench], Awaitable[object]]
) -> None:
    with pytest.raises(NotFound):
        await call(bench)


async def test_commands_behind_one_that_found_the_store_away_do_not_each_wait_for_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await bench.new_session()
    waited = 0

    async def hang(_counter: str, _count: int) -> int:
        nonlocal waited
        waited += 1
        await asyncio.sleep(0.05)
        raise Unavailable("away")

    monkeypatch.setattr(bench.store, "reserve_ids", hang)
    results = await asyncio.gather(
        *(bench.open(session_id) for _ in range(10)), return_exceptions=True
    )
    assert all(isinstance(result, Unavailable) for result in results)
    assert waited == 1


async def test_an_opening_is_one_write_before_it_is_told_and_its_copy_after_it(
    bench: Bench,
) -> None:
    def writes() -> float:
        [family] = bench.store.write_time.collect()
        return next(s.value for s in family.samples if s.name.endswith("_count"))

    session_id = await bench.new_session()
    await bench.open(session_id)
    bench.store.journal.clear()
    before = writes()
    for _ in range(20):
        await bench.open(session_id)
    assert writes() - before == 2 * 20
    assert bench.store.journal == [
        f"{what} {session_id}-{seq}" for seq in range(2, 22) for what in ("stored", "announced")
    ]
