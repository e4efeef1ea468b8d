"""Stops that move, price by price, in the pure domain."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.samples import DAY, SESSION
from tests.kit.surroundings import ALONE
from vyomo_rt.domain import decisions
from vyomo_rt.domain.decisions import Decided, Moment
from vyomo_rt.domain.event import EventKind, TradeEvent
from vyomo_rt.domain.guarding import amended, opening_guards
from vyomo_rt.domain.guards import Guards
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.pace import Pace
from vyomo_rt.domain.quiet import quiet_prices
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.domain.trade import Exit, ExitReason, Trade
from vyomo_rt.domain.trailing import is_own_move

decide, close = partial(decisions.decide, around=ALONE), partial(decisions.close, around=ALONE)

SIDES = list(Side)
ENTRY = 100_0000


def trade(side: Side = Side.BUY, trade_id: int = 1, *, tick: int = 500, **guards: int) -> Trade:
    """Ten NIFTY at 100, opened at the moment 0 with guards given in rupees."""
    given_e4 = {f"{name}_e4": value * 10_000 for name, value in guards.items()}
    found = opening_guards(Guards(**given_e4), side, ENTRY, lambda: tick)
    return Trade(trade_id, 6, "NIFTY", side, 10, ENTRY, 0, **found)


def session(*trades: Trade) -> SessionState:
    return state_of(SESSION, Figures(), DAY, trades)


def ticks(*prices: float, every_ms: int = 1000) -> list[Moment]:
    return [Moment(n * every_ms, "NIFTY", round(price * 10_000)) for n, price in enumerate(prices)]


def told(decided: Decided) -> list[tuple[str, float | None, int]]:
    """Of each event what happened, the stop or exit price, and the moment."""
    found: list[tuple[str, float | None, int]] = []
    for event in decided.events:
        assert isinstance(event, TradeEvent)
        of = event.trade
        if of.exit is not None:
            detail = of.exit.detail or "-"
            found.append((f"{of.exit.reason} {detail}", of.exit.price_e4 / 10_000, event.at_ms))
        else:
            assert of.change is not None
            stop = None if of.stop_loss_e4 is None else of.stop_loss_e4 / 10_000
            found.append((of.change.reason.value, stop, event.at_ms))
    return found


def after(of: Trade, *prices: float, every_ms: int = 1000) -> list[tuple[str, float | None, int]]:
    return told(decide(session(of), Pace(), ticks(*prices, every_ms=every_ms)))


def mirrored(side: Side, *prices: float) -> list[float]:
    return [price if side is Side.BUY else 200 - price for price in prices]


@pytest.mark.parametrize("side", SIDES)
def test_without_trail_from_the_stop_at_opening_is_the_tighter_of_the_given_and_the_distance(
    side: Side,
) -> None:
    for wished, stop in ((None, 95), (94, 95), (97, 97)):
        own = {} if wished is None else {"stop_loss": int(mirrored(side, wished)[0])}
        of = trade(side, trailing_stop=5, **own)
        assert of.stop_loss_e4 == mirrored(side, stop)[0] * 10_000
    waiting = trade(side, trailing_stop=5, trail_from=int(mirrored(side, 110)[0]))
    assert waiting.stop_loss_e4 is None


@pytest.mark.parametrize("side", SIDES)
def test_the_stop_follows_the_price_in_whole_steps_and_never_loosens_by_itself(side: Side) -> None:
    of = trade(side, trailing_stop=5, trailing_step=2)
    prices = mirrored(side, 101.99, 102, 104.5, 103, 109.9, 104.01)
    stops = mirrored(side, 97, 99, 103)
    assert after(of, *prices) == [
        ("TRAILING", stops[0], 1000),
        ("TRAILING", stops[1], 2000),
        ("TRAILING", stops[2], 4000),
    ]


@pytest.mark.parametrize("side", SIDES)
def test_with_trail_from_only_prices_at_or_past_it_move_the_stop(side: Side) -> None:
    level = int(mirrored(side, 110)[0])
    of = trade(side, trailing_stop=5, trailing_step=1, trail_from=level)
    prices = mirrored(side, 109.9, 80, 110, 109.99, 112, 111)
    stops = mirrored(side, 105, 107)
    assert after(of, *prices) == [("TRAILING", stops[0], 2000), ("TRAILING", stops[1], 4000)]
    with_stop = trade(side, trailing_stop=5, trail_from=level, stop_loss=int(mirrored(side, 90)[0]))
    assert after(with_stop, *mirrored(side, 109, 105)) == []


def test_a_step_that_is_left_out_is_a_tenth_rounded_up_to_the_tick_and_at_most_the_distance() -> (
    None
):
    assert trade(trailing_stop=5).trailing_step_e4 == 5000
    assert trade(trailing_stop=7, tick=5_0000).trailing_step_e4 == 5_0000
    assert trade(trailing_stop=3, tick=5_0000).trailing_step_e4 == 3_0000
    odd = opening_guards(Guards(trailing_stop_e4=5_0100), Side.BUY, ENTRY, lambda: 500)
    assert odd["trailing_step_e4"] == 5500


@pytest.mark.parametrize("side", SIDES)
def test_at_breakeven_the_stop_moves_to_the_entry_once(side: Side) -> None:
    of = trade(side, breakeven_at=int(mirrored(side, 105)[0]))
    decided = decide(session(of), Pace(), ticks(*mirrored(side, 104.99, 105, 106, 100)))
    assert told(decided) == [("BREAKEVEN", 100, 1000), ("SL BREAKEVEN", 100, 3000)]
    [moved, _] = decided.events
    assert isinstance(moved, TradeEvent)
    assert moved.trade.breakeven_at_e4 is None


@pytest.mark.parametrize("stop", [100, 101])
def test_breakeven_reached_with_a_stop_at_least_as_tight_is_told_and_leaves_the_stop(
    stop: int,
) -> None:
    trailed = replace(trade(breakeven_at=110, trailing_stop=5), stop_loss_e4=stop * 10_000)
    of = replace(trailed, trailing_step_e4=5_0000, trailing_stop_e4=20_0000)
    decided = decide(session(of), Pace(), ticks(110, stop))
    assert told(decided) == [("BREAKEVEN", stop, 0), ("SL -", stop, 1000)]


def test_both_at_one_price_are_one_change_with_the_tighter_stop_and_its_reason() -> None:
    for distance, stop, reason in ((4, 106, "TRAILING"), (15, 100, "BREAKEVEN")):
        of = trade(trailing_stop=distance, trailing_step=1, breakeven_at=110)
        assert after(of, 110) == [(reason, stop, 0)]
    equal = trade(trailing_stop=10, trailing_step=1, breakeven_at=110)
    decided = decide(session(equal), Pace(), ticks(110))
    assert told(decided) == [("TRAILING", 100, 0)]
    [moved] = decided.events
    assert isinstance(moved, TradeEvent)
    assert moved.trade.breakeven_at_e4 is None


def test_a_further_move_in_the_same_market_second_waits_for_the_next_and_keeps_its_moment() -> None:
    of = trade(trailing_stop=5, trailing_step=1)
    moments = ticks(101, 102, 103, 103.5, every_ms=300)
    decided = decide(session(of), Pace(), moments)
    assert told(decided) == [("TRAILING", 96, 0)]
    assert decided.pace.due_ms == 1000
    later = decide(decided.state, decided.pace, [Moment(1000)])
    assert told(later) == [("TRAILING", 98, 600)]
    assert later.pace.due_ms is None
    # It counts for the second in which it is stored.
    again = decide(later.state, later.pace, [Moment(1999, "NIFTY", 105_0000)])
    assert told(again) == []
    assert told(decide(again.state, again.pace, [Moment(2000)])) == [("TRAILING", 100, 1999)]


def test_a_move_that_waits_is_stored_before_the_first_tick_of_the_next_second() -> None:
    of = trade(trailing_stop=5, trailing_step=1)
    moments = [Moment(0, "NIFTY", 101_0000), Moment(500, "NIFTY", 103_0000)]
    moments += [Moment(1000, "OTHER", 1_0000), Moment(1001, "NIFTY", 110_0000)]
    decided = decide(session(of), Pace(), moments)
    assert told(decided) == [("TRAILING", 96, 0), ("TRAILING", 98, 500)]
    assert decided.pace.newest(next(iter(decided.state.open_trades.values()))).stop_loss_e4 == (
        105_0000
    )


def test_the_exit_rule_uses_the_newest_stop_and_the_move_is_stored_before_the_close() -> None:
    of = trade(trailing_stop=5, trailing_step=1)
    moments = ticks(101, 104, 99, every_ms=300)
    assert told(decide(session(of), Pace(), moments)) == [
        ("TRAILING", 96, 0),
        ("TRAILING", 99, 300),
        ("SL TRAILING", 99, 600),
    ]


def test_a_close_by_hand_stores_the_move_that_waits_before_it() -> None:
    of = trade(trailing_stop=5, trailing_step=1)
    decided = decide(session(of), Pace(), ticks(101, 104, every_ms=300))
    [now] = decided.state.open_trades.values()
    closed = close(decided.state, decided.pace, now, Exit(103_0000, ExitReason.MANUAL, 700))
    assert told(closed) == [("TRAILING", 99, 300), ("MANUAL -", 103, 700)]
    assert closed.pace.due_ms is None


def test_a_tick_takes_exits_by_trade_then_moves_by_trade_and_moves_nothing_that_closes() -> None:
    trades = [
        trade(trade_id=3, trailing_stop=5, trailing_step=1),
        trade(trade_id=1, trailing_stop=5, trailing_step=1, target=103),
        trade(Side.SELL, trade_id=2, stop_loss=104),
        trade(trade_id=4, trailing_stop=5, trailing_step=1),
    ]
    decided = decide(session(*trades), Pace(), ticks(104))
    assert [(e.kind, e.trade.trade_id) for e in decided.events if isinstance(e, TradeEvent)] == [
        (EventKind.CLOSED, 1),
        (EventKind.CLOSED, 2),
        (EventKind.CHANGED, 3),
        (EventKind.CHANGED, 4),
    ]
    assert [event.seq for event in decided.events] == [1, 2, 3, 4]


def test_a_change_of_the_stop_by_hand_is_the_new_base_and_may_loosen() -> None:
    of = trade(trailing_stop=5, trailing_step=1)
    decided = decide(session(of), Pace(), ticks(104))
    [moved] = decided.state.open_trades.values()
    looser = amended(
        moved,
        {"stop_loss_e4": 90_0000},
        newest=moved,
        price_e4=104_0000,
        tick_e4=lambda: 500,
        is_halted=False,
        at_ms=1,
    )
    assert (looser.stop_loss_e4, looser.stop_moved_by) == (90_0000, None)
    assert after(looser, 94.9, 90) == [("SL -", 90, 1000)]
    assert after(looser, 97.5, 92) == [("TRAILING", 92, 0), ("SL TRAILING", 92, 1000)]


def test_breakeven_reached_acts_once_also_if_a_stop_set_by_hand_drops_its_move() -> None:
    of = trade(trailing_stop=5, trailing_step=1, breakeven_at=103)
    decided = decide(session(of), Pace(), ticks(101, 103.5, every_ms=300))
    [moved] = decided.state.open_trades.values()
    assert moved.breakeven_at_e4 == 103_0000  # the move to the entry waits
    looser = _with_stop(moved, 90_0000, decided.pace.newest(moved))
    assert (looser.stop_loss_e4, looser.breakeven_at_e4) == (90_0000, None)
    assert after(looser, 94.9, 90) == [("SL -", 90, 1000)]


def test_a_stop_set_by_hand_to_where_it_was_leaves_what_moved_it() -> None:
    of = trade(trailing_stop=5, trailing_step=1)
    [moved] = decide(session(of), Pace(), ticks(104)).state.open_trades.values()
    assert _with_stop(moved, 99_0000, moved) is moved
    noted = _with_stop(moved, 99_0000, moved, note="as before")
    assert after(noted, 99) == [("SL TRAILING", 99, 0)]


def _with_stop(of: Trade, stop_e4: int, newest: Trade, **others: str) -> Trade:
    """A trade after a request that sets its stop."""
    return amended(
        of,
        {"stop_loss_e4": stop_e4} | others,
        newest=newest,
        price_e4=103_5000,
        tick_e4=lambda: 500,
        is_halted=False,
        at_ms=700,
    )


def test_a_distance_set_by_hand_moves_nothing_before_the_next_price() -> None:
    of = trade()
    trailing = amended(
        of,
        {"trailing_stop_e4": 5_0000},
        newest=of,
        price_e4=120_0000,
        tick_e4=lambda: 500,
        is_halted=False,
        at_ms=1,
    )
    assert (trailing.stop_loss_e4, trailing.trailing_step_e4) == (None, 5000)
    assert after(trailing, 120) == [("TRAILING", 115, 0)]


prices = st.integers(80_0000, 120_0000)
levels = st.integers(101_0000, 125_0000) | st.none()


@st.composite
def guarded(draw: st.DrawFn) -> Trade:
    side = draw(st.sampled_from(SIDES))

    def mirror(level: int | None) -> int | None:
        return level if level is None or side is Side.BUY else 200_0000 - level

    distance = draw(st.integers(5000, 30_0000) | st.none())
    guards = Guards(
        stop_loss_e4=mirror(draw(st.integers(75_0000, 99_0000) | st.none())),
        target_e4=mirror(draw(st.integers(110_0000, 130_0000) | st.none())),
        trailing_stop_e4=distance,
        trailing_step_e4=None if distance is None else draw(st.integers(1, distance) | st.none()),
        trail_from_e4=None if distance is None else mirror(draw(levels)),
        breakeven_at_e4=mirror(draw(levels)),
    )
    found = opening_guards(guards, side, ENTRY, lambda: 500)
    return Trade(draw(st.integers(1, 3)), 6, "NIFTY", side, 10, ENTRY, 0, **found)


moments = st.lists(st.tuples(st.integers(0, 700), prices), min_size=1, max_size=25).map(
    lambda steps: [
        Moment(sum(ms for ms, _ in steps[: n + 1]), "NIFTY", price)
        for n, (_, price) in enumerate(steps)
    ]
)


@given(st.lists(guarded(), min_size=1, max_size=3, unique_by=lambda of: of.trade_id), moments)
def test_a_stop_never_loosens_and_every_move_is_one_that_follows(
    trades: list[Trade], of: list[Moment]
) -> None:
    known = {each.trade_id: each for each in trades}
    decided = decide(session(*trades), Pace(), of)
    for event in decided.events:
        assert isinstance(event, TradeEvent)
        before = known[event.trade.trade_id]
        if event.kind is EventKind.CHANGED:
            assert is_own_move(before, event.trade)
            if before.stop_loss_e4 is not None:
                assert event.trade.stop_loss_e4 is not None
                tightened = event.trade.stop_loss_e4 - before.stop_loss_e4
                assert tightened * before.side.sign >= 0
        else:
            assert event.trade == replace(before, exit=event.trade.exit)
        known[event.trade.trade_id] = event.trade
    assert {id_ for id_, each in known.items() if not each.exit} == {*decided.state.open_trades}


@given(
    st.lists(guarded(), min_size=1, max_size=3, unique_by=lambda of: of.trade_id),
    moments,
    st.integers(0, 25),
)
def test_ticks_taken_together_or_one_by_one_decide_the_same(
    trades: list[Trade], of: list[Moment], cut: int
) -> None:
    together = decide(session(*trades), Pace(), of)
    first = decide(session(*trades), Pace(), of[:cut])
    rest = decide(first.state, first.pace, of[cut:])
    assert [*first.events, *rest.events] == together.events
    assert (rest.state, rest.pace) == (together.state, together.pace)


@given(st.lists(guarded(), min_size=1, max_size=3, unique_by=lambda of: of.trade_id), moments)
def test_a_price_within_the_quiet_band_decides_nothing(
    trades: list[Trade], of: list[Moment]
) -> None:
    state, pace = session(*trades), Pace()
    for moment in of:
        band = quiet_prices(state, pace, "NIFTY")
        decided = decide(state, pace, [moment])
        is_due = pace.due_ms is not None and pace.due_ms <= moment.at_ms
        if band is None or (band.low < moment.price_e4 < band.high and not is_due):
            assert (decided.events, decided.pace) == ([], pace)
        state, pace = decided.state, decided.pace
