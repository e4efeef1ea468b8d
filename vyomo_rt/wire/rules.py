"""The rules of a session: what may be set, and what is told of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict

from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.money import MAX_QUANTITY
from vyomo_rt.domain.rules import Lock, ProfitLock, Rules
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, unless_none
from vyomo_rt.wire.numbers import AmountPaise, from_paise
from vyomo_rt.wire.values import Money

_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"

Number = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
TimeOfDay = Annotated[
    str,
    Meta(
        description="HH:MM in Asia/Kolkata",
        examples=["15:15"],
        extra_json_schema={"pattern": f"^{_TIME}$"},
    ),
]
CalendarDay = Annotated[
    str, Meta(description="A date in Asia/Kolkata", extra_json_schema={"format": "date"})
]

_MEMBERS = {
    "max_daily_loss": "max_daily_loss_paise",
    "daily_target": "daily_target_paise",
    "profit_lock": "profit_lock",
    "max_order_value": "max_order_value_paise",
    "max_trades_per_day": "max_trades_per_day",
    "max_open_trades": "max_open_trades",
    "losing_streak": "losing_streak",
    "cooldown_seconds": "cooldown_s",
    "square_off": "square_off_min",
}
_AMOUNTS = ("max_daily_loss", "daily_target", "max_order_value")


class ProfitLockBody(Body):
    """Once today's P&L has reached ``armAt``, falling to ``floor`` halts."""

    arm_at: AmountPaise
    floor: AmountPaise


class RulesBody(Body, kw_only=True):
    """What a session may not do; what is left out stays as it is, null takes a rule away."""

    max_daily_loss: Annotated[
        AmountPaise | UnsetType | None,
        Meta(
            description="The loss of a day at which it halts, and closes everything",
            examples=[2000],
        ),
    ] = UNSET
    daily_target: Annotated[
        AmountPaise | UnsetType | None,
        Meta(
            description="The profit of a day at which it halts, and closes everything",
            examples=[5000],
        ),
    ] = UNSET
    profit_lock: Annotated[
        ProfitLockBody | UnsetType | None, Meta(examples=[{"armAt": 3000, "floor": 1500}])
    ] = UNSET
    max_order_value: Annotated[
        AmountPaise | UnsetType | None,
        Meta(
            description="The most that an opening may cost: quantity × entry price",
            examples=[100_000],
        ),
    ] = UNSET
    max_trades_per_day: Annotated[Number | UnsetType | None, Meta(examples=[20])] = UNSET
    max_open_trades: Annotated[Number | UnsetType | None, Meta(examples=[5])] = UNSET
    losing_streak: Annotated[
        Number | UnsetType | None,
        Meta(description="So many losses in a row on one day halt it", examples=[3]),
    ] = UNSET
    cooldown_seconds: Annotated[
        Number | UnsetType | None,
        Meta(description="The pause for openings after a loss", examples=[300]),
    ] = UNSET
    square_off: TimeOfDay | UnsetType | None = UNSET

    def changes(self) -> dict[str, Any]:
        """The members of Rules that are given, in units of the domain. Raises BadRequest."""
        given = {name: it for name, it in asdict(self).items() if it is not UNSET}
        if isinstance(self.profit_lock, ProfitLockBody):
            given["profit_lock"] = _profit_lock(self.profit_lock)
        if isinstance(self.square_off, str):
            given["square_off"] = _minute(self.square_off)
        return {_MEMBERS[name]: it for name, it in given.items()}


class ProfitLockData(Data):
    arm_at: Money
    floor: Money


class RulesData(Data, kw_only=True):
    """Those that are set; the others are absent."""

    max_daily_loss: Money | UnsetType = UNSET
    daily_target: Money | UnsetType = UNSET
    profit_lock: ProfitLockData | UnsetType = UNSET
    max_order_value: Money | UnsetType = UNSET
    max_trades_per_day: Number | UnsetType = UNSET
    max_open_trades: Number | UnsetType = UNSET
    losing_streak: Number | UnsetType = UNSET
    cooldown_seconds: Number | UnsetType = UNSET
    square_off: TimeOfDay | UnsetType = UNSET


class LockData(Data):
    """The profit lock was armed on a date; on any other it counts for nothing."""

    date: CalendarDay
    floor: Money


def rules_data(rules: Rules) -> RulesData:
    """The rules that are set, as clients get them."""
    members: dict[str, Any] = {name: getattr(rules, own) for name, own in _MEMBERS.items()}
    members |= {name: _optional_paise(members[name]) for name in _AMOUNTS}
    if rules.profit_lock is not None:
        arm_at, floor = rules.profit_lock.arm_at_paise, rules.profit_lock.floor_paise
        members["profit_lock"] = ProfitLockData(from_paise(arm_at), from_paise(floor))
    if rules.square_off_min is not None:
        hour, minute = divmod(rules.square_off_min, 60)
        members["square_off"] = f"{hour:02d}:{minute:02d}"
    return RulesData(**_where_set(members))


def lock_data(lock: Lock | None) -> LockData | None:
    """An armed profit lock as clients get it."""
    return None if lock is None else LockData(lock.day.isoformat(), from_paise(lock.floor_paise))


def _where_set(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: unless_none(value) for name, value in members.items()}


def _optional_paise(paise: int | None) -> Decimal | None:
    return None if paise is None else from_paise(paise)


def _profit_lock(body: ProfitLockBody) -> ProfitLock:
    if body.floor >= body.arm_at:
        field = "rules.profitLock.floor"
        raise BadRequest(f"{field}: must be below armAt", field)
    return ProfitLock(arm_at_paise=body.arm_at, floor_paise=body.floor)


def _minute(text: str) -> int:
    """The minute of a day. Raises BadRequest for what is no time of day."""
    if not re.fullmatch(_TIME, text, re.ASCII):
        field = "rules.squareOff"
        raise BadRequest(f"{field}: {text[:40]!r} is no time: write HH:MM, as 15:15", field)
    hour, minute = map(int, text.split(":"))
    return hour * 60 + minute
