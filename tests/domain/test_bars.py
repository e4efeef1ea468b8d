"""Bars: minutes of prices, and longer ones of minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.bars import Tick, made_of
from vyomo_rt.domain.bars import Aggregation, Bar, Interval, starts
from vyomo_rt.domain.moment import DAY_MS, MINUTE_MS, day_of, hour_of, minute_of, to_ms

MIDNIGHT_MS = to_ms(datetime.fromisoformat("2026-11-26T00:00+05:30"))


def aggregated(bars: Iterable[Bar], start_of: Callable[[int], int]) -> list[Bar]:
    aggregation = Aggregation(start_of)
    for bar in bars:
        aggregation.add(bar)
    return aggregation.bars


@given(
    ticks=st.lists(
        st.tuples(st.integers(MIDNIGHT_MS, MIDNIGHT_MS + 2 * DAY_MS), st.integers(1, 10**11))
    ),
    interval=st.sampled_from(Interval),
    opens_at=st.lists(st.integers(0, 24 * 60 - 1), min_size=3, max_size=3),
)
def test_any_bars_of_minutes_are_those_of_the_prices_themselves(
    ticks: list[Tick], interval: Interval, opens_at: list[int]
) -> None:
    def opening_of(moment_ms: int) -> int:
        midnight_ms = day_of(moment_ms)
        return midnight_ms + opens_at[(midnight_ms - MIDNIGHT_MS) // DAY_MS] * MINUTE_MS

    ticks.sort(key=lambda tick: tick[0])
    minutes: list[Bar] = []
    for moment_ms, price_e4 in ticks:
        if not minutes or minutes[-1].start_ms != minute_of(moment_ms):
            minutes.append(Bar(minute_of(moment_ms)))
        minutes[-1].take(price_e4)
    start_of = starts(interval, opening_of)
    direct = made_of(ticks, start_of)
    assert aggregated(minutes, start_of) == direct
    assert [bar.start_ms for bar in direct] == sorted(bar.start_ms for bar in direct)
    if interval is Interval.DAY:  # they are made of hours, which are made of minutes
        assert aggregated(aggregated(minutes, hour_of), start_of) == direct


def at(ist: str) -> int:
    return to_ms(datetime.fromisoformat(f"2026-11-26T{ist}+05:30"))


def test_bars_count_from_the_opening_and_never_reach_over_midnight() -> None:
    def opening_of(_: int) -> int:
        return at("09:15")

    hourly = starts(Interval.HOUR, opening_of)
    assert [hourly(at(time)) for time in ("09:15", "10:14", "10:15", "15:29")] == [
        at("09:15"), at("09:15"), at("10:15"), at("15:15"),
    ]  # fmt: skip
    assert [hourly(at(time)) for time in ("00:00", "00:14", "00:15", "09:14")] == [
        at("00:00"), at("00:00"), at("00:15"), at("08:15"),
    ]  # fmt: skip
    assert starts(Interval.DAY, opening_of)(at("12:00")) == at("09:15")
    assert starts(Interval.MINUTE, opening_of)(at("12:00")) == at("12:00")


def test_a_longer_bar_is_partial_if_one_of_its_minutes_is_even_without_a_price() -> None:
    whole, mark = Bar(at("10:00")), Bar(at("10:03"), is_partial=True)
    whole.take(100)
    (bar,) = aggregated([whole, mark], starts(Interval.FIVE_MINUTES, day_of))
    assert (bar.is_partial, bar.count, bar.close_e4) == (True, 1, 100)
    (bar,) = aggregated([mark, Bar(at("10:04"), 1, 2, 1, 2, 3)], starts(Interval.HOUR, day_of))
    assert (bar.is_partial, bar.open_e4, bar.low_e4) == (True, 1, 1)
