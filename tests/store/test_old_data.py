"""The data folder that version 0.1 left behind: every later version opens it.

``data_of_0_1`` was written by a server of that version, which was killed: sessions in each
status, one with a checkpoint, trades closed by a target and by hand, and trades that are open.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.server import serve_here
from tests.kit.waiting import until
from vyomo_rt.app import data
from vyomo_rt.config import Settings
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.event import SHAPE

DATA = Path(__file__).with_name("data_of_0_1")
NOW_MS = 1_795_689_500_000  # some minutes after its last event


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of it."""
    (tmp_path / "db").mkdir()
    with closing(sqlite3.connect(tmp_path / "db" / "vyomo.db")) as db:
        db.executescript((DATA / "vyomo.sql").read_text())
    return tmp_path


def stored_messages(folder: Path) -> dict[int, list[str]]:
    """The texts that clients of version 0.1 were told, by session."""
    with closing(sqlite3.connect(folder / "db" / "vyomo.db")) as db:
        rows = [json.loads(data) for (data,) in db.execute("SELECT data FROM events ORDER BY id")]
    messages: dict[int, list[str]] = {}
    for row in rows:
        messages.setdefault(row["sessionId"], []).append(row["message"])
    return messages


def changed(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / "db" / "vyomo.db")) as db, db:
        assert db.execute(sql).rowcount == 1


async def verify(folder: Path) -> list[str]:
    said: list[str] = []
    assert await data.verify(Settings(data_dir=folder), said.append), said
    return said


async def test_sessions_trades_and_prices_of_version_0_1_are_as_they_were(folder: Path) -> None:
    answers = json.loads((DATA / "answers.json").read_text())
    told = stored_messages(folder)
    async with serve_here(Settings(port=0, data_dir=folder), now=lambda: NOW_MS) as rest:
        _, listed = await rest.call("GET", "/sessions")
        for session, before in zip(listed["sessions"], answers["sessions"], strict=True):
            assert session.items() >= (before | {"timestamp": session["timestamp"]}).items()
            await assert_replayed(rest, session["sessionId"], told.get(session["sessionId"], []))
        for trade in answers["openTrades"]:
            _, now = await rest.call("GET", f"/trades/{trade['tradeId']}")
            assert now.items() >= trade.items()
        _, prices = await rest.call("GET", "/prices")
        assert {p["symbol"]: p["price"] for p in prices["prices"]} == {
            p["symbol"]: p["price"] for p in answers["prices"]
        }
    await verify(folder)


async def assert_replayed(rest: Rest, session_id: int, messages: list[str]) -> None:
    """A client that was away gets the very bytes."""
    url = f"{rest.url}/api/auto-trader/sessions/{session_id}/events"
    async with rest.http.get(url) as response:
        text = await response.text()
    assert text.startswith('{"events":[' + ",".join(messages) + "]")


async def test_a_session_of_version_0_1_goes_on(folder: Path) -> None:
    async with serve_here(Settings(port=0, data_dir=folder)) as rest:
        _, before = await rest.call("GET", "/sessions/2")
        status, session = await rest.call("PATCH", "/sessions/2", {"status": "ACTIVE"})
        assert (status, session["status"], session["seq"]) == (200, "ACTIVE", before["seq"] + 1)
        await rest.open_trade(2)
        _, listed = await rest.call("GET", "/sessions/1/trades?status=OPEN")
        guarded = next(trade for trade in listed["trades"] if trade["stopLoss"])
        await rest.tick(guarded["symbol"], guarded["stopLoss"])

        async def is_closed() -> bool:
            _, trade = await rest.call("GET", f"/trades/{guarded['tradeId']}")
            return bool(trade["status"] == "CLOSED")

        await until(is_closed)
        key = {"Idempotency_Key": "opens"}
        order = {"symbol": "NIFTY", "quantity": 75, "stopLoss": 22100, "target": 22165}
        status, made = await rest.call("POST", "/sessions/1/trades", order, **key)
        assert (status, made["tradeId"]) == (201, 1), "a key that was used then holds for ever"
    assert any("session 2" in line for line in await verify(folder))


async def test_data_of_a_newer_version_are_refused_in_one_line(folder: Path) -> None:
    async with serve_here(Settings(port=0, data_dir=folder)):
        pass
    newer = f"UPDATE meta SET data = json_set(data, '$.shape', {SHAPE + 1})"
    changed(folder, f"{newer} WHERE json_extract(data, '$.shape') = {SHAPE}")
    for start in (started(folder), data.verify(Settings(data_dir=folder), print)):
        with pytest.raises(CannotStart) as refused:
            await start
        assert "was written by a newer vyomo-rt" in str(refused.value)
        assert f"shape {SHAPE + 1}" in str(refused.value)
        assert "update this server" in str(refused.value)


async def test_an_event_of_a_newer_version_is_refused_in_one_line(folder: Path) -> None:
    newer = f"UPDATE events SET data = json_set(data, '$.shape', {SHAPE + 1}) WHERE _id = '1-4'"
    changed(folder, newer)
    with pytest.raises(CannotStart, match="event 1-4 was written by a newer vyomo-rt"):
        await started(folder)


async def started(folder: Path) -> Any:
    async with serve_here(Settings(port=0, data_dir=folder)) as rest:
        return rest
