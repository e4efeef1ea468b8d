"""The recorded day that ships: simulated prices of three symbols, and what was done on it.

Prices are those of `--feed sim` with a seed of their own, each five seconds of a session. The
calls are those of a made-up trader; what each names is still open then, so that none is refused.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from vyomo_rt.market.feeds.sim.path import PricePath
from vyomo_rt.market.feeds.sim.symbols import load_symbols
from vyomo_rt.wire.record import RecordHeader, header_line, tick_line

SEED = "recorded day"
DATE = "2026-11-25"
BEGIN_MS = 1_795_578_300_000
"""09:15 in India on that date."""
STEP_MS = 5_000
STEPS = 375 * 60_000 // STEP_MS
LOTS = {"NIFTY": 65, "BANKNIFTY": 30, "RELIANCE": 100}
_EVERY = 60
"""Steps between two trades: five minutes."""


class Call(NamedTuple):
    step: int
    line: dict[str, Any]


def made_day() -> Iterator[bytes]:
    """The lines of the record."""
    prices = {symbol: _prices(symbol) for symbol in LOTS}
    calls = sorted(_calls(prices), key=lambda call: call.step)
    yield header_line(RecordHeader(date=DATE, source="sim", fresh_for_ms=15_000))
    for step in range(STEPS + 1):
        at_ms = BEGIN_MS + step * STEP_MS
        for symbol, of_symbol in prices.items():
            yield tick_line(symbol, of_symbol[step], at_ms, None).encode()
        while calls and calls[0].step == step:
            line = {"at": at_ms + 500, **calls.pop(0).line}
            yield json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _prices(symbol: str) -> list[int]:
    terms = next(each for each in load_symbols() if each.symbol == symbol)
    path = PricePath(
        SEED, symbol, terms.base_price_e4, terms.tick_e4, terms.annual_volatility_percent
    )
    return [path.price_e4(BEGIN_MS + step * STEP_MS) for step in range(STEPS + 1)]


def _calls(prices: dict[str, list[int]]) -> Iterator[Call]:
    """Two sessions; in turns, trades with a stop and a target, that trail, and orders."""
    chance = random.Random(SEED)
    yield Call(0, _call("POST /sessions", {"name": "By hand", "startingCapital": 200000}, made=1))
    yield Call(0, _call("POST /sessions", {
        "name": "Recorded day", "startingCapital": 500000, "charges": "NSE_FUTURES",
        "rules": {"squareOff": "15:10"}}, made=2))  # fmt: skip
    trade_id = order_id = 0
    for number, step in enumerate(range(4, STEPS - 5 * _EVERY, _EVERY)):
        symbol = (*LOTS,)[number % 3]
        price = prices[symbol][step] / 10_000
        far, near = _rounded(price * 0.006), _rounded(price * 0.0015)
        side = chance.choice(("BUY", "SELL"))
        sign = 1 if side == "BUY" else -1
        order = {"symbol": symbol, "side": side, "quantity": LOTS[symbol]}
        if number % 4 == 3:
            order_id += 1
            level = _rounded(price - sign * price * 0.05)
            terms = {**order, "type": "LIMIT", "price": level, "note": "if it falls"}
            yield Call(step, _call("POST /sessions/1/orders", terms, made=order_id))
            yield Call(step + 40, _call(f"DELETE /orders/{order_id}"))
            continue
        trade_id += 1
        session_id = 1 if number % 4 == 2 else 2
        if number % 4 == 0:
            guards: dict[str, Any] = {"trailingStop": near, "tags": ["trail"]}
        else:
            guards = {
                "stopLoss": _rounded(price - sign * near),
                "target": _rounded(price + sign * far),
                "tags": ["bracket"],
            }
        opening = f"POST /sessions/{session_id}/trades"
        yield Call(step, _call(opening, order | guards, made=trade_id))
        is_open = number % 4 and _stays(prices[symbol][step : step + 30], sign, guards)
        if is_open and session_id == 1:
            yield Call(step + 24, _call(f"POST /trades/{trade_id}/close"))
        elif is_open:
            part = {"quantity": LOTS[symbol] // 2}
            yield Call(step + 12, _call(f"POST /trades/{trade_id}/close", part))


def _stays(prices: list[int], sign: int, guards: dict[str, Any]) -> bool:
    """Whether a trade stays open over these prices."""
    stop, target = guards["stopLoss"], guards["target"]
    return all(sign * (e4 / 10_000 - stop) > 0 > sign * (e4 / 10_000 - target) for e4 in prices)


def _call(call: str, body: dict[str, Any] | None = None, **more: int) -> dict[str, Any]:
    return {"call": call, "body": body or {}, **more}


def _rounded(price: float) -> float:
    return round(round(price / 0.05) * 0.05, 2)
