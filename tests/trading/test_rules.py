"""Rules in force at the desk: with a real store, over restarts, while it is away, at a fill."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trading.bench import BEGIN_MS, ROLL_OVER_MS, Bench
from tests.trading.entries import REFUSED, order, place
from vyomo_rt.domain.errors import Conflict, Unavailable
from vyomo_rt.domain.event import Event, EventKind, SessionEvent, TradeEvent
from vyomo_rt.domain.order import ChangeOrder, Operation
from vyomo_rt.domain.rules import Rules
from vyomo_rt.domain.session import ChangeReason, SessionStatus
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.trading import write

LOSS = Rules(max_daily_loss_paise=100_00)


def told(events: list[Event]) -> list[str]:
    """What happened, in short; of a close at which price."""
    found: list[str] = []
    for event in events:
        if isinstance(event, SessionEvent):
            found.append(f"{event.standing.status} {event.reason}")
        elif isinstance(event, TradeEvent) and event.trade.exit is not None:
            exit_ = event.trade.exit
            found.append(f"{event.trade.symbol} {exit_.reason} {exit_.price_e4 // 10_000}")
        else:
            found.append(event.kind.value)
    return found


async def trip(bench: Bench, session_id: int) -> list[str]:
    """Let the loss of a trade trip the rule; returns what happened."""
    before = bench.seq(session_id)
    await bench.open(session_id)
    bench.tick(90_0000)
    await bench.reached(session_id, before + 3)
    return told((await bench.history(session_id))[before:])


async def test_a_loss_in_either_of_two_symbols_trips(bench: Bench) -> None:
    for symbol in ("NIFTY", "BANKNIFTY"):
        session_id = await bench.new_session(rules=LOSS)
        await bench.open(session_id)
        await bench.open(session_id, symbol="BANKNIFTY")
        bench.tick(100_0000)
        bench.tick(95_0000, "BANKNIFTY")
        bench.tick(95_0000 if symbol == "NIFTY" else 100_0000)
        bench.tick(90_0000 if symbol == "BANKNIFTY" else 95_0000, symbol)
        await bench.reached(session_id, 6)
        assert told(await bench.history(session_id))[3] == "HALTED DAILY_LOSS"
        await bench.assert_sound(session_id)


async def test_what_an_opening_brought_about_counts_at_the_next_price_of_any_symbol(
    bench: Bench,
) -> None:
    session_id = await bench.new_session(rules=LOSS)
    bench.tick(100_0000)
    await bench.open(session_id, 120_0000)
    bench.tick(50_0000, "BANKNIFTY", stale=True)
    assert bench.desk.waiting == 0
    bench.tick(50_0000, "BANKNIFTY")
    await bench.reached(session_id, 4)
    assert told(await bench.history(session_id))[2:] == ["HALTED DAILY_LOSS", "NIFTY RISK 100"]
    bench.tick(51_0000, "BANKNIFTY")
    assert bench.desk.waiting == 0


async def test_a_halt_that_a_request_has_lifted_begins_anew_at_the_next_price_of_any_symbol(
    bench: Bench,
) -> None:
    session_id = await bench.new_session(rules=LOSS)
    await trip(bench, session_id)
    for status in (SessionStatus.HALTED, SessionStatus.ACTIVE):
        await bench.change_session(session_id, status=status)
    assert bench.replica.state(session_id).session.status is SessionStatus.ACTIVE
    bench.tick(50_0000, "BANKNIFTY")
    await bench.reached(session_id, 7)
    assert told(await bench.history(session_id))[4:] == [
        "HALTED MANUAL",
        "ACTIVE MANUAL",
        "HALTED DAILY_LOSS",
    ]


async def test_a_session_with_rules_is_not_asked_by_prices_that_do_nothing(bench: Bench) -> None:
    session_id = await bench.new_session(rules=LOSS)
    await bench.open(session_id)
    for price in (100_0000, 95_0000, 90_0100, 105_0000):
        bench.tick(price)
        assert bench.desk.waiting == 0
    bench.tick(90_0000)
    assert bench.desk.waiting == 1


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ({"max_order_value_paise": 999_99}, "maxOrderValue: 10 × 100 is more than the ₹999.99"),
        ({"max_open_trades": 1}, "maxOpenTrades: .* until one of them is closed"),
        ({"max_trades_per_day": 2}, "maxTradesPerDay: .* until 2026-11-22T18:30:00.000Z"),
        ({"cooldown_s": 60}, "cooldownSeconds: .* until 2026-11-22T17:31:00.000Z"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_an_opening_that_a_rule_forbids_is_refused_by_its_name_and_until_when(
    bench: Bench, rules: dict[str, Any], wanted: str
) -> None:
    session_id = await bench.new_session()
    trade = await bench.open(session_id)
    await bench.open(session_id)
    await bench.change_session(session_id, rules=rules)
    await bench.close(trade.trade_id, 99_0000)
    with pytest.raises(Conflict, match=wanted):
        await bench.open(session_id)
    await bench.restart()
    with pytest.raises(Conflict, match=wanted):
        await bench.open(session_id)
    if "cooldown_s" in rules:
        bench.now_ms += 60_000
        await bench.open(session_id)


async def test_an_opening_in_a_halted_session_is_refused_by_the_rule_and_until_when(
    bench: Bench,
) -> None:
    session_id = await bench.new_session(rules=LOSS)
    await trip(bench, session_id)
    with pytest.raises(Conflict, match=r"HALTED by DAILY_LOSS until 2026-11-22T18:30:00.000Z"):
        await bench.open(session_id)


async def test_a_fill_that_a_rule_forbids_ends_refused_each_asked_after_the_one_before(
    bench: Bench,
) -> None:
    session_id = await bench.new_session(rules=Rules(max_open_trades=1))
    first, second = await place(bench, session_id), await place(bench, session_id)
    bench.tick(99_0000)
    await bench.reached(session_id, 5)
    assert (await order(bench, first)).status == "FILLED"
    refused = await order(bench, second)
    assert refused.status == REFUSED
    assert refused.end is not None
    assert "maxOpenTrades" in str(refused.end)


async def test_an_order_that_would_fill_at_once_against_a_rule_is_refused_without_an_event(
    bench: Bench,
) -> None:
    session_id = await bench.new_session(rules=Rules(max_order_value_paise=100_00))
    await place(bench, session_id)
    bench.tick(99_0000)
    await bench.reached(session_id, 3)
    with pytest.raises(Conflict, match="maxOrderValue"):
        await place(bench, session_id)
    assert bench.seq(session_id) == 3


async def test_a_streak_and_a_cooldown_stay_over_a_checkpoint_and_a_restart(bench: Bench) -> None:
    session_id = await bench.new_session(rules=Rules(losing_streak=2))
    await bench.close((await bench.open(session_id)).trade_id, 99_0000)
    ledger = await bench.desk.sessions.ledger(session_id)
    await ledger.keep()
    await bench.restart()
    await bench.close((await bench.open(session_id)).trade_id, 99_0000)
    assert told(await bench.history(session_id))[-1] == "HALTED LOSING_STREAK"
    await bench.assert_sound(session_id, all_announced=False)


async def test_while_the_store_is_away_a_trip_is_latched_at_the_prices_of_its_moment(
    bench: Bench,
) -> None:
    session_id = await bench.new_session(rules=LOSS)
    await bench.open(session_id)
    await bench.open(session_id, symbol="BANKNIFTY")
    bench.tick(100_0000)
    bench.tick(100_0000, "BANKNIFTY")
    bench.store.away = True
    with pytest.raises(Unavailable):
        await bench.change_session(session_id, name="Later")
    bench.tick(95_0000, "BANKNIFTY")
    bench.tick(94_0000, "BANKNIFTY", stale=True)
    bench.now_ms += 1000
    bench.tick(96_0000)
    bench.now_ms += 1000
    bench.tick(120_0000, "BANKNIFTY")
    bench.tick(120_0000)
    bench.store.away = False
    await bench.reached(session_id, 7)
    events = (await bench.history(session_id))[4:]
    assert told(events) == ["HALTED DAILY_LOSS", "NIFTY RISK 96", "BANKNIFTY RISK 94"]
    assert {event.at_ms for event in events} == {BEGIN_MS + 1000}


async def test_a_crash_between_the_events_of_a_trip_ends_in_the_same_closes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the halt is stored; the rest follows from it, at the last price, before any other."""
    monkeypatch.setattr(write, "_AT_ONCE", 1)
    session_id = await bench.new_session(rules=LOSS)
    await place(bench, session_id, price_e4=50_0000)
    await bench.open(session_id)
    halt_seq = bench.seq(session_id) + 1

    def fail(event: Event) -> None:
        if event.seq > halt_seq:
            raise Unavailable("it is killed here")

    bench.store.before_append = fail
    bench.tick(89_0000)
    await bench.reached(session_id, halt_seq)
    await bench.desk.stop()
    bench.store.before_append = lambda _: None
    await bench.restart()
    bench.desk.resume()
    await bench.reached(session_id, halt_seq + 2)
    events = (await bench.history(session_id))[halt_seq - 1 :]
    assert told(events) == ["HALTED DAILY_LOSS", "order_ended", "NIFTY RISK 89"]
    await bench.assert_sound(session_id, all_announced=False)


