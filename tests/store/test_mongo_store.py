"""The contract of the journal, held against every driver and implementation at hand."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit import history
from tests.kit.machine import cpu_ms
from vyomo_rt.domain.errors import CannotStart, Conflict, NumberTaken, Unavailable
from vyomo_rt.domain.event import EventKind
from vyomo_rt.domain.session import ChangeReason, Session, SessionStatus
from vyomo_rt.domain.state import Figures
from vyomo_rt.domain.trade import Exit, ExitReason, Trade, TradeStatus
from vyomo_rt.domain.trade_filter import EVERY_TRADE, TradeFilter
from vyomo_rt.store import documents, indexes
from vyomo_rt.store.client import connect
from vyomo_rt.store.database import BATCH
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.prices import SavedPrices

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from vyomo_rt.domain.event import TradeEvent
    from vyomo_rt.store.client import Client
    from vyomo_rt.store.embedded import EmbeddedServer
    from vyomo_rt.trading.journal import Journal

    MakeOpening = Callable[..., TradeEvent]
    OpenClient = Callable[[str], Client]

BEYOND_INT64 = 10**30

SESSION = Session(
    session_id=6,
    name="Opening range, ₹50 000 'x' \x00",
    starting_capital_paise=5_000_000,
    created_at_ms=1_785_200_000_999,
    epoch="k3vq",
)
FIGURES = Figures(
    seq=1000,
    opened=600,
    closed=400,
    wins=250,
    losses=149,
    realised_paise=-(2**60) - 1,
    days={date(2026, 7, 27): -5, date(2026, 7, 28): 2**60 + 1},
)


def test_the_store_is_a_journal() -> None:
    journal: Callable[..., Journal] = MongoStore
    assert journal is MongoStore


async def test_preparing_twice_changes_nothing(store: MongoStore, opening: MakeOpening) -> None:
    await store.append([opening(1)])
    await store.prepare()
    assert await store.events(6, 0) == [opening(1)]


async def test_a_start_asks_only_for_indexes_that_keep_promises_and_for_new_ones(
    store: MongoStore, opening: MakeOpening, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.database["events"].drop_indexes()
    await store.database["trades"].drop_indexes()
    new = {"trades": [*indexes.INDEXES["trades"], ([("side", 1)], False)]}
    monkeypatch.setattr(indexes, "INDEXES", indexes.INDEXES | new)
    await store.prepare()
    assert await indexed(store, "events") == [["opId", "sessionId"], ["seq", "sessionId"]]
    assert await indexed(store, "trades") == [["side"]]


async def test_without_the_note_all_indexes_are_made(store: MongoStore) -> None:
    before = await indexed(store, "trades")
    await store.database["trades"].drop_indexes()
    await store.database.drop_collection(indexes.KNOWN)
    await store.prepare()
    assert await indexed(store, "trades") == before != []


async def indexed(store: MongoStore, collection: str) -> list[list[str]]:
    """The fields of each index but that of ids."""
    found: Mapping[str, Any] = await store.database[collection].index_information()
    fields = [sorted(key for key, _ in index["key"]) for index in found.values()]
    return sorted(each for each in fields if each != ["_id"])


# --- sessions


async def test_a_session_comes_back_as_it_was_made(store: MongoStore) -> None:
    await store.create_session(SESSION, "op", "hash")
    assert await store.load_sessions() == [(SESSION, None)]
    assert await store.find_session("op") == (SESSION, "hash")
    assert await store.find_session("another op") is None


async def test_sessions_are_loaded_by_id_however_many_there_are(store: MongoStore) -> None:
    ids = [*range(150, 0, -1)]
    for id_ in ids:
        await store.create_session(replace(SESSION, session_id=id_), f"op {id_}", "hash")
    assert [session.session_id for session, _ in await store.load_sessions()] == sorted(ids)


async def test_making_the_same_session_again_is_one_session(store: MongoStore) -> None:
    await store.create_session(SESSION, "op", "hash")
    await store.create_session(SESSION, "op", "hash")
    assert len(await store.load_sessions()) == 1


async def test_a_session_id_or_operation_of_another_session_is_a_conflict(
    store: MongoStore,
) -> None:
    await store.create_session(SESSION, "op", "hash")
    with pytest.raises(Conflict):
        await store.create_session(SESSION, "another op", "hash")
    with pytest.raises(Conflict):
        await store.create_session(replace(SESSION, session_id=7), "op", "hash")
    assert await store.load_sessions() == [(SESSION, None)]


async def test_a_checkpoint_comes_back_with_the_session_as_of_it(store: MongoStore) -> None:
    await store.create_session(SESSION, "op", "hash")
    halted = replace(
        SESSION, name="Other", status=SessionStatus.HALTED, status_reason=ChangeReason.MANUAL
    )
    await store.save_checkpoint(SESSION, replace(FIGURES, seq=0))
    await store.save_checkpoint(halted, FIGURES)
    assert await store.load_sessions() == [(halted, FIGURES)]
    assert await store.sessions_among([5, 6, 7]) == [(halted, FIGURES)]


async def test_a_checkpoint_beyond_what_a_database_counts_is_left_out(store: MongoStore) -> None:
    await store.create_session(SESSION, "op", "hash")
    await store.save_checkpoint(SESSION, FIGURES)
    await store.save_checkpoint(SESSION, replace(FIGURES, seq=2000, realised_paise=BEYOND_INT64))
    assert await store.load_sessions() == [(SESSION, FIGURES)]


async def test_a_session_keeps_its_owner(store: MongoStore) -> None:
    owned = replace(SESSION, owner="asha")
    await store.create_session(owned, "op", "hash")
    assert await store.load_sessions() == [(owned, None)]


# --- events


async def test_an_event_comes_back_to_the_last_character(
    store: MongoStore, opening: MakeOpening
) -> None:
    event = opening(1)
    closing = replace(
        opening(2, trade_id=event.trade.trade_id),
        kind=EventKind.CLOSED,
        trade=event.trade.closed(Exit(0, ExitReason.TARGET, 1_785_200_009_001)),
    )
    await store.append([event])
    await store.append([closing])
    assert await store.events(6, 0) == [event, closing]
    assert await store.find_event(6, closing.operation_id) == closing
    assert await store.find_event(7, closing.operation_id) is None
    assert await store.find_event(6, "another op") is None


async def test_appending_the_same_event_again_is_one_event(
    store: MongoStore, opening: MakeOpening
) -> None:
    await store.append([opening(1)])
    await store.append([opening(1)])
    assert await store.events(6, 0) == [opening(1)]


async def test_a_number_is_taken_only_once(store: MongoStore, opening: MakeOpening) -> None:
    await store.append([opening(1)])
    with pytest.raises(NumberTaken):
        await store.append([opening(1, operation_id="another op")])
    assert await store.events(6, 0) == [opening(1)]


async def test_an_operation_makes_one_event_in_its_session(
    store: MongoStore, opening: MakeOpening
) -> None:
    await store.append([opening(1, operation_id="op")])
    await store.append([opening(1, operation_id="op", session_id=7)])
    with pytest.raises(NumberTaken):
        await store.append([opening(2, operation_id="op")])
    assert len(await store.events(6, 0)) == 1


async def test_of_two_servers_that_write_one_number_one_is_told(
    store: MongoStore, opening: MakeOpening
) -> None:
    outcomes = await asyncio.gather(
        *(store.append([opening(1, operation_id=f"op {i}")]) for i in range(8)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "NoneType",
        *["NumberTaken"] * 7,
    ]


async def test_events_are_read_in_order_a_batch_at_a_time(
    store: MongoStore, opening: MakeOpening
) -> None:
    count = BATCH + 3
    for start in range(count, 0, -100):
        seqs = range(start, max(start - 100, 0), -1)
        await store.database["events"].insert_many(
            [documents.from_event(opening(seq)) for seq in seqs]
        )
    await store.append([opening(1, session_id=7)])

    first = await store.events(6, 0)
    rest = await store.events(6, first[-1].seq)
    assert [event.seq for event in [*first, *rest]] == [*range(1, count + 1)]
    assert len(first) == BATCH
    assert [event.seq for event in await store.events(6, 3, 6)] == [4, 5, 6]
    assert await store.events(6, count) == []


# --- what is not there


async def test_what_is_not_there_is_empty(store: MongoStore) -> None:
    assert await store.load_sessions() == []
    assert await store.trade(1) is None
    assert await store.trades(6, EVERY_TRADE, None, 10) == []
    assert [trade async for trade in store.open_trades()] == []
    assert await store.projected_seqs(Trade, []) == {}
    assert await store.highest_id(Trade) == 0
    assert await SavedPrices(store).load() == []


async def test_ids_beyond_what_a_database_counts_are_not_found(
    store: MongoStore, opening: MakeOpening
) -> None:
    await store.append([opening(1)])
    await store.save_copy(opening(1).trade, 1)
    assert await store.trade(BEYOND_INT64) is None
    assert await store.trades(BEYOND_INT64, EVERY_TRADE, None, 10) == []
    assert await store.trades(6, EVERY_TRADE, -BEYOND_INT64, 10) == []
    assert await store.trades(6, EVERY_TRADE, BEYOND_INT64, 10) == [opening(1).trade]
    assert await store.find_event(BEYOND_INT64, "op") is None
    assert await store.events(BEYOND_INT64, 0) == []
    assert await store.events(6, BEYOND_INT64) == []
    assert await store.events(6, 0, BEYOND_INT64) == [opening(1)]
    assert await store.projected_seqs(Trade, [BEYOND_INT64]) == {}


# --- counters and prices


async def test_a_number_is_never_given_twice(store: MongoStore) -> None:
    assert [await store.reserve_ids("trades", 1) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert await store.reserve_ids("sessions", 1) == 1


async def test_numbers_asked_for_at_once_differ(embedded_uri: str, open_client: OpenClient) -> None:
    # Not held against every implementation: mongo-java-server counts right, but answers with
    # the living document, in which the next call may have counted on already.
    store = MongoStore(open_client(embedded_uri), f"test_{uuid.uuid4().hex}")
    given = await asyncio.gather(*(store.reserve_ids("trades", 1) for _ in range(20)))
    assert sorted(given) == [*range(1, 21)]
    await store.close()


async def test_a_raised_counter_goes_on_above(store: MongoStore) -> None:
    await store.raise_counter("trades", 41)
    assert await store.reserve_ids("trades", 1) == 42
    await store.raise_counter("trades", 7)
    assert await store.reserve_ids("trades", 1) == 43


# --- availability


async def test_a_store_that_works_is_available(store: MongoStore) -> None:
    assert store.available


async def test_a_store_that_is_away_says_so_in_time() -> None:
    store = MongoStore(connect("mongodb://127.0.0.1:1/"), "vyomo")
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await store.reserve_ids("trades", 1)
    assert type(caught.value) is Unavailable  # nothing was sent: the outcome is known
    assert time.monotonic() - began < 4
    assert not store.available
    await store.close()


def test_a_text_that_is_no_uri_is_refused_in_words() -> None:
    with pytest.raises(CannotStart, match="not a usable URI"):
        connect("http://localhost:27017")


# --- cost

LONG = 25_000


async def test_a_lookup_costs_the_same_in_a_long_history(
    server: EmbeddedServer, opening: MakeOpening, tmp_path: Path
) -> None:
    """By the CPU time that it takes, so that it does not matter what else the machine does."""
    uri = await server.start()

    async def store_of(database: str, events: int) -> MongoStore:
        store = MongoStore(connect(uri), database)
        await store.prepare()
        made = [opening(seq) for seq in range(1, events + 1)]
        closed = Exit(221_505_000, ExitReason.MANUAL, 1_785_200_000_123)
        trades = [e.trade if e.seq <= 5 else e.trade.closed(closed) for e in made[:1000]]
        with history.opened(tmp_path / "data", database) as db:
            history.insert(db, "events", [documents.from_event(event) for event in made])
            history.insert(db, "trades", [documents.from_copy(trade, 1) for trade in trades])
        return store

    def lookups(store: MongoStore, last: int) -> dict[str, Callable[[], Awaitable[object]]]:
        return {
            "tail": lambda: store.events(6, last - 5),
            "middle": lambda: store.events(6, 500, 505),
            "operation": lambda: store.find_event(6, "operation-6-77"),
            "append again": lambda: store.append([opening(77)]),
            "trade": lambda: store.trade(177),
            "page": lambda: store.trades(6, EVERY_TRADE, 600, 5),
            "page by status": lambda: store.trades(
                6, TradeFilter(status=TradeStatus.CLOSED), 600, 5
            ),
            "page by symbol": lambda: store.trades(6, TradeFilter(symbol="NIFTY"), 600, 5),
            "highest": lambda: store.highest_id(Trade),
            "seqs": lambda: store.projected_seqs(Trade, [101, 102]),
            "copy again": lambda: store.save_copy(opening(77).trade, 1),
            # and what else a start does
            "indexes": store.prepare,
            "sessions": store.load_sessions,
            "open trades": lambda: anext(store.open_trades()),
            "next places": lambda: store.events_among([(6, last + 1), (6, last), (7, 1)]),
        }

    async def cost_ms(lookup: Callable[[], Awaitable[object]]) -> float:
        assert server.pid is not None
        began_ms = cpu_ms(server.pid)
        await lookup()
        return cpu_ms(server.pid) - began_ms

    short, long = await store_of("short", 1000), await store_of("long", LONG)
    in_short, in_long = lookups(short, 1000), lookups(long, LONG)
    dearer: dict[str, float] = {}
    for name, lookup in in_short.items():
        costs = [(await cost_ms(lookup), await cost_ms(in_long[name])) for _ in range(7)]
        dearer[name] = min(cost for _, cost in costs) - min(cost for cost, _ in costs)
    await short.close()
    await long.close()
    # To scan the long history takes fifty.
    assert {name for name, more_ms in dearer.items() if more_ms > 10} == set(), dearer
