"""The rules of a session, which keep a bad day small."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitLock:
    """Once today's P&L has reached ``arm_at_paise``, it may not fall to ``floor_paise``."""

    arm_at_paise: int
    floor_paise: int


@dataclass(frozen=True, slots=True)
class Lock:
    """A profit lock that is armed on a date; on another one it counts for nothing."""

    day: date
    floor_paise: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a session may not do, each None where it is not set.

    ``square_off_min`` is the minute of the day in Asia/Kolkata at which all trades close.
    """

    max_daily_loss_paise: int | None = None
    daily_target_paise: int | None = None
    profit_lock: ProfitLock | None = None
    max_order_value_paise: int | None = None
    max_trades_per_day: int | None = None
    max_open_trades: int | None = None
    losing_streak: int | None = None
    cooldown_s: int | None = None
    square_off_min: int | None = None

    @property
    def judge_results(self) -> bool:
        """Whether one of them acts on the result of a day."""
        acting = (
            self.max_daily_loss_paise,
            self.daily_target_paise,
            self.profit_lock,
            self.losing_streak,
        )
        return any(rule is not None for rule in acting)


NO_RULES = Rules()
