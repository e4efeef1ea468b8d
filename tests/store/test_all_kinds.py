"""A history with events of all seven kinds: verified, loaded, backed up, restored."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.kit.events import entry_event, pending_entry, session_event, trade_event
from vyomo_rt.domain.charges import Charges
from vyomo_rt.domain.event import Event
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.pending import Ending, EndReason, Fill
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures, state_of
from vyomo_rt.domain.trade import (
    Exit,
    ExitDetail,
    ExitReason,
    Trade,
    TradeChange,
    TradeChangeReason,
)
from vyomo_rt.store.backup import back_up, restore, survey
from vyomo_rt.store.client import connect
from vyomo_rt.store.fold import Fold
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.verification import verify
from vyomo_rt.trading.loading import load_states

AT_MS = 1_785_200_000_000
TODAY = date(2026, 7, 28)
SESSION = Session(
    session_id=6,
    name="All kinds",
    starting_capital_paise=50_000_00,
    created_at_ms=AT_MS,
    epoch="5f5f",
)
TRADE = Trade(
    1,
    6,
    "NIFTY",
    Side.BUY,
    50,
    100_0000,
    AT_MS,
    stop_loss_e4=95_0000,
    trailing_stop_e4=5_0000,
    trailing_step_e4=1_0000,
    entry_charges=Charges(20_00, 0, 3_47, 29, 1, 4_23),
)
AT_EXIT = Charges(20_00, 14_72, 3_49, 0, 1, 4_23)
TRAILED = replace(
    TRADE,
    stop_loss_e4=97_0000,
    change=TradeChange(TradeChangeReason.TRAILING, AT_MS + 2),
    stop_moved_by=ExitDetail.TRAILING,
)
REDUCED = TRAILED.reduced_by(
    20, Exit(103_0000, ExitReason.MANUAL, AT_MS + 3, stale=True, charges=AT_EXIT)
)
CLOSED = REDUCED.closed(
    Exit(96_0000, ExitReason.SL, AT_MS + 8, detail=ExitDetail.TRAILING, charges=AT_EXIT)
)
FIRST, SECOND, THIRD = (
    pending_entry(n, placed_at_ms=AT_MS, changed_at_ms=AT_MS) for n in (1, 2, 3)
)
DEARER = replace(FIRST, price_e4=99_5000, changed_at_ms=AT_MS + 5)
FILLED = Trade(2, 6, "NIFTY", Side.BUY, 1, 99_5000, AT_MS + 6, order_id=1)
AT_ONCE = Trade(3, 6, "NIFTY", Side.BUY, 1, 98_0000, AT_MS + 7, order_id=4)


def history() -> list[Event]:
    filled = DEARER.ended(Fill(2, AT_MS + 6))
    at_once = pending_entry(4, placed_at_ms=AT_MS + 7, changed_at_ms=AT_MS + 7)
    events: list[Event] = [
        trade_event(TRADE, 1),
        entry_event(FIRST, 2),
        replace(trade_event(TRAILED, 3)),
        entry_event(SECOND, 4),
        trade_event(REDUCED, 5),
        entry_event(DEARER, 6),
        replace(trade_event(FILLED, 7), entry=filled),
        entry_event(THIRD, 8),
        replace(trade_event(AT_ONCE, 9), entry=at_once.ended(Fill(3, AT_MS + 7))),
        entry_event(SECOND.ended(Ending(EndReason.CANCELLED, AT_MS + 8)), 10),
        trade_event(CLOSED, 11),
        session_event(6, 12, replace(SESSION.standing, name="Renamed"), AT_MS + 9),
    ]
    return events


EVENTS = history()


@pytest.fixture
async def store(embedded_uri: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(connect(embedded_uri), f"test_{uuid.uuid4().hex}")
    await store.prepare()
    await store.create_session(SESSION, "operation 6", "")
    for event in EVENTS:
        await store.append([event])
        for record in event.records:
            await store.save_copy(record, event.seq)
    for counter, at_least in (("sessions", 6), ("trades", 3), ("orders", 4)):
        await store.raise_counter(counter, at_least)
    yield store
    await store.close()


async def findings(store: MongoStore) -> list[str]:
    said: list[str] = []
    await verify(store, said.append)
    return [line.strip() for line in said if line.startswith("  ")]


async def test_verify_finds_no_difference_in_a_history_of_all_kinds(store: MongoStore) -> None:
    said: list[str] = []
    verdict = await verify(store, said.append)
    assert str(verdict) == "1 session, 12 events, 3 trades: no differences", said
    assert said[0].startswith("session 6 'All kinds'")


@pytest.mark.parametrize(
    ("collection", "id_", "fields", "line"),
    [
        ("events", "6-3", {"trade.quantity": 51}, "event 6-3: trade.quantity: stored 51"),
        (
            "events",
            "6-3",
            {"trade.stopLossE4": 96_5000},
            "event 6-3: trade.stopLossE4: stored 965000, computed no move that a price makes",
        ),
        (
            "events",
            "6-11",
            {"trade.exitPriceE4": 97_5000},
            "event 6-11: trade.exitReason: stored SL, computed that the trade stays open",
        ),
        (
            "events",
            "6-5",
            {"trade.reduced.realisedPaise": 1},
            "event 6-5: trade.reduced.realisedPaise: stored 1, computed 6000",
        ),
        (
            "events",
            "6-5",
            {"trade.reduced.entryShare.brokerage": 1},
            "event 6-5: trade.reduced.entryShare.brokerage: stored 1, computed 800",
        ),
        (
            "events",
            "6-12",
            {"session.rules": {"squareOffMinute": 915}},
            "event 6-12: session.squareOffSetAt: stored (nothing), computed",
        ),
        ("events", "6-11", {"trade.entryCharges.stt": 1}, "event 6-11: trade.entryCharges.stt:"),
        ("events", "6-6", {"order.symbol": "B"}, "event 6-6: order.symbol: stored B"),
        ("events", "6-6", {"kind": "order_ended"}, "event 6-6: kind: stored order_ended"),
        ("events", "6-10", {"order.orderId": 9}, "event 6-10: kind: stored order_ended, computed"),
        (
            "events",
            "6-7",
            {"trade.entryPriceE4": 99_5001},
            (
                "event 6-7: trade.entryPriceE4: stored 995001, computed at most 995000: "
                "it fills a LIMIT to BUY"
            ),
        ),
        (
            "events",
            "6-7",
            {"order.type": "STOP", "trade.entryPriceE4": 99_4999},
            (
                "event 6-7: trade.entryPriceE4: stored 994999, computed at least 995000: "
                "it fills a STOP to BUY"
            ),
        ),
        ("events", "6-7", {"trade.quantity": 2}, "event 6-7: trade.quantity: stored 2, computed 1"),
        ("events", "6-7", {"trade.orderId": 3}, "event 6-7: trade.orderId: stored 3, computed 1"),
        ("events", "6-7", {"order.tradeId": 3}, "event 6-7: order.tradeId: stored 3, computed 2"),
        ("events", "6-1", {"trade.orderId": 9}, "event 6-1: order: stored (nothing), computed"),
        (
            "events",
            "6-9",
            {"order.orderId": 1, "trade.orderId": 1},
            "event 6-9: order.orderId: stored 1, computed above 3: each is opened once",
        ),
        ("orders", 1, {"priceE4": 1}, "order 1: priceE4: stored 1, computed 995000"),
        ("orders", 3, {"status": "FILLED"}, "order 3: status: stored FILLED, computed PENDING"),
        ("trades", 1, {"pnlPaise": 1}, "trade 1: pnlPaise: stored 1, computed -6000"),
        (
            "counters",
            "orders",
            {"value": 3},
            "counter orders: value: stored 3, computed at least 4",
        ),
    ],
)
async def test_verify_names_what_was_changed_in_parts_guards_and_orders(
    store: MongoStore, collection: str, id_: Any, fields: dict[str, Any], line: str
) -> None:
    await store.database[collection].update_one({"_id": {"$eq": id_}}, {"$set": fields})
    found = await findings(store)
    assert any(each.startswith(line) for each in found), found


def test_a_change_of_an_order_may_move_its_end_and_make_it_fill_at_once() -> None:
    later = replace(FIRST, price_e4=99_5000, changed_at_ms=AT_MS + 5, ends_at_ms=AT_MS + 99)
    dearer = replace(later, price_e4=99_9000, quantity=2, changed_at_ms=AT_MS + 6)
    trade = Trade(1, 6, "NIFTY", Side.BUY, 2, 99_8000, AT_MS + 6, order_id=1)
    filled = replace(trade_event(trade, 3), entry=dearer.ended(Fill(1, AT_MS + 6)))
    said: list[tuple[object, ...]] = []
    fold = Fold(SESSION, None, lambda *difference: said.append(difference))
    for event in (entry_event(FIRST, 1), entry_event(later, 2), filled):
        fold.take(event, {})
    assert said == []


@pytest.mark.parametrize("at_seq", range(13))
async def test_a_start_makes_the_same_of_it_from_any_checkpoint(
    store: MongoStore, at_seq: int
) -> None:
    states = [state_of(SESSION, Figures(), TODAY)]
    for event in EVENTS:
        states.append(states[-1].after(event))
    await store.save_checkpoint(states[at_seq].session, states[at_seq].figures)
    [loaded] = await load_states(store, TODAY)
    assert loaded == states[-1]
    assert (list(loaded.open_trades), list(loaded.pending)) == ([2, 3], [3])
    assert await findings(store) == []


async def test_a_start_writes_the_copies_of_orders_that_a_crash_prevented(
    store: MongoStore,
) -> None:
    for event in EVENTS[9:]:
        await store.database["events"].delete_one({"_id": {"$eq": f"6-{event.seq}"}})
    for collection in ("orders", "trades"):
        await store.database[collection].delete_many({})
    await load_states(store, TODAY)
    assert await findings(store) == []
    assert await store.order(1) == DEARER.ended(Fill(2, AT_MS + 6))


async def test_a_store_made_of_a_backup_has_the_copies_of_orders(
    store: MongoStore, embedded_uri: str, tmp_path: Path
) -> None:
    path = tmp_path / "backup"
    verdict = await back_up(store, path, {"format": 1}, print)
    assert (verdict.differences, verdict.trades) == (0, 3)
    other = MongoStore(connect(embedded_uri), f"test_{uuid.uuid4().hex}")
    await restore(other, path, survey(path))
    assert await findings(other) == []
    assert [entry async for entry in other.pending_entries()] == [THIRD]
    assert await other.order(2) == SECOND.ended(Ending(EndReason.CANCELLED, AT_MS + 8))
    await other.close()
