"""Square-off: once a day all trades of a session close, whatever their price."""

from __future__ import annotations

from collections.abc import Callable

from vyomo_rt.domain.moment import DAY_MS, day_of
from vyomo_rt.domain.session import Standing

SquareOffMs = Callable[[str, int, int], int]
"""The first square-off of a symbol after a moment, at a minute of the day in Asia/Kolkata."""


def due_ms(standing: Standing, symbol: str, opened_at_ms: int, first: SquareOffMs) -> int | None:
    """When a trade is squared off, however late that is noticed; None without the rule.

    It is the first square-off after its opening, and after the rule was set.
    """
    minute = standing.rules.square_off_min
    if minute is None:
        return None
    return first(symbol, minute, max(opened_at_ms, standing.square_off_set_ms or 0))


def is_over(standing: Standing, symbol: str, at_ms: int, first: SquareOffMs) -> bool:
    """Whether the square-off of the date in Asia/Kolkata was before a moment, or is then."""
    day_ms = day_of(at_ms)
    due = due_ms(standing, symbol, day_ms - 1, first)
    return due is not None and due <= at_ms < day_ms + DAY_MS
