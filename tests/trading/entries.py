"""What tests ask of pending entries, with a usual order to begin with."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trading.bench import NOT_WRITTEN, WRITTEN, Bench
from vyomo_rt.domain.event import EventKind
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.pending import (
    Entered,
    EntryTerms,
    EntryType,
    OrderStatus,
    PendingEntry,
    Validity,
)

LIMIT, STOP = EntryType.LIMIT, EntryType.STOP
BUY, SELL = Side.BUY, Side.SELL
PENDING, FILLED, REFUSED = OrderStatus.PENDING, OrderStatus.FILLED, OrderStatus.REFUSED
ANSWERS = pytest.mark.parametrize("happened", [WRITTEN, NOT_WRITTEN], ids=["written", "lost"])


async def place(bench: Bench, session_id: int, *, key: str | None = None, **terms: Any) -> Entered:
    """Place an order, by default a LIMIT to BUY 10 NIFTY at 100, good till cancelled."""
    asked: dict[str, Any] = {
        "symbol": "NIFTY",
        "side": BUY,
        "quantity": 10,
        "type": LIMIT,
        "price_e4": 100_0000,
        "validity": Validity.GTC,
    } | terms
    operation = Operation.asked(key, "h", by=None)
    return await bench.desk.place_order(session_id, operation, lambda: EntryTerms(**asked))


async def change(bench: Bench, order_id: int, **members: Any) -> Entered:
    return await bench.desk.change_order(order_id, Operation.asked(by=None), lambda: members)


async def cancel(bench: Bench, order_id: int) -> Entered:
    return await bench.desk.cancel_order(order_id, Operation.asked(by=None), lambda: None)


async def order(bench: Bench, entered: Entered) -> PendingEntry:
    return await bench.desk.records.order(entered.entry.order_id)


async def kinds(bench: Bench, session_id: int) -> list[EventKind]:
    return [event.kind for event in await bench.history(session_id)]
