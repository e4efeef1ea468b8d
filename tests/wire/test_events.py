"""The messages of guards, parts and pending entries, member by member."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.kit.events import entry_event, pending_entry, trade_event
from tests.wire.samples import CLOSED, NOW, NOW_MS, TRADE, decoded, event, parsed
from vyomo_rt.domain.charges import Charges
from vyomo_rt.domain.event import Event, EventKind
from vyomo_rt.domain.pending import Ending, EndReason, Fill
from vyomo_rt.domain.session import ChangeReason
from vyomo_rt.domain.trade import (
    Exit,
    ExitDetail,
    ExitReason,
    Trade,
    TradeChange,
    TradeChangeReason,
)
from vyomo_rt.store import documents
from vyomo_rt.wire.commands import ALL_TYPES
from vyomo_rt.wire.event import event_message, numbered_event
from vyomo_rt.wire.order import order_document
from vyomo_rt.wire.trade import trade_document

TERMS = {"tradeId": 2, "sessionId": 6, "symbol": "BANKNIFTY", "side": "BUY"}
GUARDED = replace(
    TRADE,
    trailing_stop_e4=5_0000,
    trailing_step_e4=5000,
    trail_from_e4=200_0000,
    breakeven_at_e4=198_0000,
    tags=("opening-range", "a"),
    note="₹ “note”",
    order_id=4,
)
MOVING = {"trailingStop": 5, "trailingStep": Decimal("0.5"), "trailFrom": 200, "breakevenAt": 198}
LABELS = {"tags": ["opening-range", "a"], "note": "₹ “note”"}
PART = TRADE.reduced_by(20, Exit(196_3000, ExitReason.MANUAL, NOW_MS + 5, stale=True))
CHANGED = replace(GUARDED, change=TradeChange(TradeChangeReason.TRAILING, NOW_MS + 1))
ENTRY = pending_entry(4, stop_loss_e4=98_0000, placed_at_ms=NOW_MS, changed_at_ms=NOW_MS + 1)


def data(trade: Trade) -> dict[str, Any]:
    members: dict[str, Any] = parsed(event(trade, 3))["data"]
    return members


def of_entry(entry: Any) -> dict[str, Any]:
    message: dict[str, Any] = parsed(numbered_event(entry_event(entry, 3), "k3vq"))
    return message


def test_the_types_of_a_subscription_are_the_kinds_of_events_and_the_two_of_state() -> None:
    assert {kind.value for kind in EventKind} | {"session_update", "pnl_update"} == ALL_TYPES
    assert len(EventKind) == 7


def test_an_opening_tells_guards_tags_note_and_order_where_they_are_set() -> None:
    assert data(GUARDED) == data(TRADE) | MOVING | LABELS | {"orderId": 4}


def test_a_reduction_tells_of_the_part_and_what_is_left() -> None:
    assert data(PART) == TERMS | {
        "quantity": 30,
        "entryPrice": Decimal("195.25"),
        "closedQuantity": 20,
        "exitPrice": Decimal("196.3"),
        "pnl": 21,
        "pnlPercent": Decimal("0.54"),
        "exitReason": "MANUAL",
        "realizedPnL": 21,
        "stale": True,
        "status": "OPEN",
        "timestamp": "2026-11-22T10:00:00.128Z",
    }


def test_a_close_after_parts_is_of_what_was_opened_and_says_how_many_parts_there_were() -> None:
    detail = ExitDetail.TRAILING
    whole = PART.closed(Exit(190_0000, ExitReason.SL, NOW_MS + 9, detail=detail))
    told = data(whole)
    pnl = Decimal("21") - Decimal("157.5")
    assert told == TERMS | {
        "quantity": 50,
        "entryPrice": Decimal("195.25"),
        "exitPrice": 190,
        "pnl": pnl,
        "pnlPercent": round(pnl / (Decimal("195.25") * 50) * 100, 2),
        "exitReason": "SL",
        "exitDetail": "TRAILING",
        "closedQuantity": 30,
        "parts": 2,
        "status": "CLOSED",
        "timestamp": "2026-11-22T10:00:00.132Z",
    }
    assert "closedQuantity" not in data(CLOSED)


def test_a_part_tells_what_it_cost_and_a_close_what_the_whole_trade_cost() -> None:
    at_entry, at_exit = (
        Charges(20_00, 0, 3_47, 29, 1, 4_23),
        Charges(20_00, 14_72, 3_49, 0, 1, 4_23),
    )
    exit_ = Exit(196_3000, ExitReason.MANUAL, NOW_MS + 5, charges=at_exit)
    charged = replace(TRADE, entry_charges=at_entry)
    assert data(charged) == data(TRADE)
    whole = data(charged.closed(exit_))
    assert (whole["pnl"], whole["charges"], whole["netPnl"]) == (
        Decimal("52.5"),
        Decimal("70.45"),
        Decimal("-17.95"),
    )
    part = charged.reduced_by(25, exit_)
    half = Decimal("14.02")  # 10 + 1.74 + 0.15 + 0.01 + 2.12
    assert data(part)["charges"] == half + Decimal("42.45")
    assert data(part)["netPnl"] == data(part)["pnl"] - data(part)["charges"]
    assert decoded(trade_document(charged.closed(exit_)))["chargeItems"] == {
        "brokerage": 40,
        "stt": Decimal("14.72"),
        "transaction": Decimal("6.96"),
        "stamp": Decimal("0.29"),
        "sebi": Decimal("0.02"),
        "gst": Decimal("8.46"),
    }


def test_a_change_tells_the_whole_trade_null_where_something_is_not_set() -> None:
    assert data(CHANGED) == data(TRADE) | MOVING | LABELS | {
        "reason": "TRAILING",
        "timestamp": "2026-11-22T10:00:00.124Z",
    }
    bare = replace(TRADE, change=TradeChange(TradeChangeReason.MANUAL, NOW_MS))
    nothing = dict.fromkeys([*MOVING, *LABELS])
    assert data(bare) == data(TRADE) | nothing | {"reason": "MANUAL"}


def test_an_order_is_told_as_it_is_now_null_where_something_is_not_set() -> None:
    assert of_entry(ENTRY)["type"] == "order_placed"
    assert of_entry(ENTRY)["data"] == {
        "orderId": 4,
        "sessionId": 6,
        "symbol": "NIFTY",
        "side": "BUY",
        "quantity": 1,
        "type": "LIMIT",
        "price": 99,
        "validity": "DAY",
        "stopLoss": 98,
        "target": None,
        **dict.fromkeys([*MOVING, *LABELS]),
        "timestamp": "2026-11-22T10:00:00.124Z",
    }


def test_the_end_of_an_order_tells_why() -> None:
    ended = ENTRY.ended(Ending(EndReason.REFUSED, NOW_MS, "maxOpenTrades"))
    assert of_entry(ended)["type"] == "order_ended"
    assert of_entry(ended)["data"] == {
        "orderId": 4,
        "sessionId": 6,
        "symbol": "NIFTY",
        "reason": "REFUSED",
        "detail": "maxOpenTrades",
        "timestamp": NOW,
    }


def test_an_order_document_is_its_events_and_what_became_of_it() -> None:
    placed = of_entry(ENTRY)["data"]
    waits = {"status": "PENDING", "tradeId": None, "placedAt": NOW, "endedAt": None}
    none = {"reason": None, "detail": None}
    assert decoded(order_document(ENTRY)) == placed | waits | none
    ended_at = "2026-11-22T10:00:00.126Z"
    filled = {"status": "FILLED", "tradeId": 9, "endedAt": ended_at, "timestamp": ended_at}
    document = decoded(order_document(ENTRY.ended(Fill(9, NOW_MS + 3))))
    assert document == placed | waits | none | filled


@pytest.mark.parametrize("trade", [GUARDED, PART, CHANGED], ids=["opened", "reduced", "changed"])
def test_the_document_of_an_open_trade_holds_what_its_newest_event_told(trade: Trade) -> None:
    document = decoded(trade_document(trade))
    assert document.items() >= data(trade).items()
    assert document["openedQuantity"] == 50


def test_who_asked_is_told_where_there_is_access_control() -> None:
    for made in (trade_event(TRADE, 3), trade_event(PART, 3), entry_event(ENTRY, 3)):
        asked = replace(made, by="asha")
        told = parsed(numbered_event(replace(asked, message=event_message(asked)), "k3vq"))
        assert told["data"].pop("by") == "asha"
        assert told == parsed(numbered_event(made, "k3vq"))


def test_reasons_are_those_of_the_contract() -> None:
    wanted = [
        "MANUAL",
        "KILL",
        "DAILY_LOSS",
        "DAILY_TARGET",
        "LOCK_ARMED",
        "PROFIT_LOCK",
        "LOSING_STREAK",
        "NEW_DAY",
    ]
    assert [*ChangeReason] == wanted
    assert [*TradeChangeReason] == ["MANUAL", "TRAILING", "BREAKEVEN"]
    details = ["TRAILING", "BREAKEVEN", "DAILY_LOSS", "DAILY_TARGET", "PROFIT_LOCK", "KILL"]
    assert [*ExitDetail] == details


MOVED_BY = replace(CHANGED, stop_moved_by=ExitDetail.BREAKEVEN)


@pytest.mark.parametrize(
    "made",
    [
        trade_event(GUARDED, 3),
        trade_event(PART, 3),
        trade_event(MOVED_BY, 3),
        trade_event(PART.closed(Exit(1, ExitReason.RISK, 7, detail=ExitDetail.KILL)), 3),
        replace(trade_event(GUARDED, 3), entry=ENTRY.ended(Fill(2, NOW_MS))),
        entry_event(ENTRY, 3),
        entry_event(ENTRY.ended(Ending(EndReason.EXPIRED, 9)), 3),
        entry_event(ENTRY.ended(Ending(EndReason.REFUSED, 9, "why")), 3),
        replace(trade_event(TRADE, 3), by="asha"),
    ],
    ids=lambda made: made.kind.value,
)
def test_an_event_comes_back_from_the_store_as_it_was(made: Event) -> None:
    assert documents.to_event(documents.from_event(made)) == made
