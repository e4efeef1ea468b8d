"""What trading costs: the items, and what is left of a P&L."""

from __future__ import annotations

from typing import Any

from vyomo_rt.domain.charges import Charges
from vyomo_rt.wire.encoding import Data
from vyomo_rt.wire.numbers import from_paise
from vyomo_rt.wire.values import Money


class ChargeItems(Data):
    """Charges by item, each the sum of amounts that were rounded by themselves."""

    brokerage: Money
    stt: Money
    transaction: Money
    stamp: Money
    sebi: Money
    gst: Money


def charge_items(charges: Charges | None) -> ChargeItems | None:
    return None if charges is None else ChargeItems(*map(from_paise, charges))


def cost(charges: Charges | None, pnl_paise: int) -> dict[str, Any]:
    """The charges of what earned a P&L, and what they leave of it; both None without charges."""
    if charges is None:
        return {"charges": None, "net_pnl": None}
    total_paise = charges.total_paise
    return {"charges": from_paise(total_paise), "net_pnl": from_paise(pnl_paise - total_paise)}
