"""When an interval's turn comes: regularly, once, and never in a burst."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.stream.wheel import SLOT_MS, Wheel, beat_from, is_due

slots = st.integers(0, 10**9)
intervals = st.integers(1, 600).map(lambda count: count * SLOT_MS)


@given(slots, intervals)
def test_the_first_turn_is_exactly_one_interval_after_the_snapshot(
    slot: int, interval_ms: int
) -> None:
    beat = beat_from(slot, interval_ms)
    due = slot + interval_ms // SLOT_MS
    assert not is_due(beat, slot, due - 1)
    assert is_due(beat, due - 1, due)


@given(slots, intervals, st.lists(st.integers(1, 700), min_size=1, max_size=30))
def test_however_the_clock_stumbles_a_turn_is_neither_lost_nor_taken_twice(
    slot: int, interval_ms: int, stumbles: list[int]
) -> None:
    beat = beat_from(slot, interval_ms)
    every = interval_ms // SLOT_MS
    last = slot
    for stumble in stumbles:
        upto = last + stumble
        # The turns are at slot + every, slot + 2 * every and so on.
        turns = (upto - slot) // every - (last - slot) // every
        assert is_due(beat, last, upto) == (turns > 0)
        last = upto


@given(slots, intervals)
def test_after_a_long_pause_comes_one_beat_and_then_the_old_rhythm(
    slot: int, interval_ms: int
) -> None:
    beat = beat_from(slot, interval_ms)
    every = interval_ms // SLOT_MS
    woken = slot + 1000 * every
    assert is_due(beat, slot, woken)
    assert not any(is_due(beat, at, at + 1) for at in range(woken, woken + every - 1))
    assert is_due(beat, woken + every - 1, woken + every)


@given(st.lists(slots, min_size=2, max_size=40, unique=True), intervals)
def test_who_came_in_different_slots_of_an_interval_is_served_in_different_slots(
    came: list[int], interval_ms: int
) -> None:
    every = interval_ms // SLOT_MS
    phases = {beat_from(slot, interval_ms).phase for slot in came}
    assert len(phases) == len({slot % every for slot in came})


async def test_before_the_first_turn_too_the_first_beat_is_an_interval_after_the_snapshot() -> None:
    """A server lets its first clients in a moment before its clock turns the wheel."""
    wheel: Wheel[str] = Wheel()
    await asyncio.sleep(0.05)
    wheel.add(beat_from(wheel.slot, 1000), "early")
    await asyncio.sleep(0.06)
    wheel.add(beat_from(wheel.slot, 1000), "late")
    assert wheel.turn() == [], "the slot in which the late one came"
    await asyncio.sleep(0.7)
    assert wheel.turn() == []
    await asyncio.sleep(0.3)
    assert set(wheel.turn()) == {"early", "late"}
