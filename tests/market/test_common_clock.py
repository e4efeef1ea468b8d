"""One clock for all nodes, whoever owns it and however late it is heard of."""

from __future__ import annotations

import random
from collections.abc import Callable

from vyomo_rt.market.common_clock import CommonClock

OFF_MS = (0, -1500, 1200, -1900)
DELAY_S = 0.3


def test_no_clock_goes_back_and_all_show_what_the_owners_shows() -> None:
    """Walls differ by seconds, owners change, messages are late: clocks differ by their delay."""
    chance, now_s = random.Random(1), 1_800_000_000.0

    def wall(off_ms: int) -> Callable[[], int]:
        return lambda: int(now_s * 1000) + off_ms

    clocks = [CommonClock(wall(off_ms), lambda: now_s) for off_ms in OFF_MS]
    for clock, off_ms in zip(clocks, OFF_MS, strict=True):
        clock.store_ahead_ms = -off_ms
    shown = [clock() for clock in clocks]
    late: list[tuple[float, int, int]] = []
    for term in range(1, 9):
        owner = clocks[chance.randrange(len(clocks))]
        owner.begin()
        for _ in range(200):
            now_s += 0.05
            late.append((now_s + chance.random() * DELAY_S, owner(), term))
            for due in [each for each in late if each[0] <= now_s]:
                late.remove(due)
                for clock in clocks:
                    if clock is not owner and due[2] == term:
                        clock.hear(due[1], term)
            for number, clock in enumerate(clocks):
                assert clock() >= shown[number]
                shown[number] = clock()
        assert max(shown) - min(shown) < DELAY_S * 1000
        assert abs(owner() - now_s * 1000) < max(OFF_MS) - min(OFF_MS)
        owner.end()


def test_a_clock_that_was_wrong_by_an_hour_does_not_stay_so() -> None:
    now_s, off_ms = 1_800_000_000.0, 3_600_000
    wrong = CommonClock(lambda: int(now_s * 1000) + off_ms, lambda: now_s)
    right = CommonClock(lambda: int(now_s * 1000), lambda: now_s)
    wrong.begin()
    right.hear(wrong(), 1)
    wrong.end()
    right.begin()
    wrong.hear(right(), 2)
    for clock in (wrong, right):
        assert abs(clock() - now_s * 1000) < 10


def test_a_wall_that_is_set_is_not_followed_until_it_was_compared() -> None:
    now_s, off_ms = 1_800_000_000.0, 0
    clock = CommonClock(lambda: int(now_s * 1000) + off_ms, lambda: now_s)
    clock.begin()
    for set_ms in (600_000, -600_000):
        off_ms = set_ms
        now_s += 1
        assert clock() == int(now_s * 1000)
        assert clock.doubted_s is not None
    off_ms = 3000
    clock.begin()
    assert clock() == int(now_s * 1000) + 3000
    assert clock.doubted_s is None


def test_what_happens_is_not_before_what_happened_elsewhere() -> None:
    now_s = 1_800_000_000.0
    clock = CommonClock(lambda: int(now_s * 1000), lambda: now_s)
    clock.reach(clock() + 40)
    assert clock() == int(now_s * 1000) + 40
    clock.reach(clock() + 3_600_000)
    assert clock() == int(now_s * 1000) + 40, "nobody's moments are that far ahead"
