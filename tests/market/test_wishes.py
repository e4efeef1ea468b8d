"""What clients of other nodes watch, the owner of the prices prices."""

from __future__ import annotations

from vyomo_rt.domain.demand import Demand
from vyomo_rt.market.wishes import Wishes


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_what_is_watched_elsewhere_is_wanted_here_until_it_is_not() -> None:
    demand, clock = Demand(), Clock()
    wishes = Wishes(demand, clock)
    wishes.hear("b", ["NIFTY", "TCS"])
    wishes.hear("c", ["NIFTY"])
    assert sorted(demand) == ["NIFTY", "TCS"]
    wishes.hear("b", [])
    assert sorted(demand) == ["NIFTY"]


def test_only_what_is_watched_here_is_told_and_not_what_is_held() -> None:
    """What others watch would go round for ever, and trades are known to all nodes."""
    demand, clock = Demand(), Clock()
    wishes = Wishes(demand, clock)
    wishes.hear("b", ["NIFTY", "TCS"])
    demand.wanted(["TCS"])
    demand.wanted(["INFY"], held=True)
    assert wishes.due() == ["TCS"]
    assert wishes.due() is None, "nothing has changed"
    clock.now_s += 2
    assert wishes.due() == ["TCS"], "it may have been lost"
    demand.released(["TCS"])
    clock.now_s += 2
    assert wishes.due() == []


def test_a_node_that_is_not_heard_any_more_wants_nothing() -> None:
    demand, clock = Demand(), Clock()
    wishes = Wishes(demand, clock)
    wishes.hear("b", ["NIFTY"])
    clock.now_s += 9
    wishes.hear("c", ["TCS"])
    wishes.forget_silent()
    assert sorted(demand) == ["NIFTY", "TCS"]
    clock.now_s += 2
    wishes.forget_silent()
    assert sorted(demand) == ["TCS"]
