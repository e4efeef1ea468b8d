"""Rules and charges of a session: set at its birth or later, told and kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trading.bench import WRITTEN, Bench
from vyomo_rt.domain.charges import ChargePlan
from vyomo_rt.domain.errors import OutcomeUnknown
from vyomo_rt.domain.event import Event, SessionEvent
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.rules import ProfitLock, Rules
from vyomo_rt.domain.session import ChangeReason

RULES = Rules(
    max_daily_loss_paise=2000_00,
    profit_lock=ProfitLock(arm_at_paise=500_00, floor_paise=100_50),
    losing_streak=3,
    square_off_min=15 * 60 + 15,
)


def never() -> Any:
    """Stands for the body of a request that must not be looked at."""
    raise AssertionError("a repeated request was read again")


async def only_event(bench: Bench, session_id: int) -> SessionEvent:
    [event] = await bench.history(session_id)
    assert isinstance(event, SessionEvent)
    return event


async def test_a_session_made_with_rules_has_one_session_changed_as_its_first_event(
    bench: Bench,
) -> None:
    session_id = await bench.new_session(rules=RULES, charges=ChargePlan.NSE_OPTIONS)
    event = await only_event(bench, session_id)
    assert (event.reason, event.standing.status_reason) == (ChangeReason.MANUAL, None)
    assert (event.standing.rules, event.standing.charges) == (RULES, ChargePlan.NSE_OPTIONS)
    assert event.at_ms == bench.now_ms
    await bench.restart()
    assert bench.replica.state(session_id).session.standing == event.standing


async def test_a_session_made_without_rules_has_no_event(bench: Bench) -> None:
    session_id = await bench.new_session(rules=Rules())
    assert await bench.history(session_id) == []


async def test_the_first_event_of_a_session_is_told_even_if_its_answer_is_lost(
    bench: Bench,
) -> None:
    def lose(_: Event) -> None:
        bench.store.before_append = lambda _: None
        raise OutcomeUnknown("the answer was lost")

    bench.store.before_append = lose
    with pytest.raises(OutcomeUnknown):
        await bench.new_session(key="key", rules=RULES)
    [state] = bench.replica.states()
    session_id = state.session.session_id
    await bench.reached(session_id, 1)
    state, repeated = await bench.desk.create_session(Operation("key", "h"), never)
    assert (repeated, state.session.rules) == (True, RULES)
    assert (await only_event(bench, session_id)).standing.rules == RULES


async def test_a_crash_before_the_first_event_leaves_the_rules_in_force_and_to_be_told(
    bench: Bench,
) -> None:
    bench.store.away = True
    bench.store.lost.append(WRITTEN)
    with pytest.raises(OutcomeUnknown):
        await bench.new_session(rules=RULES)
    bench.store.away = False
    await bench.restart()
    [state] = bench.replica.states()
    assert state.session.rules == RULES
    await bench.reached(state.session.session_id, 1)
    await bench.assert_sound(state.session.session_id, all_announced=False)


async def test_rules_are_merged_member_by_member_and_none_takes_one_away(bench: Bench) -> None:
    session_id = await bench.new_session(rules=RULES)
    state = await bench.change_session(
        session_id, rules={"losing_streak": None, "max_open_trades": 5}, charges=None
    )
    expected = Rules(
        max_daily_loss_paise=2000_00,
        profit_lock=RULES.profit_lock,
        max_open_trades=5,
        square_off_min=RULES.square_off_min,
    )
    assert (state.session.rules, state.seq) == (expected, 2)
    await bench.restart()
    assert bench.replica.state(session_id).session.rules == expected


async def test_a_change_that_changes_nothing_makes_no_event(bench: Bench) -> None:
    session_id = await bench.new_session(rules=RULES, charges=ChargePlan.NSE_FUTURES)
    state = await bench.change_session(
        session_id,
        rules={"losing_streak": 3, "max_open_trades": None},
        charges=ChargePlan.NSE_FUTURES,
        name=f"Session {session_id}",
    )
    assert state.seq == 1
