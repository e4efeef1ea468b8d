"""Curves of P&L: which minutes have a row, and what it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.domain.samples import DAY, ROLL_OVER_MS, START, closed, quote, trade
from tests.kit.events import trade_event
from vyomo_rt.domain.curve import HOURS_A_DAY, CurveRow, filled, hour_of, row_of
from vyomo_rt.domain.moment import MINUTE_MS

MINUTES = st.integers(0, 30)


@given(st.dictionaries(MINUTES, st.integers(-3, 3)), st.sets(MINUTES))
def test_each_minute_of_the_server_has_the_newest_row_and_all_others_are_gaps(
    kept: dict[int, int], ran: set[int]
) -> None:
    """From the first row on; a minute that has a row of its own is no gap, either."""
    rows = [CurveRow(minute, paise) for minute, paise in sorted(kept.items())]
    found = {row.minute: row.realised_paise for row in filled(rows, ran)}
    for minute in range(31):
        before = [paise for at, paise in sorted(kept.items()) if at <= minute]
        if before and (minute in ran or minute in kept):
            assert found.pop(minute) == before[-1]
    assert found == {}


def test_a_row_is_what_is_realised_and_unrealised_then() -> None:
    state = START.after(trade_event(trade(1), 1)).after(trade_event(closed(500, 0), 2))
    state = state.after(trade_event(trade(2), 3))
    unrealised = state.unrealised_paise(lambda symbol: quote(symbol, 99_0000))
    assert row_of(state, unrealised, 7) == CurveRow(7, 500, -100, 400)


def test_hours_are_those_of_india() -> None:
    """A date there begins at half past an hour of UTC."""
    midnight = hour_of(ROLL_OVER_MS // MINUTE_MS)
    assert midnight % HOURS_A_DAY == 0
    assert hour_of(ROLL_OVER_MS // MINUTE_MS - 1) == midnight - 1
    assert CurveRow(ROLL_OVER_MS // MINUTE_MS).day == DAY.toordinal() - 719_163 + 1
