"""A trading session: what is fixed at its birth, and what may be changed later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from enum import StrEnum
from typing import Any

from vyomo_rt.domain.charges import ChargePlan
from vyomo_rt.domain.rules import NO_RULES, Lock, Rules
from vyomo_rt.domain.trade import ExitDetail


class SessionStatus(StrEnum):
    """Opening needs ACTIVE; PAUSED and HALTED stop nothing else; STOPPED is final."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    HALTED = "HALTED"
    STOPPED = "STOPPED"


class ChangeReason(StrEnum):
    """Why a session was changed."""

    MANUAL = "MANUAL"
    KILL = "KILL"
    DAILY_LOSS = "DAILY_LOSS"
    DAILY_TARGET = "DAILY_TARGET"
    LOCK_ARMED = "LOCK_ARMED"
    PROFIT_LOCK = "PROFIT_LOCK"
    LOSING_STREAK = "LOSING_STREAK"
    NEW_DAY = "NEW_DAY"


@dataclass(frozen=True, slots=True)
class RuleHalt:
    """Rules halted the session, which was in another status before, until a trading date begins.

    ``reasons`` are those of all of them, the newest last.
    """

    before: SessionStatus
    reasons: tuple[ChangeReason, ...]
    ends_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What events may change of a session.

    ``status_reason`` is why the status was last set; None since the session's birth. While
    ``closing`` is set every trade that is open closes as soon as it has a price, for this reason:
    a halt began it, and it goes on until the session is no longer HALTED. ``lock`` is the profit
    lock that was armed last; the rules of ``waived`` do not act on the date ``waived_on``.
    ``halt`` is set while a rule halts the session, and nobody has halted it anew.
    ``square_off_set_ms`` is when ``rules.square_off_min`` was set: what was due before is not
    made up for.
    """

    name: str
    status: SessionStatus = SessionStatus.ACTIVE
    status_reason: ChangeReason | None = None
    closing: ExitDetail | None = None
    halt: RuleHalt | None = None
    rules: Rules = NO_RULES
    charges: ChargePlan | None = None
    lock: Lock | None = None
    waived: tuple[ChangeReason, ...] = ()
    waived_on: date | None = None
    square_off_set_ms: int | None = None

    def with_settings(self, changes: Mapping[str, Any], rules: Mapping[str, Any]) -> Standing:
        """The same with other members, and with other members of its rules.

        A new profit lock is not armed, and a rule with a new value is no longer waived.
        """
        after = replace(self.rules, **rules)
        waived = tuple(each for each in self.waived if not _differ(each, self.rules, after))
        return replace(
            self,
            **changes,
            rules=after,
            lock=self.lock if after.profit_lock == self.rules.profit_lock else None,
            waived=waived,
            waived_on=self.waived_on if waived else None,
        )

    def settled_at(self, before: Standing, at_ms: int) -> Standing:
        """The same as of the moment of the change that made it of another one."""
        minute, since_ms = self.rules.square_off_min, self.square_off_set_ms
        if minute is None:
            since_ms = None
        elif since_ms is None or minute != before.rules.square_off_min:
            since_ms = at_ms
        return replace(self, square_off_set_ms=since_ms)

    def with_status(self, status: SessionStatus, reason: ChangeReason) -> Standing:
        """The same in another status; a halt goes on closing what it began to close."""
        closing = self.closing if status is SessionStatus.HALTED else None
        return replace(self, status=status, status_reason=reason, closing=closing, halt=None)

    def is_changed_by(self, status: SessionStatus) -> bool:
        """Whether a request for a status changes anything: one to halt does over a rule's halt."""
        over_rule = status is SessionStatus.HALTED and self.halt is not None
        return status is not self.status or over_rule

    def halted_by(
        self, reason: ChangeReason, closing: ExitDetail | None, ends_at_ms: int
    ) -> Standing:
        """The same after a rule has tripped, maybe over the halt of another one."""
        earlier = self.halt
        before = self.status if earlier is None else earlier.before
        reasons = () if earlier is None else earlier.reasons
        halt = RuleHalt(before, (*reasons, reason), ends_at_ms)
        halted = self.with_status(SessionStatus.HALTED, reason)
        return replace(halted, closing=closing or halted.closing, halt=halt)

    def set_to(self, status: SessionStatus, rules: Rules, day: date) -> Standing:
        """The same after a request for a status.

        If that lifts what rules have halted, these are waived for the date, but for those that
        differ from ``rules``, which were there before.
        """
        after = self.with_status(status, ChangeReason.MANUAL)
        if self.halt is None or status in (SessionStatus.HALTED, SessionStatus.STOPPED):
            return after
        kept = self.waived if self.waived_on == day else ()
        lifted = (each for each in self.halt.reasons if not _differ(each, rules, self.rules))
        waived = tuple(dict.fromkeys((*kept, *lifted)))
        return replace(after, waived=waived, waived_on=day if waived else None)


_STANDING = fields(Standing)
RULE_BEHIND = {
    ChangeReason.DAILY_LOSS: "max_daily_loss_paise",
    ChangeReason.DAILY_TARGET: "daily_target_paise",
    ChangeReason.PROFIT_LOCK: "profit_lock",
    ChangeReason.LOSING_STREAK: "losing_streak",
}


def _differ(reason: ChangeReason, one: Rules, other: Rules) -> bool:
    """Whether two sets of rules differ in the rule that halts for a reason."""
    name = RULE_BEHIND[reason]
    return bool(getattr(one, name) != getattr(other, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Standing):
    """A session as its newest event left it.

    ``epoch`` is a random name of the session's history: a wiped store cannot be mistaken for
    the old one. ``owner`` is who made it; None without access control.
    """

    session_id: int
    starting_capital_paise: int
    created_at_ms: int
    epoch: str
    owner: str | None = None

    @property
    def has_terms(self) -> bool:
        """Whether it has rules or charges."""
        return self.rules != NO_RULES or self.charges is not None

    @property
    def standing(self) -> Standing:
        return Standing(**{each.name: getattr(self, each.name) for each in _STANDING})

    def with_standing(self, standing: Standing) -> Session:
        return replace(self, **{each.name: getattr(standing, each.name) for each in _STANDING})
