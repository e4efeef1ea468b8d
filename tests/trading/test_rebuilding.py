"""What a desk knows after a restart: exactly what it knew before."""

from __future__ import annotations

import random

import pytest
from pymongo import WriteConcern

from tests.trading.bench import BEGIN_MS, ROLL_OVER_MS, Bench
from vyomo_rt.domain.errors import Conflict
from vyomo_rt.domain.event import EventKind, TradeEvent
from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Exit, ExitReason, Trade, TradeStatus
from vyomo_rt.domain.trade_filter import TradeFilter
from vyomo_rt.store import documents
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.trade_documents import from_trade
from vyomo_rt.trading import ledger


async def trade_at_random(bench: Bench, session_id: int, steps: int, seed: int) -> None:
    """Open and close trades, by hand and by prices, ten minutes after each other."""
    chance = random.Random(seed)
    for _ in range(steps):
        bench.now_ms += 600_000
        await bench.days.roll_over()
        await bench.change_session(session_id, status=SessionStatus.ACTIVE)  # due exits come first
        open_trades = list(bench.replica.state(session_id).open_trades)
        if len(open_trades) > 3 or (open_trades and chance.random() < 0.4):
            await bench.close(chance.choice(open_trades), chance.randrange(80_0000, 120_0000))
        else:
            side, entry_e4 = chance.choice(list(Side)), chance.randrange(98_0000, 102_0000)
            stop_e4 = entry_e4 - side.sign * chance.randrange(5000, 5_0000)
            await bench.open(session_id, entry_e4, side=side, stop_e4=stop_e4)
        bench.tick(chance.randrange(99_0000, 101_0000))
    await bench.change_session(session_id, status=SessionStatus.ACTIVE)


@pytest.mark.parametrize("checkpoint_every", [7, 1000])
async def test_a_restart_changes_nothing(
    bench: Bench, checkpoint_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "CHECKPOINT_EVERY", checkpoint_every)
    bench.now_ms = ROLL_OVER_MS - 3 * 3_600_000
    sessions = [await bench.new_session() for _ in range(3)]
    for seed, session_id in enumerate(sessions[:2]):
        await trade_at_random(bench, session_id, steps=30, seed=seed)  # midnight in the first
        await bench.assert_sound(session_id)
    await bench.change_session(sessions[0], status=SessionStatus.HALTED)
    before = bench.replica.states()
    assert any(state.today_paise for state in before)
    assert any(state.open_trades for state in before)
    checkpoints = [checkpoint for _, checkpoint in await bench.store.load_sessions()]
    assert (checkpoints[0] is not None) == (checkpoint_every == 7)

    await bench.restart()
    assert bench.replica.states() == before
    for session_id in sessions[:2]:
        await bench.assert_sound(session_id)
        await trade_at_random(bench, session_id, steps=3, seed=99)
        await bench.assert_sound(session_id)


async def test_a_restart_on_a_later_day_begins_the_day(bench: Bench) -> None:
    session_id = await bench.new_session()
    await bench.close((await bench.open(session_id)).trade_id)
    bench.now_ms = ROLL_OVER_MS
    await bench.restart()
    state = bench.replica.state(session_id)
    assert (state.today, state.today_paise) == (trading_day(ROLL_OVER_MS), 0)
    assert state.figures.realised_paise == 10_00


async def test_after_a_restart_prices_still_close_what_was_open(bench: Bench) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id, stop_e4=95_0000)
    await bench.restart()
    bench.tick(94_0000)
    await bench.reached(session_id, 2)
    assert (await bench.desk.records.trade(trade.trade_id)).exit == Exit(
        94_0000, ExitReason.SL, BEGIN_MS
    )
    await bench.assert_sound(session_id)


def long_history(session_id: int, count: int) -> list[TradeEvent]:
    """Events that open trades and close them, with about ten open at any time."""
    events: list[TradeEvent] = []
    open_trades: list[Trade] = []
    for seq in range(1, count + 1):
        at_ms = ROLL_OVER_MS - 2_000_000 + seq * 2000
        if len(open_trades) < 10 or seq % 2:
            trade = Trade(
                seq,
                session_id,
                "NIFTY",
                Side.BUY,
                10,
                100_0000 + seq,
                opened_at_ms=at_ms,
            )
            open_trades.append(trade)
            kind = EventKind.OPENED
        else:
            exit_ = Exit(100_0000 + (seq % 7) * 500, ExitReason.MANUAL, at_ms)
            trade = open_trades.pop(seq % len(open_trades)).closed(exit_)
            kind = EventKind.CLOSED
        message = f'{{"type":"{kind}","seq":{seq}}}'
        events.append(
            TradeEvent(
                session_id=session_id,
                seq=seq,
                kind=kind,
                message=message,
                trade=trade,
                operation_id=f"op {seq}",
                request_hash="",
            )
        )
    return events


async def seed_history(store: MongoStore, events: list[TradeEvent]) -> None:
    """Write events and the copies of their trades without a sync for each."""
    fast = WriteConcern(1)
    copies = {event.trade.trade_id: event for event in events}
    collections = (
        (store.database["events"], [documents.from_event(event) for event in events]),
        (
            store.database["trades"],
            [
                {"_id": id_, "seq": event.seq, **from_trade(event.trade)}
                for id_, event in copies.items()
            ],
        ),
    )
    for collection, rows in collections:
        for start in range(0, len(rows), 250):
            await collection.with_options(write_concern=fast).insert_many(rows[start : start + 250])


def fold(state: SessionState, events: list[TradeEvent]) -> SessionState:
    for event in events:
        state = state.after(event)
    return state


