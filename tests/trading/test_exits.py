"""Trades are closed by prices."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.kit.waiting import until
from tests.trading.bench import BEGIN_MS, Bench
from vyomo_rt.domain.errors import Conflict
from vyomo_rt.domain.event import Event, EventKind
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import ClosingOrder, Operation
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.trade import AlreadyClosed, Exit, ExitReason, Trade, TradeStatus
from vyomo_rt.domain.trade_filter import EVERY_TRADE
from vyomo_rt.trading import ledger

LEVELS = {Side.BUY: (95_0000, 110_0000), Side.SELL: (105_0000, 90_0000)}


@pytest.mark.parametrize(
    ("side", "price_e4", "reason"),
    [
        (Side.BUY, 95_0000, ExitReason.SL),
        (Side.BUY, 80_0025, ExitReason.SL),
        (Side.BUY, 110_0000, ExitReason.TARGET),
        (Side.BUY, 150_0000, ExitReason.TARGET),
        (Side.SELL, 105_0000, ExitReason.SL),
        (Side.SELL, 150_0000, ExitReason.SL),
        (Side.SELL, 90_0000, ExitReason.TARGET),
        (Side.SELL, 80_0025, ExitReason.TARGET),
    ],
)
async def test_a_price_closes_a_trade_where_it_is_observed_also_behind_a_gap(
    bench: Bench, side: Side, price_e4: int, reason: ExitReason
) -> None:
    session_id = await bench.new_session()
    stop_e4, target_e4 = LEVELS[side]
    trade = await bench.open(session_id, side=side, stop_e4=stop_e4, target_e4=target_e4)
    bench.tick(100_0000)
    bench.now_ms += 500
    bench.tick(price_e4)
    await bench.reached(session_id, 2)
    closed = await bench.desk.records.trade(trade.trade_id)
    assert closed == trade.closed(Exit(price_e4, reason, BEGIN_MS + 500))
    await bench.assert_sound(session_id)


async def test_a_level_is_refused_where_no_price_could_reach_it_and_a_trade_without_is_not(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    for stop_e4, target_e4 in ((90_0000, None), (None, 110_0000)):
        with pytest.raises(Conflict, match="no stopLoss or target in CROWDED OUT could fire"):
            await bench.open(session_id, symbol="CROWDED OUT", stop_e4=stop_e4, target_e4=target_e4)
    await bench.open(session_id, symbol="CROWDED OUT")


async def test_what_an_open_trade_needs_is_wanted_until_it_is_closed_also_over_a_restart(
    bench: Bench,
) -> None:
    session_id = await bench.new_session()
    first = await bench.open(session_id)
    second = await bench.open(session_id)
    await bench.restart()
    assert list(bench.demand) == ["NIFTY"]
    await bench.close(first.trade_id)
    assert list(bench.demand) == ["NIFTY"]
    await bench.close(second.trade_id)
    assert list(bench.demand) == []


async def test_a_stale_price_triggers_nothing_until_it_is_confirmed(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000)
    bench.tick(90_0000, stale=True)
    await bench.open(session_id, symbol="OTHER")  # a command would carry out a due exit first
    assert bench.seq(session_id) == 2
    bench.tick(90_0000)
    await bench.reached(session_id, 3)
    assert (await bench.desk.records.trade(trade.trade_id)).status is TradeStatus.CLOSED


async def test_a_price_of_another_symbol_triggers_nothing(bench: Bench) -> None:
    session_id = await bench.new_session()
    await bench.open(session_id, stop_e4=95_0000)
    bench.tick(90_0000, "OTHER")
    await bench.open(session_id, symbol="OTHER")
    assert bench.seq(session_id) == 2


async def test_the_first_price_that_triggers_an_exit_decides_it(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000, target_e4=110_0000)
    for price_e4 in (94_0000, 93_0000, 120_0000, 100_0000):
        bench.tick(price_e4)
        bench.now_ms += 250
    await bench.reached(session_id, 2)
    closed = await bench.desk.records.trade(trade.trade_id)
    assert closed.exit == Exit(94_0000, ExitReason.SL, BEGIN_MS)
    assert bench.seq(session_id) == 2


async def test_a_due_exit_comes_before_a_close_by_hand(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000)
    bench.tick(94_0000)
    with pytest.raises(AlreadyClosed) as refused:
        await bench.close(trade.trade_id, 101_0000)
    assert refused.value.trade.exit == Exit(94_0000, ExitReason.SL, BEGIN_MS)
    await bench.assert_sound(session_id)


async def test_a_price_during_a_close_by_hand_changes_nothing(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000)

    def price_comes_in() -> ClosingOrder:
        bench.tick(94_0000)
        return ClosingOrder(price_e4=101_0000)

    closed, _ = await bench.desk.close_trade(trade.trade_id, Operation.internal(), price_comes_in)
    assert closed.exit == Exit(101_0000, ExitReason.MANUAL, BEGIN_MS)
    await bench.open(session_id)
    assert bench.seq(session_id) == 3
    await bench.assert_sound(session_id)


async def test_one_price_closes_all_trades_it_reaches_in_every_session(bench: Bench) -> None:
    sessions = [await bench.new_session() for _ in range(2)]
    for session_id in sessions:
        for stop_e4 in (95_0000, 96_0000, 80_0000):
            await bench.open(session_id, stop_e4=stop_e4)
    bench.tick(94_0000)
    for session_id in sessions:
        await bench.reached(session_id, 5)
        left = bench.replica.state(session_id).open_trades.values()
        assert [trade.stop_loss_e4 for trade in left] == [80_0000]
        await bench.assert_sound(session_id)


@pytest.mark.parametrize("status", [SessionStatus.PAUSED, SessionStatus.HALTED])
async def test_exits_go_on_in_a_session_that_opens_nothing(
    bench: Bench, status: SessionStatus
) -> None:
    session_id = await bench.new_session()
    await bench.open(session_id, stop_e4=95_0000)
    by_hand = await bench.open(session_id)
    await bench.change_session(session_id, status=status)
    with pytest.raises(Conflict, match=f"is {status}"):
        await bench.open(session_id)
    bench.tick(94_0000)
    await bench.reached(session_id, 3)
    await bench.close(by_hand.trade_id)
    await bench.assert_sound(session_id)


async def test_a_price_that_reaches_the_stop_while_the_opening_is_stored_closes_the_trade(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices count from the moment of the opening, not from the answer of the store."""
    session_id = await bench.new_session()
    append = bench.store.append

    async def meanwhile(events: Sequence[Event]) -> None:
        if events[0].kind is EventKind.OPENED:
            bench.tick(94_0000)
        await append(events)

    monkeypatch.setattr(bench.store, "append", meanwhile)
    await bench.open(session_id, stop_e4=95_0000)
    bench.tick(99_0000)
    await bench.reached(session_id, 2)
    await bench.assert_sound(session_id)
    [trade] = await bench.desk.records.trades(session_id, EVERY_TRADE, None, 10)
    assert trade.exit is not None
    assert (trade.exit.price_e4, trade.exit.reason) == (94_0000, ExitReason.SL)


