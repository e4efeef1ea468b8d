"""Which ticks of several sources are recorded."""

from __future__ import annotations

from tests.market.rivals import Rivals


def test_of_several_sources_the_ticks_of_the_one_that_speaks_are_recorded() -> None:
    """So a record has one price of a symbol after the other, held jumps too."""
    rivals, kept = Rivals(), []
    rivals.board.keep = lambda *tick: kept.append(tick[1])
    for source, price_e4 in (
        ("first", 100_0000),
        ("second", 101_0000),
        ("first", 102_0000),
        ("second", 300_0000),
        ("first", 200_0000),
        ("first", 201_0000),
    ):
        rivals.after(1)
        assert rivals.says(source, price_e4) is None
    assert kept == [100_0000, 102_0000, 200_0000, 201_0000]
