"""The last ticks of all nodes, by their numbers."""

from __future__ import annotations

import time

from vyomo_rt.market.tick_log import KEPT_S, Entry, TickLog

TICK: Entry = ("NIFTY", 100_0000, None, "ingest", 0, 0)


def test_ticks_are_there_from_any_number_on_until_they_are_too_old() -> None:
    now_s = 0.0
    log = TickLog(lambda: now_s)
    for prices in ([0, 1, 2], [3], [4, 5, 6, 7, 8, 9], []):
        log.add([("NIFTY", price_e4, None, "ingest", 0, 0) for price_e4 in prices])
    for first in range(1, 11):
        for most in (1, 3, 100):
            found = [entry[1] for entry in log.since(first, most) or ()]
            assert found == list(range(10))[first - 1 : first - 1 + most]
    assert log.since(11, 100) == []
    assert log.since(0, 100) is None
    now_s += KEPT_S + 1
    log.add([TICK])
    assert log.since(10, 1) is None
    assert log.since(11, 100) == [TICK]


def test_what_is_new_costs_the_same_however_much_is_kept() -> None:
    def shortest_s(kept: int) -> float:
        log = TickLog(lambda: 0.0)
        for _ in range(kept):
            log.add([TICK])
        best_s = float("inf")
        for _ in range(50):
            begun_s = time.perf_counter()
            log.since(log.last - 20, 2000)
            best_s = min(best_s, time.perf_counter() - begun_s)
        return best_s

    assert shortest_s(200_000) < 10 * shortest_s(200)
