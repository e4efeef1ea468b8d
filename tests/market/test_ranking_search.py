"""Whatever several sources send: looked for by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.market.rivals import Rivals
from vyomo_rt.domain.quote import Tick


@dataclass(frozen=True)
class Said:
    wait_ms: int
    source: str
    price_e4: int
    age_ms: int | None
    """None: it says its last price once more."""


said = st.builds(
    Said,
    wait_ms=st.sampled_from([0, 1, 900, 5_000, 12_000, 15_001, 31_000, 100_000]),
    source=st.sampled_from(["a", "b", "c"]),
    price_e4=st.sampled_from([1000, 1001, 990, 1500, 1510]),
    age_ms=st.sampled_from([None, -6_000, 0, 1, 5_000, 16_000, 61_000]),
)


class Audited(Rivals):
    """Three sources, and what must hold before and after each of their ticks."""

    def __init__(self) -> None:
        super().__init__("a", "b", "c")
        self.speaker: str | None = None
        self.first_word: tuple[int, int] | None = None
        """The price with which the speaker took another's place, until it has said another."""
        self.accepted: set[tuple[str, int, int]] = set()

    def take(self, step: Said) -> None:
        self.now_ms += step.wait_ms
        self.look()
        counted = self.board.confirmed("NIFTY")
        self.acted.clear()
        last = self.books[step.source].last("NIFTY")
        if step.age_ms is not None:
            tick = Tick("NIFTY", step.price_e4, self.now_ms - step.age_ms, step.source)
        elif last is not None:
            tick = Tick("NIFTY", last.price_e4, last.as_of_ms, step.source)
        else:
            return
        if self.board.accept(tick) is None:
            self.accepted.add((step.source, tick.price_e4, tick.as_of_ms or 0))
        if self.acted:
            (quote,) = self.acted
            assert quote.source == step.source
            if not quote.stale:
                assert self.speaker in {None, quote.source}, "a change of source acts on nothing"
                assert self.first_word != (quote.price_e4, quote.as_of_ms), "nor its first price"
                assert quote == self.board.quote("NIFTY")
            assert quote == self.board.confirmed("NIFTY")
            self.first_word = None
        elif counted is not None:
            still = self.board.confirmed("NIFTY")
            assert still is not None
            assert (still.price_e4, still.as_of_ms) == (counted.price_e4, counted.as_of_ms)
        self.look()

    def look(self) -> None:
        shown, counted = self.board.quote("NIFTY"), self.board.confirmed("NIFTY")
        if shown is None or counted is None:
            assert shown is counted is None
            return
        for quote in (shown, counted):
            assert (quote.source, quote.price_e4, quote.as_of_ms) in self.accepted
        book = self.books[shown.source]
        assert shown == book.shown("NIFTY", self.now_ms), "each price is of one book"
        spoken = book.confirmed("NIFTY", self.now_ms)
        assert spoken is not None
        if self.speaker not in {None, shown.source}:
            self.first_word = spoken.price_e4, spoken.as_of_ms
        self.speaker = shown.source
        if spoken.stale:
            others = (one.confirmed("NIFTY", self.now_ms) for one in self.books.values())
            assert all(one is None or one.stale for one in others), "a fresh one would speak"


def audit(steps: list[Said]) -> None:
    audited = Audited()
    for step in steps:
        audited.take(step)


days = st.lists(said, max_size=40)


@settings(deadline=None, max_examples=200)
@given(days)
def test_whatever_sources_send_no_change_of_source_acts_and_each_price_is_of_one_book(
    steps: list[Said],
) -> None:
    audit(steps)


@pytest.mark.slow(36)
@pytest.mark.timeout(600)
@settings(deadline=None, max_examples=10_000)
@given(days)
def test_nor_in_ten_thousand_days(steps: list[Said]) -> None:
    audit(steps)
