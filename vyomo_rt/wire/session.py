"""A session: what is asked of it, its figures, its changes, its document."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict

from vyomo_rt.domain.charges import ChargePlan
from vyomo_rt.domain.event import SessionEvent
from vyomo_rt.domain.moment import MarketMs, WallMs, iso
from vyomo_rt.domain.order import ChangeOrder, SessionOrder
from vyomo_rt.domain.rules import NO_RULES, Rules
from vyomo_rt.domain.ruling import cooldown_until_ms
from vyomo_rt.domain.session import ChangeReason, SessionStatus, Standing
from vyomo_rt.domain.state import SessionState
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, Message, encode, unless_none
from vyomo_rt.wire.frame import Frame, make_frame, without_stamp
from vyomo_rt.wire.numbers import AmountPaise, from_e2, from_paise
from vyomo_rt.wire.position import spell_position
from vyomo_rt.wire.rules import (
    CalendarDay,
    LockData,
    RulesBody,
    RulesData,
    lock_data,
    rules_data,
)
from vyomo_rt.wire.values import MAX_INT, By, Count, Epoch, Id, Money, Percent, Seq, Timestamp

_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class NewSession(Body):
    starting_capital: AmountPaise
    name: _Name | None = None
    rules: RulesBody | None = None
    charges: ChargePlan | None = None

    def order(self) -> SessionOrder:
        """The session in words of the domain. Raises BadRequest for what cannot be a rule."""
        return SessionOrder(
            starting_capital_paise=self.starting_capital,
            name=self.name,
            rules=Rules(**self.rules.changes()) if self.rules else NO_RULES,
            charges=self.charges,
        )


class SessionChange(Body):
    """A change of a session; members that are left out stay as they are.

    ``rules`` are merged member by member; null takes one away, and the charges.
    """

    status: SessionStatus | None = None
    name: _Name | None = None
    rules: RulesBody | None = None
    charges: ChargePlan | UnsetType | None = UNSET

    def order(self) -> ChangeOrder:
        """The change in words of the domain. Raises BadRequest for what cannot be a rule."""
        changes: dict[str, Any] = {}
        if self.name is not None:
            changes["name"] = self.name
        if not isinstance(self.charges, UnsetType):
            changes["charges"] = self.charges
        rules = self.rules.changes() if self.rules else {}
        return ChangeOrder(status=self.status, changes=changes, rules=rules)


class SessionsQuery(Body):
    status: SessionStatus | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000
    after: Annotated[int, Meta(ge=0, le=MAX_INT, description="``next`` of the previous page")] = 0


class SessionChangedData(Data, kw_only=True):
    session_id: Id
    name: str
    status: SessionStatus
    status_reason: ChangeReason | None
    reason: ChangeReason
    detail: str | None
    rules: RulesData
    charges: ChargePlan | None
    lock: LockData | None
    waived: Annotated[
        list[ChangeReason], Meta(description="The rules, by their reasons, that do not act")
    ]
    waived_on: Annotated[CalendarDay | None, Meta(description="The date on which they do not")]
    timestamp: Timestamp
    by: By = UNSET


class SessionChanged(Message, tag="session_changed"):
    """The session itself was changed, and the change is stored; this is its state now."""

    data: SessionChangedData
    seq: Seq


class SessionData(Data):
    session_id: Id
    current_capital: Money
    total_pnl: Money
    today_pnl: Money
    total_trades: Count
    win_rate: Percent
    status: SessionStatus
    status_reason: Annotated[
        ChangeReason | None, Meta(description="Why the status was last set; null if it never was")
    ]
    timestamp: Timestamp
    winning_trades: Count
    losing_trades: Count
    open_trades: Count
    unrealized_pnl: Money
    total_charges: Annotated[Money | UnsetType, Meta(description="Absent without charges")] = UNSET
    net_total_pnl: Annotated[
        Money | UnsetType, Meta(description="`totalPnL` less `totalCharges`")
    ] = UNSET
    net_today_pnl: Annotated[
        Money | UnsetType, Meta(description="`todayPnL` less the charges of the same exits")
    ] = UNSET


class SessionUpdate(Message, tag="session_update"):
    """A session's figures as of event ``seq``; ``recovered`` only answers a ``since``.

    Of a session that is only watched among all others they come without ``seq``.
    """

    data: SessionData
    seq: Seq | UnsetType = UNSET
    recovered: bool | UnsetType = UNSET


class TodayData(Data):
    """What rules look at."""

    trades: Annotated[Count, Meta(description="Opened today")]
    losing_streak: Annotated[Count, Meta(description="Losses in a row, of trades closed today")]
    cooldown_until: Annotated[
        Timestamp | None, Meta(description="No opening before; null if nothing forbids one")
    ]
    loss_left: Annotated[
        Money | None, Meta(description="`maxDailyLoss` + today's P&L; null without that rule")
    ]


class SessionDocument(SessionData, kw_only=True):
    """``session_update.data`` plus what was fixed when the session was made."""

    name: str
    starting_capital: Money
    epoch: Epoch
    seq: Seq
    created_at: Timestamp
    owner: Annotated[
        str | None, Meta(description="The subject that made it; null without access control")
    ]
    rules: RulesData
    charges: ChargePlan | None
    lock: LockData | None
    waived: list[ChangeReason]
    waived_on: CalendarDay | None
    today: TodayData


class SessionList(Data):
    """Sessions by id; ``next`` is the next page's ``after``, null on the last page."""

    sessions: list[SessionDocument]
    next: Id | None


