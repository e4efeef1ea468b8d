"""What streams carry: a price, a session's figures, and the same of both on each transport."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from vyomo_rt.doctor.report import Finding, Problem, note, skipped, well
from vyomo_rt.doctor.server import ANSWER_WITHIN_S, API, Server
from vyomo_rt.doctor.streams import Arrival, WebSocketStream, epoch_ms, of_type, trouble

BEAT_MS = 100


async def prices(server: Server) -> list[Finding]:
    """There is a fresh price, and the WebSocket delivers it."""
    answer = await server.ask(f"{API}/prices")
    known = {price["symbol"]: price for price in answer.json.get("prices", [])}
    fresh = [symbol for symbol, price in known.items() if not price["stale"]]
    server.symbol = server.options.symbol or next(iter(fresh or known), server.symbol)
    price, took = known.get(server.symbol), ""
    if server.websocket is not None:
        started = time.monotonic()
        await _subscribe(server, server.websocket, list(known))
        if price is not None or answer.status != 200:
            price = await _first_price(server, server.websocket)
            took = f", {(time.monotonic() - started) * 1000:.0f} ms after subscribing"
    if price is None:
        return [note(_no_price(server))]
    server.beats = True
    text = f"{server.symbol} {price['price']}"
    if price["stale"] and (state := _pause_of_market(server.websocket)) is not None:
        return [well(f"{text} is the last one before the market was {state}")]
    if price["stale"]:
        age_s = (time.time() * 1000 + (server.clock_lead_ms or 0) - epoch_ms(price["asOf"])) / 1000
        text += (
            f" is stale, {_age(age_s)} old: no trade can be opened on it and no stop acts; "
            "is the program that pushes ticks running?"
        )
        return [note(text)]
    return [well(text + took)]


async def session(server: Server) -> list[Finding]:
    """A session can be watched."""
    if server.session is None:
        missing = server.options.session_id is not None
        return [] if missing else [skipped("there is none to watch yet")]
    server.beats = True
    id_ = server.session["sessionId"]
    if server.websocket is not None:
        ack = await server.websocket.ask(
            "subscribe_session", ANSWER_WITHIN_S, sessionId=id_, updateInterval=BEAT_MS
        )
        if problem := trouble(ack):
            raise Problem(f"{id_} cannot be watched: {problem}")
        if not await server.websocket.first(of_type("session_update"), ANSWER_WITHIN_S):
            raise Problem(f"no figures of {id_} arrive")
    status, events = server.session["status"], server.session["seq"]
    return [well(f"{id_} is {status}, trade events so far: {events}")]


async def market(server: Server) -> list[Finding]:
    """The calendar knows the current date, and the next weeks."""
    answer = await server.ask(f"{API}/market")
    if answer.status == 404:
        return [skipped("this server has no calendar")]
    state, warning = answer.json["marketState"], answer.json.get("warning")
    if warning is not None:
        return [note(warning)]
    return [well(f"{state} on {answer.json['date']}, by the calendar")]


async def agreement(server: Server) -> list[Finding]:
    """REST, WebSocket and SSE show the data of one server."""
    if server.websocket is None or server.events is None:
        return []
    transports = (server.websocket.arrivals, server.events.arrivals)
    epochs = {epoch for arrivals in transports for epoch in _epochs(arrivals)}
    if server.session is not None:
        epochs.add(server.session["epoch"])
    over_websocket, over_sse = (_ticks(arrivals) for arrivals in transports)
    common = over_websocket.keys() & over_sse.keys()
    # Two ticks may have one moment, so that a single difference proves nothing.
    same = [key for key in common if over_websocket[key] == over_sse[key]]
    if len(epochs) > 1 or (common and not same):
        text = (
            "REST, WebSocket and SSE show different data: several servers stand behind this "
            "address, each with its own; let the proxy send all paths to one of them"
        )
        raise Problem(text)
    parts = [f"session {server.session['sessionId']}"] if server.session else []
    parts += [f"{len(same)} of {server.symbol}'s prices"] if same else []
    if not parts:
        return [skipped("there is nothing yet to compare")]
    return [well(f"{' and '.join(parts)}: the same over WebSocket and SSE")]


async def _subscribe(server: Server, websocket: WebSocketStream, known: list[str]) -> None:
    ack = await websocket.ask(
        "subscribe_prices", ANSWER_WITHIN_S, symbols=[server.symbol], priceInterval=BEAT_MS
    )
    if problem := trouble(ack):
        raise Problem(f"{server.symbol} cannot be subscribed: {problem}")
    assert ack is not None
    if server.symbol in ack.message["result"]["unknown"]:
        raise Problem(f"the feed has no {server.symbol}; it has {', '.join(known[:5])} ...")


async def _first_price(server: Server, websocket: WebSocketStream) -> dict[str, Any]:
    if arrival := await websocket.first(of_type("price_update"), ANSWER_WITHIN_S):
        return arrival.data
    raise Problem(
        f"no price of {server.symbol} arrives within {ANSWER_WITHIN_S:g} s; if another symbol has "
        "one, name it with `--symbol`"
    )


def _pause_of_market(websocket: WebSocketStream | None) -> str | None:
    """What the market's state is, if that excuses a stale price: the feed follows its hours."""
    arrivals = [] if websocket is None else websocket.arrivals
    told = [arrival.data for arrival in arrivals if arrival.type == "feed_status"]
    if not told or told[-1]["state"] != "LIVE":
        return None
    state: str | None = told[-1].get("marketState")
    return None if state == "OPEN" else state


def _no_price(server: Server) -> str:
    body = f'{{"symbol":"{server.symbol}","price":22150.5}}'
    return (
        f"{server.symbol} has no price yet, and clients get nothing for it until there is one; "
        f"push the first: curl {server.url}{API}/ticks -d '{body}'"
    )


def _age(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def _epochs(arrivals: Iterable[Arrival]) -> set[str]:
    """The histories that the acks of a stream name."""
    results = (arrival.message["result"] for arrival in arrivals if arrival.type == "ack")
    return {result["epoch"] for result in results if result["epoch"] is not None}


def _ticks(arrivals: Iterable[Arrival]) -> dict[str, float]:
    """The prices of the checked symbol, by the moment at which each was true."""
    found = (arrival.data for arrival in arrivals if arrival.type == "price_update")
    return {data["asOf"]: data["price"] for data in found}
