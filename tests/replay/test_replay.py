"""A recorded day that is played: the same events at any speed, by the market's clock."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from tests.replay.days import (
    BEGIN_MS,
    EVENING_MS,
    Line,
    busy_day,
    call,
    events,
    late_day,
    over,
    played,
    tick,
    write,
)
from vyomo_rt.domain.moment import iso


def kinds(found: dict[int, list[Line]]) -> set[str]:
    return {event["type"] for each in found.values() for event in each}


async def test_a_day_gives_the_same_events_at_any_speed(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    path = write(tmp_path / "day.ndjson", busy_day())
    at_once = await played(make_settings, path, "at once")
    assert kinds(at_once) == {
        "trade_opened", "trade_closed", "trade_reduced", "trade_changed",
        "order_placed", "order_ended", "session_changed",
    }  # fmt: skip
    closes = [e["data"] for e in at_once[1] + at_once[2] if e["type"] == "trade_closed"]
    assert {close.get("exitDetail") for close in closes} >= {"TRAILING", "KILL"}
    assert sum(map(len, at_once.values())) > 20
    runs = ("20", "fast"), ("200", "faster")
    found = await asyncio.gather(
        *(played(make_settings, path, name, speed) for speed, name in runs)
    )
    assert [each == at_once for each in found] == [True, True]


async def test_rules_square_offs_and_the_next_day_are_the_same_at_any_speed(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    path = write(tmp_path / "day.ndjson", late_day())
    at_once = await played(make_settings, path, "at once")
    told = [event["data"] for each in at_once.values() for event in each]
    assert {data["reason"] for data in told if "reason" in data} >= {
        "LOCK_ARMED", "PROFIT_LOCK", "DAILY_LOSS", "LOSING_STREAK", "NEW_DAY",
    }  # fmt: skip
    exits = {data["exitReason"] for data in told if "exitReason" in data}
    assert exits >= {"SQUARE_OFF", "RISK", "SL"}
    midnight = iso(BEGIN_MS + EVENING_MS + 70_000)
    lifted = [data["timestamp"] for data in told if data.get("reason") == "NEW_DAY"]
    assert set(lifted) == {midnight}
    assert await played(make_settings, path, "fast", "200") == at_once


async def test_what_happens_has_the_moments_of_the_day(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    lines = [
        call(0, "POST /sessions", {"startingCapital": 50000}),
        tick(100, 100),
        call(250, "POST /sessions/1/trades", {"symbol": "NIFTY", "quantity": 1, "stopLoss": 99}),
        tick(3_000, 98.5),
        tick(24 * 3_600_000, 98.5),
    ]
    path = write(tmp_path / "day.ndjson", lines)
    async with serve_here(make_settings(feed=(f"replay:{path}",), speed="max")) as rest:
        state = await over(rest)
        assert state["marketTime"] == iso(BEGIN_MS + 24 * 3_600_000)
        opened, closed = (await events(rest))[1]
        assert opened["data"]["timestamp"] == iso(BEGIN_MS + 250)
        assert closed["data"]["timestamp"] == iso(BEGIN_MS + 3_000)
        _, session = await rest.call("GET", "/sessions/1")
        # The next day began, and the world's clock made the session.
        assert (session["totalPnL"], session["todayPnL"]) == (-1.5, 0)
        assert datetime.fromisoformat(session["createdAt"]).timestamp() * 1000 != BEGIN_MS
        _, answer = await rest.call("GET", "/prices")
        assert answer["prices"][0]["asOf"] == iso(BEGIN_MS + 24 * 3_600_000)
        assert answer["prices"][0]["source"] == "replay"


async def test_a_move_that_waits_is_stored_at_its_second_whether_or_not_a_tick_comes(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """By the clock, at a moment of the market's, and not at whatever tick comes next."""
    trade = {"symbol": "NIFTY", "quantity": 1, "trailingStop": 5, "trailingStep": 1}
    lines = [
        call(0, "POST /sessions", {"startingCapital": 50000}),
        tick(0, 100),
        call(0, "POST /sessions/1/trades", trade),
        tick(100, 101),
        tick(200, 102),
        tick(2_500, 103),
        tick(2_600, 104),
        tick(3_500, 104),
    ]
    path = write(tmp_path / "day.ndjson", lines)
    found = await played(make_settings, path, "run")
    moves = [event["data"] for event in found[1] if event["type"] == "trade_changed"]
    assert [(move["stopLoss"], move["timestamp"]) for move in moves] == [
        (96, iso(BEGIN_MS + 100)),
        (97, iso(BEGIN_MS + 200)),
        (98, iso(BEGIN_MS + 2_500)),
        (99, iso(BEGIN_MS + 2_600)),
    ]