async def test_a_new_day_that_fell_into_a_downtime_lifts_the_halt_before_any_price(
    bench: Bench,
) -> None:
    session_id = await bench.new_session(rules=LOSS)
    await trip(bench, session_id)
    bench.now_ms = ROLL_OVER_MS + 5_000_000
    await bench.restart()
    bench.desk.resume()
    await bench.reached(session_id, 5)
    event = (await bench.history(session_id))[-1]
    assert (told([event]), event.at_ms) == (["ACTIVE NEW_DAY"], ROLL_OVER_MS)
    assert bench.replica.state(session_id).session.status_reason is ChangeReason.NEW_DAY


async def test_the_clock_lifts_a_halt_without_a_price(bench: Bench) -> None:
    session_id = await bench.new_session(rules=LOSS)
    assert await trip(bench, session_id) == ["trade_opened", "HALTED DAILY_LOSS", "NIFTY RISK 90"]
    bench.now_ms = ROLL_OVER_MS
    bench.desk.pass_time()
    await bench.reached(session_id, 5)
    assert bench.replica.state(session_id).session.status is SessionStatus.ACTIVE


async def test_a_halt_is_not_lifted_while_its_closes_are_under_way(bench: Bench) -> None:
    session_id = await bench.new_session(rules=LOSS)
    await bench.open(session_id, symbol="BANKNIFTY")
    await trip(bench, session_id)
    with pytest.raises(Conflict, match="being closed"):
        await bench.change_session(session_id, status=SessionStatus.ACTIVE)
    bench.tick(100_0000, "BANKNIFTY")
    await bench.change_session(session_id, status=SessionStatus.ACTIVE)
    assert bench.replica.state(session_id).session.waived == (ChangeReason.DAILY_LOSS,)


