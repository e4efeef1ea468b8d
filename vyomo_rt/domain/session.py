"""A trading session: what is fixed at its birth, and what may be changed later."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What events may change of a session.

    ``status_reason`` is why the status was last set; None since the session's birth. While
    ``closing`` is set every trade that is open closes as soon as it has a price, for this reason:
    a halt began it, and it goes on until the session is no longer HALTED.
    """

    name: str
    status: SessionStatus = SessionStatus.ACTIVE
    status_reason: ChangeReason | None = None
    closing: ExitDetail | None = None

    def with_status(self, status: SessionStatus, reason: ChangeReason) -> Standing:
        """The same in another status; a halt goes on closing what it began to close."""
        closing = self.closing if status is SessionStatus.HALTED else None
        return replace(self, status=status, status_reason=reason, closing=closing)


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
    def standing(self) -> Standing:
        return Standing(**{each.name: getattr(self, each.name) for each in fields(Standing)})

    def with_standing(self, standing: Standing) -> Session:
        return replace(self, **asdict(standing))