@pytest.mark.parametrize("behind", [True, False], ids=["checkpoint", "no checkpoint"])
async def test_a_long_history_is_read_from_its_checkpoint_on(bench: Bench, behind: bool) -> None:
    """Trades that were open at the checkpoint and closed later are counted once."""
    session_id = await bench.new_session()
    events = long_history(session_id, 1237)
    await seed_history(bench.store, events)
    start = bench.replica.state(session_id)
    if behind:
        await bench.store.save_checkpoint(start.session, fold(start, events[:1000]).figures)

    bench.now_ms = ROLL_OVER_MS + 3_000_000
    bench.store.read_after.clear()
    await bench.restart()
    assert bench.replica.state(session_id) == fold(start, events).on_day(trading_day(bench.now_ms))
    assert min(bench.store.read_after) == (1000 if behind else 0)
    assert bench.store.read_after == sorted(set(bench.store.read_after))

    trade = await bench.open(session_id)
    assert bench.seq(session_id) == 1238
    assert trade.trade_id > max(event.trade.trade_id for event in events)


async def test_what_a_start_had_to_read_the_next_one_need_not(bench: Bench) -> None:
    """A few events are read again: that takes no longer than to write a checkpoint."""
    many, few = await bench.new_session(), await bench.new_session()
    await seed_history(bench.store, long_history(many, 237))
    await bench.restart()
    before = bench.replica.states()
    await bench.open(many)
    await bench.open(few)
    bench.store.read_after.clear()
    await bench.restart()
    assert sorted(set(bench.store.read_after)) == [0, 1, 237, 238]
    await bench.assert_sound(few)
    after_opening = before[0].figures.after_opening(bench.now_ms)
    assert bench.replica.state(many).figures == after_opening


async def test_a_checkpoint_is_kept_every_thousand_events(bench: Bench) -> None:
    session_id = await bench.new_session()
    await seed_history(bench.store, long_history(session_id, 998))
    await bench.restart()
    for expected in (998, 1000, 1000):
        await bench.open(session_id)
        ((_, checkpoint),) = await bench.store.load_sessions()
        assert (checkpoint and checkpoint.seq) == expected
    state = bench.replica.state(session_id)
    assert checkpoint is not None
    assert checkpoint.after_opening(bench.now_ms) == state.figures
    await bench.restart()
    assert bench.replica.state(session_id) == state


# --- ids


async def test_lost_counters_go_on_above_the_highest_id_in_use(bench: Bench) -> None:
    sessions = [await bench.new_session() for _ in range(3)]
    trades = [await bench.open(session_id) for session_id in sessions]
    await bench.close(trades[-1].trade_id)
    await bench.store.database["counters"].delete_many({})
    await bench.restart()
    assert await bench.new_session() == sessions[-1] + 1
    assert (await bench.open(sessions[0])).trade_id == trades[-1].trade_id + 1


async def test_ids_also_stay_above_a_trade_that_only_its_event_knows(bench: Bench) -> None:
    session_id = await bench.new_session()
    bench.store.refuses_copies = True
    trade = await bench.open(session_id)
    await bench.store.database["counters"].delete_many({})
    await bench.desk.stop()
    bench.store.refuses_copies = False
    await bench.restart()
    assert (await bench.open(session_id)).trade_id == trade.trade_id + 1
    await bench.assert_sound(session_id)


# --- readable copies


async def test_copies_that_a_crash_prevented_are_made_at_the_next_start(bench: Bench) -> None:
    """The event of a trade is stored, its readable copy is not, and the process dies."""
    session_id = await bench.new_session()
    opened = await bench.open(session_id)
    bench.store.refuses_copies = True
    closed = await bench.close(opened.trade_id)
    new = await bench.open(session_id)
    await bench.desk.stop()
    bench.store.refuses_copies = False
    assert await bench.store.trade(opened.trade_id) == opened
    assert await bench.store.trade(new.trade_id) is None

    await bench.restart()
    assert await bench.store.trade(opened.trade_id) == closed
    assert await bench.store.trade(new.trade_id) == new
    await bench.assert_sound(session_id)


async def test_a_copy_that_cannot_be_written_now_is_written_later(bench: Bench) -> None:
    """The event is stored: nobody is told of a failure, and every answer is up to date."""
    session_id = await bench.new_session()
    bench.store.refuses_copies = True
    trade = await bench.open(session_id)
    assert await bench.desk.records.trade(trade.trade_id) == trade
    bench.store.refuses_copies = False
    listed = await bench.desk.records.trades(
        session_id, TradeFilter(status=TradeStatus.OPEN), None, 10
    )
    assert list(listed) == [trade]
    closed = await bench.close(trade.trade_id)
    assert await bench.desk.records.trade(trade.trade_id) == closed


async def test_a_trade_whose_copies_all_wait_is_not_lost_from_sight(bench: Bench) -> None:
    """Opened and closed while copies could not be written, it is still a trade that was made."""
    session_id = await bench.new_session()
    bench.store.refuses_copies = True
    trade = await bench.open(session_id, key="key")
    closed = await bench.close(trade.trade_id)
    bench.store.refuses_copies = False
    assert await bench.desk.records.trade(trade.trade_id) == closed
    with pytest.raises(Conflict):
        await bench.close(trade.trade_id)


def test_the_long_history_spans_the_checkpoint_and_midnight() -> None:
    """What the tests above rely on."""
    events = long_history(6, 1237)
    closed = [event for event in events if event.kind is EventKind.CLOSED]
    assert len({trading_day(event.trade.opened_at_ms) for event in closed}) == 2
    assert any(event.seq > 1000 > event.trade.trade_id for event in closed)