async def test_closing_reducing_and_tightening_are_allowed_in_a_halt(bench: Bench) -> None:
    session_id = await bench.new_session(rules=Rules(losing_streak=1))
    trade = await bench.open(session_id)
    await bench.close((await bench.open(session_id)).trade_id, 99_0000)
    await bench.amend(trade.trade_id, stop_loss_e4=90_0000)
    await bench.close(trade.trade_id, quantity=4)
    await bench.close(trade.trade_id)
    assert bench.replica.state(session_id).session.status is SessionStatus.HALTED


async def test_what_a_rule_decides_after_a_request_is_nobodys(bench: Bench) -> None:
    session_id = await bench.new_session()
    await bench.open(session_id)
    bench.tick(90_0000)
    asked = ChangeOrder(rules={"max_daily_loss_paise": 50_00})
    await bench.desk.change_session(session_id, Operation.asked(by="ravi"), lambda: asked)
    events = await MongoStore.events(bench.store, session_id, 1)
    assert [(event.kind, event.by) for event in events] == [
        (EventKind.SESSION_CHANGED, "ravi"),
        (EventKind.SESSION_CHANGED, None),
        (EventKind.CLOSED, None),
    ]


async def test_at_one_price_the_exits_of_other_sessions_go_before_a_trip(bench: Bench) -> None:
    ruled, stopped = await bench.new_session(rules=LOSS), await bench.new_session()
    await bench.open(ruled)
    await bench.open(stopped, stop_e4=95_0000)
    written: list[int] = []
    bench.store.before_append = lambda event: written.append(event.session_id)
    bench.tick(90_0000)
    await bench.reached(ruled, 4)
    await bench.reached(stopped, 2)
    assert written == [stopped, ruled, ruled]
