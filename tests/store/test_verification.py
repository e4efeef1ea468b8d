"""``vyomo-rt verify`` finds whatever in a store is not what the events say."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.kit.history import BEGAN_MS, history
from vyomo_rt.domain.event import EventKind
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures
from vyomo_rt.store import documents, verification
from vyomo_rt.store.client import connect
from vyomo_rt.store.documents import Document
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.verification import Verdict, verify

Corrupt = Callable[[Any], Awaitable[Any]]
FIRST, SECOND = 6, 7
CHECKPOINT_SEQ = 10


async def seed(store: MongoStore, session_id: int, first_id: int) -> None:
    """A session of 8 trades with 14 events: opened at once are 3, and 7 and 8 stay open.

    1 opens trade 1, 2 trade 2, 3 trade 3, 4 closes 1, 5 opens 4, 6 closes 2 and so on.
    """
    session = Session(
        session_id=session_id,
        name="Test",
        starting_capital_paise=50_000_00,
        created_at_ms=BEGAN_MS,
        epoch="5f5f",
    )
    await store.create_session(session, f"operation {session_id}", "")
    events = list(history(session_id, 8, open_at_once=2, first_id=first_id))
    await store.database["events"].insert_many([documents.from_event(event) for event in events])
    newest = {event.trade.trade_id: event for event in events}
    copies = [documents.from_copy(event.trade, event.seq) for event in newest.values()]
    await store.database["trades"].insert_many(copies)
    figures = Figures()
    for event in events[:CHECKPOINT_SEQ]:
        closes = event.kind is EventKind.CLOSED
        figures = (
            figures.after_closing(event.trade) if closes else figures.after_opening(event.at_ms)
        )
    await store.save_checkpoint(session, figures)
    await store.raise_counter("sessions", session_id)
    await store.raise_counter("trades", first_id + 7)


@pytest.fixture
async def store(embedded_uri: str) -> AsyncIterator[MongoStore]:
    """A sound store: session 6 with trades 1 to 8, session 7 with trades 11 to 18."""
    store = MongoStore(connect(embedded_uri), f"test_{uuid.uuid4().hex}")
    await store.prepare()
    await seed(store, FIRST, 1)
    await seed(store, SECOND, 11)
    yield store
    await store.close()


async def findings(store: MongoStore) -> tuple[Verdict, list[str]]:
    """The verdict, and the lines that name differences."""
    said: list[str] = []
    verdict = await verify(store, said.append)
    found = [line.strip() for line in said if line.startswith("  ")]
    assert len(found) == verdict.differences
    assert len(said) - len(found) == verdict.sessions, "and one line for each session"
    return verdict, found


async def test_a_sound_store_is_well_and_left_as_it_is(store: MongoStore) -> None:
    async def everything() -> dict[str, list[Document]]:
        names = ("sessions", "events", "trades", "counters", "leases")
        return {name: await store.database[name].find({}).to_list(None) for name in names}

    before = await everything()
    said: list[str] = []
    verdict = await verify(store, said.append)
    assert str(verdict) == "2 sessions, 28 events, 16 trades: no differences"
    assert said == [
        "session 6 'Test': 14 events, 8 trades (2 open), 45.00 realised: no differences",
        "session 7 'Test': 14 events, 8 trades (2 open), 55.00 realised: no differences",
    ]
    assert await everything() == before


def change(collection: str, id_: object, **fields: object) -> Corrupt:
    """Set fields of a document; in their names ``__`` stands for a dot."""
    values = {name.replace("__", "."): value for name, value in fields.items()}
    return lambda db: db[collection].update_one({"_id": {"$eq": id_}}, {"$set": values})


def remove(collection: str, id_: object) -> Corrupt:
    return lambda db: db[collection].delete_one({"_id": {"$eq": id_}})


def add(collection: str, like: object, **fields: object) -> Corrupt:
    """Insert a copy of a document with other fields."""

    async def insert(db: Any) -> None:
        document = await db[collection].find_one({"_id": {"$eq": like}})
        await db[collection].insert_one(document | fields)

    return insert


def without_indexes(collection: str, corrupt: Corrupt) -> Corrupt:
    """As where the unique indexes were dropped by hand."""

    async def run(db: Any) -> None:
        await db[collection].drop_indexes()
        await corrupt(db)

    return run


CORRUPTIONS: dict[str, tuple[Corrupt, list[str]]] = {
    "an event is missing": (
        remove("events", "6-13"),
        [
            "event 6-14: seq: stored 14, computed 13: number 13 is missing",
            "trade 8: document: stored a copy, computed none: no event of its session opens it",
        ],
    ),
    "the last event is missing": (
        remove("events", "6-14"),
        ["trade 6: seq: stored 14, computed 9", "…"],
    ),
    "a number is there twice": (
        without_indexes("events", add("events", "6-13", _id="6-x", opId="x")),
        [
            "event 6-x: seq: stored 13, computed 14: an event with this number exists",
            "event 6-x: _id: stored 6-x, computed 6-13",
            (
                "event 6-13: trade.tradeId: stored 8, computed above 8: "
                "each is opened once, in this order"
            ),
        ],
    ),
    "two events of one operation": (
        without_indexes("events", change("events", "6-5", opId="operation 4")),
        ["event 6-5: opId: stored operation 4, computed not that of event 6-4"],
    ),
    "another message": (
        change("events", "6-3", message="{}"),
        [
            (
                "event 6-3: message: stored {}, computed "
                '{"type":"trade_opened","data":{"tradeId":3,"sessionId":6,"symbol":"NIFTY","side":'
                '"BUY","quantity":50,"entryPrice":22150.65,"stopLoss":null,"target":null,"status":'
                '"OPEN","timestamp":"2026-07-28T00:53:20.060Z"},"seq":3}'
            )
        ],
    ),
    "a trade that is closed before it is opened": (
        change("events", "6-12", trade__tradeId=8),
        [
            (
                "event 6-12: kind: stored trade_closed, computed trade 8 is not open: "
                "never opened, or closed before"
            ),
            "trade 5: seq: stored 12, computed 7",
            "…",
        ],
    ),
    "a trade that is closed twice": (
        change("events", "6-12", trade__tradeId=1),
        [
            (
                "event 6-12: kind: stored trade_closed, computed trade 1 is not open: "
                "never opened, or closed before"
            ),
            "…",
        ],
    ),
    "a closing that changes its trade": (
        change("events", "6-12", trade__quantity=51),
        ["event 6-12: trade.quantity: stored 51, computed 50", "…"],
    ),
    "an event of the wrong kind": (
        change("events", "6-12", kind="trade_opened"),
        ["event 6-12: kind: stored trade_opened, computed trade_closed"],
    ),
    "an event whose trade is of another session": (
        change("events", "6-12", trade__sessionId=7),
        ["event 6-12: trade.sessionId: stored 7, computed 6"],
    ),
    "an event that cannot be read": (
        change("events", "6-13", trade="lost"),
        ["event 6-13: document: stored what cannot be read (…", "trade 8: document: …"],
    ),
    "an event whose number is a text": (
        change("events", "6-14", seq="14"),
        ["event 6-14: seq: stored 14, computed of type int", "…"],
    ),
    "a copy whose id is a text": (
        change("trades", 8, tradeId="8"),
        ["trade 8: tradeId: stored 8, computed of type int"],
    ),
    "a checkpoint that is none": (
        change("sessions", 6, checkpoint="lost"),
        ["session 6: checkpoint: stored lost, computed figures"],
    ),
    "an event with a price that is a text": (
        change("events", "6-13", trade__entryPriceE4="x"),
        ["event 6-13: document: stored what cannot be read (InvalidOperation: …", "…"],
    ),
    "an event of a session that is not there": (
        change("events", "6-14", sessionId=99),
        ["event 6-14: sessionId: stored 99, computed a session that is there", "…"],
    ),
    "a checkpoint with another sum": (
        change("sessions", 6, checkpoint__realisedPaise=7),
        ["session 6: checkpoint.realisedPaise: stored 7, computed 4000"],
    ),
    "a checkpoint of another day": (
        change("sessions", 6, checkpoint__days={"2020-01-01": 5}),
        ["session 6: checkpoint.days.2020-01-01: stored 5, computed 0"],
    ),
    "a checkpoint ahead of the events": (
        change("sessions", 6, checkpoint__atSeq=1000),
        ["session 6: checkpoint.atSeq: stored 1000, computed at most 14", "…"],
    ),
    "a session that rests though it is not stopped": (
        change("sessions", 6, stopped=True),
        ["session 6: stopped: stored True, computed nothing: it is ACTIVE"],
    ),
    "a session that cannot be read": (
        change("sessions", 6, status="ASLEEP"),
        ["session 6: document: stored what cannot be read (…"],
    ),
    "two sessions of one operation": (
        without_indexes("sessions", change("sessions", 7, opId="operation 6")),
        ["session 7: opId: stored operation 6, computed not that of session 6"],
    ),
    "a copy with another P&L": (
        change("trades", 5, pnlPaise=1),
        ["trade 5: pnlPaise: stored 1, computed 500"],
    ),
    "a copy that says it is open": (
        change("trades", 5, status="OPEN"),
        ["trade 5: status: stored OPEN, computed CLOSED"],
    ),
    "a copy of an old event": (
        change("trades", 2, seq=2),
        ["trade 2: seq: stored 2, computed 6"],
    ),
    "a copy that is missing": (
        remove("trades", 2),
        ["trade 2: document: stored (nothing), computed a copy as of event 6-6"],
    ),
    "a copy of a trade that never was": (
        add("trades", 5, _id=29, tradeId=29),
        [
            "trade 29: document: stored a copy, computed none: no event of its session opens it",
            "counter trades: value: stored 18, computed at least 29",
        ],
    ),
    "a copy of a session that is not there": (
        change("trades", 8, sessionId=99),
        ["trade 8: sessionId: stored 99, computed a session that is there"],
    ),
    "a counter of sessions that would give an id again": (
        change("counters", "sessions", value=6),
        ["counter sessions: value: stored 6, computed at least 7"],
    ),
    "a counter of trades that would give an id again": (
        change("counters", "trades", value=17),
        ["counter trades: value: stored 17, computed at least 18"],
    ),
    "no counter": (
        remove("counters", "trades"),
        ["counter trades: value: stored (nothing), computed at least 18"],
    ),
}


@pytest.mark.parametrize(("corrupt", "expected"), CORRUPTIONS.values(), ids=CORRUPTIONS)
async def test_each_difference_is_named_with_its_document_and_field(
    store: MongoStore, corrupt: Corrupt, expected: list[str]
) -> None:
    await corrupt(store.database)
    _, found = await findings(store)
    for line in expected:
        begin = line.partition("…")[0]
        assert any(each.startswith(begin) for each in found), (begin, found)
    if "…" not in expected:
        assert len(found) == len(expected), found


async def test_a_copy_that_a_crash_left_behind_is_no_difference(store: MongoStore) -> None:
    """Newer than the checkpoint, so that the next start mends it; a line says how many."""
    await remove("trades", 8)(store.database)
    await change("trades", 5, seq=7)(store.database)
    verdict, found = await findings(store)
    assert found == []
    assert str(verdict).endswith(
        "16 trades: no differences (2 copies to be written by the next start)"
    )


async def test_what_repeats_across_the_border_of_a_page_is_found(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "BATCH", 3)
    assert (await findings(store))[1] == []
    await store.database["events"].drop_indexes()
    for seq in (3, 6, 9, 11, 13):
        await change("events", f"6-{seq}", opId=f"operation {seq - 1}")(store.database)
    _, found = await findings(store)
    assert len(found) == 5, found
