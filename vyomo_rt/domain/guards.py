"""What watches over a trade: where it closes by itself, and what moves its stop."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """Levels and distances, each None where it is not set.

    ``trailing_stop_e4`` is the distance at which the stop follows the price, in steps of
    ``trailing_step_e4``, from ``trail_from_e4`` on. At ``breakeven_at_e4`` the stop moves to the
    entry price, once.
    """

    stop_loss_e4: int | None = None
    target_e4: int | None = None
    trailing_stop_e4: int | None = None
    trailing_step_e4: int | None = None
    trail_from_e4: int | None = None
    breakeven_at_e4: int | None = None


GUARDS = tuple(field.name for field in fields(Guards))
"""The names of all guards."""
