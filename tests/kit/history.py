"""Long histories for a store, written as fast as it takes them.

``python -m tests.kit.history FOLDER TRADES SESSIONS`` makes an embedded store as of a server
that was killed: each session with all events of its trades, and its last checkpoint.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path

from tests.kit.events import trade_event
from vyomo_rt.domain.event import EventKind, TradeEvent
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures
from vyomo_rt.domain.trade import Exit, ExitReason, Trade
from vyomo_rt.store import documents
from vyomo_rt.store.client import connect
from vyomo_rt.store.documents import Document
from vyomo_rt.store.embedded import EmbeddedServer
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.trading.ledger import CHECKPOINT_EVERY

BEGAN_MS = 1_785_200_000_000
AT_ONCE = 1000
LONG = int(os.environ.get("VYOMO_RT_TEST_TRADES", "100000")) + 500
"""Trades of a long history; a million take ten minutes to make. 990 events follow its last
checkpoint, which is about as many as there can be."""


def history(
    session_id: int, trades: int, open_at_once: int = 10, first_id: int = 1
) -> Iterator[TradeEvent]:
    """The events of so many trades, of which the last ``open_at_once`` stay open."""
    waiting: deque[Trade] = deque()
    seq = 0
    for trade_id in range(first_id, first_id + trades):
        made = [_opened(session_id, trade_id)]
        waiting.append(made[0])
        if len(waiting) > open_at_once:
            made.append(_closed(waiting.popleft()))
        for trade in made:
            seq += 1
            yield trade_event(trade, seq, operation_id=f"operation {seq}", request_hash="5f" * 32)


def _opened(session_id: int, trade_id: int) -> Trade:
    side = Side.SELL if trade_id % 3 else Side.BUY
    entry_e4 = 221_505_000 + trade_id % 997 * 500
    at_ms = BEGAN_MS + trade_id * 20
    return Trade(trade_id, session_id, "NIFTY", side, 50, entry_e4, opened_at_ms=at_ms)


def _closed(trade: Trade) -> Trade:
    price_e4 = trade.entry_price_e4 + (trade.trade_id % 13 - 6) * 1000
    return trade.closed(Exit(price_e4, ExitReason.MANUAL, trade.opened_at_ms + 300))


async def make_store(
    folder: Path, trades: int, *, sessions: int = 1, open_at_once: int = 10
) -> None:
    """Make an embedded store with sessions of so many trades each, and their checkpoints."""
    server = EmbeddedServer(folder)
    store = MongoStore(connect(await server.start()), "vyomo")
    try:
        await store.prepare()
        with opened(folder, "vyomo") as db:
            for id_ in range(1, sessions + 1):
                session = Session(
                    session_id=id_,
                    name="Long",
                    starting_capital_paise=50_000_00,
                    created_at_ms=BEGAN_MS,
                    epoch="5f5f5f5f",
                )
                row = documents.from_session(session, f"operation {id_}", "")
                events = history(id_, trades, open_at_once, first_id=(id_ - 1) * trades + 1)
                for figures in _write(db, events, Figures()):
                    if figures.seq % CHECKPOINT_EVERY == 0:
                        row["checkpoint"] = documents.from_checkpoint(session.standing, figures)
                insert(db, "sessions", [row])
        await store.raise_counter("sessions", sessions)
        await store.raise_counter("trades", sessions * trades)
    finally:
        await store.close()
        await server.stop()


def _write(
    db: sqlite3.Connection, events: Iterator[TradeEvent], figures: Figures
) -> Iterator[Figures]:
    """Insert events and the copies of their trades; yields the figures after each event."""
    newest: dict[int, Document] = {}
    while page := list(islice(events, AT_ONCE)):
        insert(db, "events", [documents.from_event(event) for event in page])
        done = []
        for event in page:
            copy = newest[event.trade.trade_id] = documents.from_copy(event.trade, event.seq)
            if event.kind is EventKind.CLOSED:
                done.append(copy)
                del newest[event.trade.trade_id]
                figures = figures.after_closing(event.trade)
            else:
                figures = figures.after_opening(event.trade.opened_at_ms)
            yield figures
        insert(db, "trades", done)
    insert(db, "trades", list(newest.values()))


@contextmanager
def opened(folder: Path, database: str) -> Iterator[sqlite3.Connection]:
    """A database of an embedded store, past its server, which would take an hour for a million."""
    with closing(sqlite3.connect(folder / "db" / f"{database}.db")) as db, db:
        db.execute("PRAGMA synchronous = off")
        yield db


def insert(db: sqlite3.Connection, collection: str, rows: list[Document]) -> None:
    """As the embedded server writes documents."""
    made = [(str(row["_id"]), json.dumps(row, default=_date)) for row in rows]
    db.executemany(f"INSERT INTO {collection} (_id, data) VALUES (?, ?)", made)


def _date(moment: datetime) -> dict[str, str]:
    return {"$date": moment.replace(tzinfo=None).isoformat()}


if __name__ == "__main__":
    began = time.monotonic()
    asyncio.run(make_store(Path(sys.argv[1]), int(sys.argv[2]), sessions=int(sys.argv[3])))
    print(f"made in {time.monotonic() - began:.0f} s")
