"""Charges of a session's trades: fixed at the entry, counted at each exit, kept over a restart."""

from __future__ import annotations

import pytest

from tests.trading.bench import ROLL_OVER_MS, Bench
from tests.trading.entries import place
from vyomo_rt.domain.charges import ChargePlan, Charges, added
from vyomo_rt.domain.halt import HaltOrder
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.trade import Trade
from vyomo_rt.exchange.charges import shipped_tariff
from vyomo_rt.store.verification import verify

INTRADAY, OPTIONS, FUTURES = ChargePlan


def charges(plan: ChargePlan, side: Side, quantity: int, price_e4: int) -> Charges:
    found = shipped_tariff().order_charges(plan, side, quantity, price_e4, ROLL_OVER_MS)
    assert found is not None
    return found


@pytest.fixture
async def session_id(bench: Bench) -> int:
    """A session that is charged for options."""
    return await bench.new_session(charges=OPTIONS)


async def trade_of(bench: Bench, trade: Trade) -> Trade:
    return await bench.desk.records.trade(trade.trade_id)


async def assert_verified(bench: Bench) -> None:
    said: list[str] = []
    assert "no differences" in str(await verify(bench.store, said.append)), said


@pytest.mark.parametrize("way", ["request", "stop", "target", "kill", "square-off"])
@pytest.mark.parametrize("side", Side)
async def test_every_way_out_is_charged(
    bench: Bench, session_id: int, way: str, side: Side
) -> None:
    s = side.sign
    trade = await bench.open(
        session_id, side=side, stop_e4=(100 - s) * 10_000, target_e4=(100 + s) * 10_000
    )
    price_e4 = {"stop": 100 - s, "target": 100 + s}.get(way, 100) * 10_000
    bench.tick(price_e4)
    if way == "request":
        await bench.close(trade.trade_id, price_e4)
    elif way == "kill":
        kill = HaltOrder(halt=True, close_all=True)
        await bench.desk.close_all(session_id, Operation.asked(by=None), lambda: kill)
    elif way == "square-off":
        await bench.change_session(session_id, rules={"square_off_min": 23 * 60 + 59})
        bench.now_ms = ROLL_OVER_MS - 60_000
        bench.desk.pass_time()
    await bench.reached(session_id, 4 if way in ("kill", "square-off") else 3)
    closed = await trade_of(bench, trade)
    entry = charges(OPTIONS, side, 10, 100_0000)
    exit_ = charges(OPTIONS, side.opposite, 10, price_e4)
    assert closed.entry_charges == entry
    assert closed.exit is not None
    assert (closed.exit.charges, closed.charges) == (exit_, added(entry, exit_))
    figures = bench.replica.state(session_id).figures
    assert figures.charges_paise == entry.total_paise + exit_.total_paise
    await bench.assert_sound(session_id)
    await assert_verified(bench)


async def test_a_change_of_the_setting_counts_for_the_exits_that_follow(
    bench: Bench, session_id: int
) -> None:
    trade = await bench.open(session_id)
    entry = charges(OPTIONS, Side.BUY, 10, 100_0000)
    await bench.close(trade.trade_id, 101_0000, quantity=3)
    await bench.change_session(session_id, charges=FUTURES)
    await bench.close(trade.trade_id, 101_0000, quantity=3)
    await bench.change_session(session_id, charges=None)
    free = await bench.close(trade.trade_id, 101_0000, quantity=1)
    share = entry.share(1, 10)
    assert free.newest_part_charges == share
    await bench.restart()
    await bench.close(trade.trade_id, 101_0000)
    exits = [charges(plan, Side.SELL, 3, 101_0000) for plan in (OPTIONS, FUTURES)]
    closed = await trade_of(bench, trade)
    assert closed.charges == added(entry, added(*exits))
    state = bench.replica.state(session_id)
    assert closed.charges is not None
    assert state.figures.charges_paise == closed.charges.total_paise
    assert state.net_today_paise == 10_00 - closed.charges.total_paise
    await assert_verified(bench)


async def test_a_trade_that_was_opened_without_charges_pays_only_its_exit(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    await bench.change_session(session_id, charges=INTRADAY)
    closed = await bench.close(trade.trade_id, 101_0000)
    assert closed.charges == charges(INTRADAY, Side.SELL, 10, 101_0000)
    other = await bench.new_session()
    gross = await bench.close((await bench.open(other)).trade_id)
    assert gross.charges is None
    assert bench.replica.state(other).figures.charge_days == {}


async def test_charges_count_on_the_day_of_their_part_also_after_a_restart(
    bench: Bench, session_id: int
) -> None:
    trade = await bench.open(session_id)
    bench.now_ms = ROLL_OVER_MS - 1
    part = await bench.close(trade.trade_id, 101_0000, quantity=5)
    bench.now_ms = ROLL_OVER_MS
    await bench.days.roll_over()
    assert bench.replica.state(session_id).net_today_paise == 0
    ledger = await bench.desk.sessions.ledger(session_id)
    await ledger.keep()
    await bench.restart()
    await bench.close(trade.trade_id, 101_0000)
    closed = await trade_of(bench, trade)
    assert closed.charges is not None
    assert part.charges is not None
    cost = closed.charges.total_paise - part.charges.total_paise
    assert bench.replica.state(session_id).net_today_paise == 5_00 - cost
    assert bench.replica.state(session_id).figures.wins == 1, "gross"
    await assert_verified(bench)


async def test_a_pending_entry_is_charged_when_it_is_filled(bench: Bench, session_id: int) -> None:
    await place(bench, session_id, price_e4=99_0000)
    bench.tick(98_0000)
    await bench.reached(session_id, 3)
    [trade] = bench.replica.state(session_id).open_trades.values()
    assert trade.entry_charges == charges(OPTIONS, Side.BUY, 10, 98_0000)
