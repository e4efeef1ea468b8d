"""Bars as a definition has them, to compare others with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vyomo_rt.domain.bars import Bar
from vyomo_rt.domain.moment import minute_of

Tick = tuple[int, int]
"""A moment, and a price."""


def made_of(ticks: Iterable[Tick], start_of: Callable[[int], int]) -> list[Bar]:
    """Bars as a definition has them: each tick is asked for its bar."""
    bars: dict[int, Bar] = {}
    for moment_ms, price_e4 in ticks:
        start_ms = start_of(minute_of(moment_ms))
        bar = bars.setdefault(start_ms, Bar(start_ms, price_e4, price_e4, price_e4))
        bar.high_e4, bar.low_e4 = max(bar.high_e4, price_e4), min(bar.low_e4, price_e4)
        bar.close_e4 = price_e4
        bar.count += 1
    return list(bars.values())
