"""`serve --record` and `vyomo-rt record`: what a server records, and what its stream tells."""

from __future__ import annotations

import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit.forking import start_program
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.waiting import until
from tests.recording.records import lines, prices
from vyomo_rt.domain.moment import to_ms


def iso_ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))


KEY = {"Idempotency_Key": "once"}


def told(path: Path) -> list[dict[str, Any]]:
    return lines(path)[1:]


async def test_a_server_records_ticks_and_the_calls_that_had_an_effect(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    path = tmp_path / "day.ndjson"
    settings = make_settings(record=path, with_commands=True)
    async with serve_here(settings) as rest:
        session_id = await rest.new_session()
        await rest.tick("NIFTY", 100.25)
        order = {"symbol": "NIFTY", "quantity": 75}
        trades = f"/sessions/{session_id}/trades"
        _, trade = await rest.call("POST", trades, order, **KEY)
        await rest.call("POST", trades, order, **KEY)
        assert (await rest.call("POST", trades, {**order, "symbol": "NONE"}))[0] == 409
        assert (await rest.call("POST", trades, {**order, "quantity": 0}))[0] == 400
        waiting = {**order, "type": "LIMIT", "price": 90, "note": "of two\nlines"}
        _, placed = await rest.call("POST", f"/sessions/{session_id}/orders", waiting)
        order_id = placed["order"]["orderId"]
        await rest.call("DELETE", f"/orders/{order_id}")
        _, closed = await rest.call("POST", f"/trades/{trade['tradeId']}/close")
        assert (await rest.call("POST", f"/trades/{trade['tradeId']}/close"))[0] == 409
        await rest.call("POST", f"/sessions/{session_id}/close-all", {"halt": True})
        await rest.tick("NIFTY", 101)
    recorded = told(path)
    calls = [line for line in recorded if "call" in line]
    assert [(line["call"], line.get("made"), line.get("key")) for line in calls] == [
        ("POST /sessions", session_id, None),
        (f"POST {trades}", trade["tradeId"], "once"),
        (f"POST /sessions/{session_id}/orders", order_id, None),
        (f"DELETE /orders/{order_id}", None, None),
        (f"POST /trades/{trade['tradeId']}/close", None, None),
        (f"POST /sessions/{session_id}/close-all", None, None),
    ]
    assert [line.get("body") for line in calls[1:3]] == [order, waiting]
    assert [line["price"] for line in recorded if "price" in line] == [100.25, 101]
    moments = [line["at"] if "at" in line else line["ts"] for line in recorded]
    assert moments == sorted(moments)
    assert iso_ms(trade["openedAt"]) == calls[1]["at"]
    assert iso_ms(closed["closedAt"]) == calls[4]["at"]


async def test_calls_are_recorded_only_if_that_is_asked_for(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    path = tmp_path / "day.ndjson"
    async with serve_here(make_settings(record=path)) as rest:
        await rest.new_session()
        await rest.tick("NIFTY", 100)
    assert [line.get("price") for line in told(path)] == [100]


async def test_held_jumps_are_recorded_and_refused_ticks_are_not(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    path = tmp_path / "day.ndjson"
    async with serve_here(make_settings(record=path)) as rest:
        for price in (100, 200, 201):
            await rest.tick("ACME", price)
        await rest.call("POST", "/ticks", [{"symbol": "ACME", "price": 300, "ts": 10**12}])
    assert [line["price"] for line in told(path)] == [100, 200, 201]


async def test_a_kill_leaves_what_was_acknowledged_and_a_stream_is_recorded_by_its_prices(
    server_process: MakeServer, tmp_path: Path
) -> None:
    path, seen = tmp_path / "day.ndjson.gz", tmp_path / "seen.ndjson"
    server = server_process("--record", str(path))
    async with aiohttp.ClientSession() as http:
        rest = Rest(await server.start(), http)
        await rest.tick("ACME", 1)
        follower = await start_program("record", server.url, seen)
        await until(lambda: seen.exists() and prices(seen) == [1])
        await rest.tick("ACME", 2)
        await until(lambda: prices(seen) == [1, 2])
        many = [{"symbol": "ACME", "price": price} for price in range(3, 1003)]
        assert (await rest.call("POST", "/ticks", many))[1]["accepted"] == 1000
        await until(lambda: prices(path) == list(range(1, 1003)))
        await server.kill()
    assert prices(path) == list(range(1, 1003))
    follower.send_signal(signal.SIGINT)
    assert await follower.wait() == 0
    last = prices(seen)
    assert last == sorted(set(last))
    assert lines(seen)[0]["source"] == server.url