def session_changed(event: SessionEvent) -> SessionChanged:
    standing = event.standing
    data = SessionChangedData(
        session_id=event.session_id,
        name=standing.name,
        status=standing.status,
        status_reason=standing.status_reason,
        reason=event.reason,
        detail=event.detail,
        **_terms(standing),
        timestamp=iso(event.changed_at_ms),
        by=unless_none(event.by),
    )
    return SessionChanged(data=data, seq=event.seq)


def session_data(state: SessionState, unrealised_paise: int, now_ms: int) -> SessionData:
    session, figures = state.session, state.figures
    return SessionData(
        session_id=session.session_id,
        current_capital=from_paise(session.starting_capital_paise + figures.realised_paise),
        total_pnl=from_paise(figures.realised_paise),
        today_pnl=from_paise(state.today_paise),
        total_trades=figures.opened,
        win_rate=from_e2(figures.win_rate_e2),
        status=session.status,
        status_reason=session.status_reason,
        timestamp=iso(now_ms),
        winning_trades=figures.wins,
        losing_trades=figures.losses,
        open_trades=len(state.open_trades),
        unrealized_pnl=from_paise(unrealised_paise),
        **_net(state),
    )


def _net(state: SessionState) -> dict[str, Any]:
    """The figures less charges, in a session that has charges or has paid some."""
    figures = state.figures
    if state.session.charges is None and not figures.charge_days:
        return {}
    return {
        "total_charges": from_paise(figures.charges_paise),
        "net_total_pnl": from_paise(figures.net_paise),
        "net_today_pnl": from_paise(state.net_today_paise),
    }


def session_update(
    state: SessionState, unrealised_paise: int, now_ms: int, recovered: bool | None = None
) -> Frame:
    """Figures as of event ``seq``; ``recovered`` only in the snapshot that answers a ``since``."""
    message = SessionUpdate(
        data=session_data(state, unrealised_paise, now_ms),
        seq=state.seq,
        recovered=unless_none(recovered),
    )
    session = state.session
    event_id = spell_position(session.session_id, state.seq, session.epoch)
    return make_frame("session_update", encode(message), event_id)


def watched_update(state: SessionState, unrealised_paise: int) -> Frame:
    """Figures that move no position, to be kept: with a gap in place of their timestamp."""
    message = SessionUpdate(data=session_data(state, unrealised_paise, 0))
    return without_stamp(make_frame("session_update", encode(message)))


def session_document(
    state: SessionState, unrealised_paise: int, now_ms: WallMs, market_ms: MarketMs
) -> SessionDocument:
    session = state.session
    return SessionDocument(
        **asdict(session_data(state, unrealised_paise, now_ms)),
        name=session.name,
        starting_capital=from_paise(session.starting_capital_paise),
        epoch=session.epoch,
        seq=state.seq,
        created_at=iso(session.created_at_ms),
        owner=session.owner,
        **_terms(session),
        today=_today(state, unrealised_paise, market_ms),
    )


def _today(state: SessionState, unrealised_paise: int, market_ms: int) -> TodayData:
    tally, most_paise = state.figures.tally(state.today), state.session.rules.max_daily_loss_paise
    until_ms, left = cooldown_until_ms(state), None
    if most_paise is not None:
        left = from_paise(most_paise + state.ruled_paise(state.today) + unrealised_paise)
    return TodayData(
        trades=tally.opened,
        losing_streak=tally.losing_streak,
        cooldown_until=None if until_ms is None or until_ms <= market_ms else iso(until_ms),
        loss_left=left,
    )


def _terms(standing: Standing) -> dict[str, Any]:
    """The members that say by which rules it trades."""
    return {
        "rules": rules_data(standing.rules),
        "charges": standing.charges,
        "lock": lock_data(standing.lock),
        "waived": list(standing.waived),
        "waived_on": standing.waived_on and standing.waived_on.isoformat(),
    }
