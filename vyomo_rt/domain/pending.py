"""Pending entries: orders that wait for a price at which they open a trade."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from vyomo_rt.domain.guards import Guards
from vyomo_rt.domain.money import Side


class EntryType(StrEnum):
    """LIMIT waits for a better price than now, STOP for a worse one."""

    LIMIT = "LIMIT"
    STOP = "STOP"


class Validity(StrEnum):
    """DAY ends with the session of its symbol, GTC is good till cancelled."""

    DAY = "DAY"
    GTC = "GTC"


class OrderStatus(StrEnum):
    PENDING = "PENDING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REFUSED = "REFUSED"


class EndReason(StrEnum):
    """Why a pending entry ended without a trade."""

    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a pending entry ended without a trade: why, when, and in words what ended it."""

    reason: EndReason
    at_ms: int
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """The trade that a pending entry became, and when."""

    trade_id: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEntry(Guards):
    """An order to open a trade at a price that is still to come; ``end`` is None while it waits.

    ``changed_at_ms`` is when it was placed or last changed.
    """

    order_id: int
    session_id: int
    symbol: str
    side: Side
    quantity: int
    type: EntryType
    price_e4: int
    validity: Validity
    placed_at_ms: int
    changed_at_ms: int
    tags: tuple[str, ...] = ()
    note: str | None = None
    end: Ending | Fill | None = None

    @property
    def record_id(self) -> int:
        return self.order_id

    @property
    def status(self) -> OrderStatus:
        if self.end is None:
            return OrderStatus.PENDING
        if isinstance(self.end, Fill):
            return OrderStatus.FILLED
        return OrderStatus(self.end.reason)

    @property
    def trade_id(self) -> int | None:
        """The trade that it became."""
        return self.end.trade_id if isinstance(self.end, Fill) else None

    def ended(self, end: Ending | Fill) -> PendingEntry:
        """The same order after its end."""
        return replace(self, end=end)