async def test_a_tick_that_came_late_counts_as_late_again(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    lines = [
        call(0, "POST /sessions", {"startingCapital": 50000}),
        tick(0, 100),
        call(0, "POST /sessions/1/trades", {"symbol": "NIFTY", "quantity": 1, "stopLoss": 99}),
        tick(1_000, 98, at=BEGIN_MS + 90_000),
        tick(95_000, 97),
    ]
    path = write(tmp_path / "day.ndjson", lines)
    found = await played(make_settings, path, "run")
    closed = found[1][-1]["data"]
    assert (closed["exitPrice"], closed["timestamp"]) == (97, iso(BEGIN_MS + 95_000))


async def test_recorded_ids_are_mapped_by_their_order_if_nothing_says_what_a_call_made(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """Trade 10 is one that a price made."""
    lines = [
        call(0, "POST /sessions", {"startingCapital": 50000}),
        tick(0, 100),
        call(1, "POST /sessions/6/trades", {"symbol": "NIFTY", "quantity": 1}),
        call(2, "PATCH /trades/9", {"note": "the first"}),
        call(3, "POST /sessions/6/orders", {
            "symbol": "NIFTY", "quantity": 2, "type": "LIMIT", "price": 99}),
        tick(4, 98),
        call(5, "POST /sessions/6/trades", {"symbol": "NIFTY", "quantity": 3}),
        {**call(6, "POST /trades/10/close"), "body": None, "key": None},
        call(7, "POST /trades/11/close"),
        call(8, "POST /trades/12/close"),
    ]  # fmt: skip
    path = write(tmp_path / "day.ndjson", lines)
    found = (await played(make_settings, path, "run"))[1]
    closed = [event["data"]["quantity"] for event in found if event["type"] == "trade_closed"]
    assert closed == [2, 3]


async def test_a_record_of_a_server_gives_its_events_again(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    path = tmp_path / "day.ndjson.gz"
    settings = make_settings("day", record=path, with_commands=True, feed=("ingest",))
    async with serve_here(settings) as rest:
        terms = {"startingCapital": 50_000, "rules": {"maxOpenTrades": 5}}
        _, session = await rest.call("POST", "/sessions", terms)
        session_id = session["sessionId"]
        await rest.tick("ACME", 100)
        order = {"symbol": "ACME", "quantity": 10, "entryPrice": None, "trailingStop": 3}
        trade = await rest.open_trade(session_id, **order)
        for price in (101, 102.5, 104):
            await rest.tick("ACME", price)
        await rest.call("POST", f"/trades/{trade['tradeId']}/close", {"quantity": 4})
        await rest.call("PATCH", f"/trades/{trade['tradeId']}", {"note": "half"})
        await rest.tick("ACME", 99)
        await until(lambda: closed_of(rest, session_id))
        await rest.call("PATCH", f"/sessions/{session_id}", {"name": "over"})
        await rest.call("POST", "/halt", {"closeAll": True})
        on_the_day = await events(rest)
    for name, speed in (("at once", "max"), ("fast", "100")):
        assert await played(make_settings, path, name, speed) == on_the_day


async def closed_of(rest: Rest, session_id: int) -> bool:
    _, session = await rest.call("GET", f"/sessions/{session_id}")
    return bool(session["openTrades"] == 0)


async def test_a_replay_begins_empty_each_time_and_what_it_made_stays_until_then(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    path = write(tmp_path / "day.ndjson", busy_day())
    first = await played(make_settings, path, "own")
    again = await played(make_settings, path, "own")
    assert first == again
