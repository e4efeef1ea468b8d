"""Recorded days for tests, and what a server makes of them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until

BEGIN_MS = 1_795_664_700_000
"""2026-11-26, 09:15 in India."""

Line = dict[str, Any]


def tick(at_ms: int, price: float, symbol: str = "NIFTY", **more: Any) -> Line:
    """A tick, so many milliseconds after the beginning."""
    return {"symbol": symbol, "price": price, "ts": BEGIN_MS + at_ms, **more}


def call(at_ms: int, call_: str, body: Any = None, **more: Any) -> Line:
    """A call, so many milliseconds after the beginning."""
    return {"at": BEGIN_MS + at_ms, "call": call_, "body": body or {}, **more}


def write(path: Path, lines: Sequence[Line], **header: Any) -> Path:
    rows = [{"v": 1, "tz": "UTC", **header}, *lines]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def walk(seed: int, count: int, step_ms: int, symbols: Sequence[str]) -> list[Line]:
    """Prices that wander, with seconds of several ticks and some without any."""
    chance = random.Random(seed)
    prices = {symbol: 1000.0 + 500 * number for number, symbol in enumerate(symbols)}
    at_ms, lines = 0, []
    for _ in range(count):
        at_ms += chance.choice((0, step_ms, step_ms, 3 * step_ms))
        symbol = chance.choice(symbols)
        prices[symbol] = round(prices[symbol] + chance.choice((-2, -1, -0.5, 0.5, 1, 2)), 2)
        lines.append(tick(at_ms, prices[symbol], symbol))
    return lines


def merged(*parts: Sequence[Line]) -> list[Line]:
    """Lines of several kinds by their moments; at one moment, those of the first part first."""
    return sorted((line for part in parts for line in part), key=moment)


def moment(line: Line) -> int:
    return int(line["at"] if "at" in line else line["ts"])


SYMBOLS = ("NIFTY", "BANKNIFTY", "ACME")


def busy_day(seed: int = 7) -> list[Line]:
    """Two sessions with everything that prices, the clock and calls may do."""
    calls = [
        call(0, "POST /sessions", {"startingCapital": 50000, "name": "A"}, made=6),
        call(0, "POST /sessions", {"startingCapital": 70000, "name": "B"}, made=9),
        call(900, "POST /sessions/6/trades", {
            "symbol": "NIFTY", "quantity": 75, "entryPrice": 1000, "trailingStop": 6,
            "trailingStep": 0.5, "breakevenAt": 1004, "tags": ["t"]}, made=31),
        call(900, "POST /sessions/6/trades", {
            "symbol": "BANKNIFTY", "side": "SELL", "quantity": 30, "entryPrice": 1500,
            "stopLoss": 1520, "target": 1490}, made=32),
        call(1200, "POST /sessions/9/trades", {
            "symbol": "NIFTY", "quantity": 10, "entryPrice": 1000, "trailingStop": 4}, made=33),
        call(1500, "POST /sessions/9/orders", {
            "symbol": "ACME", "quantity": 5, "type": "LIMIT", "price": 1996,
            "trailingStop": 3}, made=4),
        call(1500, "POST /sessions/9/orders", {
            "symbol": "ACME", "quantity": 7, "type": "STOP", "price": 2006}, made=5),
        call(2000, "POST /sessions/6/orders", {
            "symbol": "NIFTY", "quantity": 1, "type": "LIMIT", "price": 1}, made=6),
        call(2500, "PATCH /orders/6", {"price": 2}),
        call(4000, "POST /trades/33/close", {"quantity": 4}, key="part"),
        call(5000, "PATCH /trades/32", {"stopLoss": 1530, "note": "wider"}),
        call(9000, "DELETE /orders/6"),
        call(9500, "PATCH /sessions/6", {"name": "A, renamed"}),
        call(15_000, "POST /sessions/6/trades", {
            "symbol": "ACME", "quantity": 2, "trailingStop": 2}),
        call(20_000, "POST /sessions/6/close-all", {"reason": "enough"}),
    ]  # fmt: skip
    return merged(walk(seed, 600, 60, SYMBOLS), calls)


EVENING_MS = (14 * 3600 + 43 * 60 + 50) * 1000
"""23:58:50 in India, after the beginning."""


def late_day() -> list[Line]:
    """Four sessions whose rules act, before midnight and at it."""

    def at(after_ms: int, call_: str, body: Any, **more: Any) -> Line:
        return call(EVENING_MS + after_ms, call_, body, **more)

    capital = {"startingCapital": 100000}
    opening = {"symbol": "NIFTY", "quantity": 100}
    calls = [
        at(0, "POST /sessions", {
            **capital, "rules": {"squareOff": "23:59"}, "charges": "NSE_INTRADAY"}),
        at(0, "POST /sessions", {**capital, "rules": {"maxDailyLoss": 300, "maxOpenTrades": 2}}),
        at(0, "POST /sessions", {**capital, "rules": {"losingStreak": 1}}),
        at(0, "POST /sessions", capital),
        at(2000, "POST /sessions/1/trades", opening),
        at(2000, "POST /sessions/2/trades", {**opening, "trailingStop": 90}),
        at(2000, "POST /sessions/2/trades", {**opening, "symbol": "ACME", "side": "SELL"}),
        at(2000, "POST /sessions/3/trades", {**opening, "side": "SELL", "stopLoss": 1006}),
        at(2100, "PATCH /sessions/4", {"rules": {"profitLock": {"armAt": 50, "floor": 1}}}),
        at(2200, "POST /sessions/4/trades", opening),
        at(75_000, "POST /sessions/2/trades", {**opening, "symbol": "ACME"}),
        at(80_000, "PATCH /sessions/2", {"rules": {"maxDailyLoss": 1}}),
    ]  # fmt: skip
    ticks = [{**line, "ts": line["ts"] + EVENING_MS} for line in walk(3, 500, 160, SYMBOLS)]
    return merged(ticks, calls)


async def played(
    make_settings: MakeSettings, path: Path, run: str, speed: str = "max", **more: Any
) -> dict[int, list[Line]]:
    """The events of each session once a record is over; ``run`` names the run."""
    settings = make_settings(run, feed=(f"replay:{path}",), speed=speed, **more)
    async with serve_here(settings) as rest:
        await over(rest)
        return await events(rest)


async def over(rest: Rest) -> Line:
    """Wait for the end of the record."""

    async def look() -> Line | None:
        _, state = await rest.call("PATCH", "/replay", {})
        return state if state["over"] else None

    state: Line = await until(look, 60)
    return state


async def events(rest: Rest) -> dict[int, list[Line]]:
    _, listed = await rest.call("GET", "/sessions")
    found = {}
    for session in listed["sessions"]:
        session_id = session["sessionId"]
        _, answer = await rest.call("GET", f"/sessions/{session_id}/events")
        found[session_id] = answer["events"]
    return found
