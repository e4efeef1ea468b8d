"""The fence before every write: closed as soon as this process can't be sure of its lease."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from vyomo_rt.domain.errors import OutcomeUnknown, Unavailable
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures
from vyomo_rt.store.fence import Fence
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.prices import SavedPrices

if TYPE_CHECKING:
    from vyomo_rt.domain.event import TradeEvent

    MakeOpening = Callable[..., TradeEvent]
    Write = Callable[[MongoStore, MakeOpening], Awaitable[object]]


def _quote(symbol: str) -> Quote:
    return Quote(symbol, 100_0000, 1, "test", stale=False)


SESSION = Session(
    session_id=6, name="Six", starting_capital_paise=1, created_at_ms=1, epoch="5f5f5f5f"
)
WRITES: dict[str, Write] = {
    "an event": lambda store, opening: store.append([opening(1)]),
    "a session": lambda store, _: store.create_session(SESSION, "operation", ""),
    "numbers": lambda store, _: store.reserve_ids("trades", 100),
    "a counter": lambda store, _: store.raise_counter("trades", 5),
    "a checkpoint": lambda store, _: store.save_checkpoint(SESSION, Figures()),
    "a copy": lambda store, opening: store.save_copy(opening(1).trade, 1),
    "prices": lambda store, _: SavedPrices(store).save(["NIFTY"], _quote),
}


class Clocks:
    """The clock that counts suspension, and the wall's."""

    def __init__(self) -> None:
        self.boot_s, self.wall_s = 100.0, 1_795_000_000.0

    def __call__(self) -> tuple[float, float]:
        return self.boot_s, self.wall_s

    def passes(self, seconds: float) -> None:
        self.boot_s += seconds
        self.wall_s += seconds


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_behind_a_closed_fence_nothing_is_written(
    write: Write, store: MongoStore, opening: MakeOpening
) -> None:
    store.fence.close()
    with pytest.raises(Unavailable) as refused:
        await write(store, opening)
    assert not isinstance(refused.value, OutcomeUnknown), "nothing was sent"
    assert not store.available
    for name in ("events", "sessions", "counters", "trades", "prices"):
        assert await store.database[name].find_one({}) is None, name


def test_a_right_lasts_from_the_moment_at_which_its_renewal_was_asked_for() -> None:
    clocks = Clocks()
    fence = Fence(clocks)
    assert fence.is_open, "nothing to lose yet"
    asked_at = fence.now()
    clocks.passes(3)
    fence.extend(asked_at, 10)
    clocks.passes(6.9)
    fence.require()
    clocks.passes(0.2)
    assert not fence.is_open


@pytest.mark.parametrize("clock", ["boot_s", "wall_s"])
def test_time_that_only_one_of_its_clocks_saw_pass_closes_it(clock: str) -> None:
    """A suspended machine's clock goes on in one of them at least."""
    clocks = Clocks()
    fence = Fence(clocks)
    fence.extend(fence.now(), 10)
    setattr(clocks, clock, getattr(clocks, clock) + 20)
    with pytest.raises(Unavailable, match="stood still"):
        fence.require()


def test_a_wall_clock_that_is_set_back_opens_nothing_for_longer() -> None:
    clocks = Clocks()
    fence = Fence(clocks)
    fence.extend(fence.now(), 10)
    clocks.wall_s -= 3600
    clocks.boot_s += 11
    assert not fence.is_open


def test_a_refused_write_asks_for_a_renewal_and_a_renewal_opens_it_again() -> None:
    clocks = Clocks()
    fence = Fence(clocks)
    fence.extend(fence.now(), 10)
    clocks.passes(11)
    assert not fence.met_closed.is_set()
    with pytest.raises(Unavailable):
        fence.require()
    assert fence.met_closed.is_set()
    fence.extend(fence.now(), 10)
    fence.require()


def test_a_right_that_was_lost_does_not_come_back() -> None:
    fence = Fence()
    fence.extend(fence.now(), 1000)
    fence.close()
    assert not fence.is_open
