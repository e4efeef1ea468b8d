"""Pending entries: orders that wait for a price at which they open a trade."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from vyomo_rt.domain.errors import Conflict
from vyomo_rt.domain.guards import GUARDS, Guards
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import TradeOrder
from vyomo_rt.domain.trade import Trade


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
class EntryTerms(Guards):
    """What somebody asks for who wants a trade at a price that is still to come."""

    symbol: str
    side: Side
    quantity: int
    type: EntryType
    price_e4: int
    validity: Validity
    tags: tuple[str, ...] = ()
    note: str | None = None

    def fills_at(self, price_e4: int) -> bool:
        """Whether it becomes a trade at a price.

        LIMIT: BUY at its price or below; STOP: BUY at its price or above; SELL mirrored.
        """
        sign = self.side.sign if self.type is EntryType.LIMIT else -self.side.sign
        return (price_e4 - self.price_e4) * sign <= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEntry(EntryTerms):
    """An order to open a trade at a price that is still to come; ``end`` is None while it waits.

    ``changed_at_ms`` is when it was placed or last changed, ``ends_at_ms`` when it expires.
    """

    order_id: int
    session_id: int
    placed_at_ms: int
    changed_at_ms: int
    ends_at_ms: int | None = None
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
    def is_open(self) -> bool:
        return self.end is None

    @property
    def trade_id(self) -> int | None:
        """The trade that it became."""
        return self.end.trade_id if isinstance(self.end, Fill) else None

    @property
    def opening(self) -> TradeOrder:
        """The trade that it opens, at a price that is still to come."""
        names = (*GUARDS, "symbol", "side", "quantity", "tags", "note")
        return TradeOrder(**{name: getattr(self, name) for name in names})

    def ended(self, end: Ending | Fill) -> PendingEntry:
        """The same order after its end."""
        return replace(self, end=end)


class AlreadyEnded(Conflict):
    """The pending entry waits no longer: it was filled, cancelled, refused, or has expired."""

    def __init__(self, entry: PendingEntry) -> None:
        super().__init__(f"order {entry.order_id} is {entry.status}", "orderId")
        self.entry = entry


class Entered(NamedTuple):
    """An order and the trade that it became, if it has; ``repeated`` if that was done before."""

    entry: PendingEntry
    trade: Trade | None
    repeated: bool = False