async def test_exits_that_are_latched_while_another_one_is_written_come_before_a_command(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ladder of stops in a falling market; the last one falls while the first is written."""
    session_id = await bench.new_session()
    first = await bench.open(session_id, stop_e4=98_0000)
    second = await bench.open(session_id, stop_e4=97_0000)
    append, falls = bench.store.append, iter([96_9000, 97_5000])

    async def append_slowly(events: Sequence[Event]) -> None:
        await append(events)
        if (price_e4 := next(falls, None)) is not None:
            bench.tick(price_e4)

    monkeypatch.setattr(bench.store, "append", append_slowly)
    bench.tick(97_9000)
    with pytest.raises(AlreadyClosed):
        await bench.close(second.trade_id, 97_5000)
    closed = await bench.desk.records.trade(second.trade_id)
    assert closed.exit == Exit(96_9000, ExitReason.SL, bench.now_ms)
    assert (await bench.desk.records.trade(first.trade_id)).exit is not None


async def test_an_opening_is_filled_at_the_price_of_the_step_in_which_it_enters_the_books(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is drawn before; what the price does meanwhile is neither used nor missed."""
    session_id = await bench.new_session()
    bench.tick(98_0000)
    reserve, append = bench.store.reserve_ids, bench.store.append

    async def reserve_slowly(counter: str, count: int) -> int:
        first = await reserve(counter, count)
        bench.tick(90_0000)
        return first

    async def append_slowly(events: Sequence[Event]) -> None:
        bench.tick(88_0000)
        await append(events)

    monkeypatch.setattr(bench.store, "reserve_ids", reserve_slowly)
    monkeypatch.setattr(bench.store, "append", append_slowly)
    trade = await bench.open(session_id, None, stop_e4=89_0000)
    assert trade.entry_price_e4 == 90_0000
    await bench.reached(session_id, 2)
    closed = await bench.desk.records.trade(trade.trade_id)
    assert closed.exit is not None
    assert (closed.exit.price_e4, closed.exit.reason) == (88_0000, ExitReason.SL)


async def test_of_a_mass_of_exits_all_are_stored_and_told_before_the_first_copy_is_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the copies are written a few at a time, so that commands come in between."""
    session_id, stops = await bench.new_session(), 50
    for _ in range(stops):
        await bench.open(session_id, stop_e4=95_0000)
    save_copy, done = bench.store.save_copy, bench.store.journal
    done.clear()

    async def save(trade: Trade, seq: int) -> None:
        done.append(f"copied {trade.trade_id}")
        await save_copy(trade, seq)

    monkeypatch.setattr(bench.store, "save_copy", save)
    bench.tick(94_0000)
    await bench.reached(session_id, 2 * stops)
    trade = await bench.open(session_id)
    done.append("answered")
    assert not any(line.startswith("copied") for line in done[: 2 * stops])
    assert done.index("answered") < 2 * stops + 2 + stops, "it waits for some of the copies at most"
    await until(lambda: f"copied {trade.trade_id}" in done)
    await bench.assert_sound(session_id)


async def test_a_checkpoint_in_the_midst_of_a_mass_of_exits_waits_for_their_copies(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start takes what is open at a checkpoint from the copies."""
    monkeypatch.setattr(ledger, "CHECKPOINT_EVERY", 7)
    session_id = await bench.new_session()
    for _ in range(10):
        await bench.open(session_id, stop_e4=95_0000)
    bench.store.refuses_copies = True
    bench.tick(94_0000)
    await bench.reached(session_id, 20)
    await bench.desk.stop()
    ((_, figures),) = await bench.store.load_sessions()
    assert figures is not None
    assert figures.seq == 7
    before = bench.replica.state(session_id)
    bench.store.refuses_copies = False
    await bench.restart()
    assert bench.replica.state(session_id) == before
    await bench.assert_sound(session_id)
