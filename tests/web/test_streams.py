"""The streams, over both transports and real sockets."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import httpx_sse
import pytest
import websockets

from tests.kit.rest import Rest
from tests.kit.streams import Stream, watching, web_socket

both = pytest.mark.parametrize("transport", ["ws", "sse"])
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def without_moments(text: str) -> str:
    """A message but for its timestamps, which differ from snapshot to snapshot."""
    return MOMENT.sub("…", text)


@pytest.mark.quiet
async def test_both_transports_carry_the_same_bytes_in_the_same_order(any_server: Rest) -> None:
    """The main test: snapshot, prices, trades, figures and P&L; on asyncio and on uvloop."""
    rest = any_server
    session_id = await rest.new_session()
    await rest.tick("NIFTY", 22150.5)
    await rest.tick("BANKNIFTY", 195.25)
    first = await rest.open_trade(session_id, stopLoss=180, target=220)
    about: dict[str, Any] = {
        "sessionId": session_id,
        "symbols": ["BANKNIFTY", "NIFTY"],
        "updateInterval": 60_000,
        "priceInterval": 60_000,
    }
    async with watching("ws", rest.url, **about) as ws, watching("sse", rest.url, **about) as sse:
        streams: list[Stream] = [ws, sse]
        await rest.close_trade(first["tradeId"], 200)
        await rest.open_trade(session_id, symbol="NIFTY", quantity=1, entryPrice=22150.5)
        await rest.open_trade(session_id, symbol="BANKNIFTY", target=196)
        await rest.tick("BANKNIFTY", 196.3)
        for stream in streams:
            await stream.until_seq(5)
            await stream.next("session_update")
        assert ws.events() == sse.events()
        assert [json.loads(text)["seq"] for text in ws.events()] == [2, 3, 4, 5]
        # The feed comes to life about now: some are told so in time, some have no need.
        told = [[t for t in stream.texts if "feed_status" not in t] for stream in streams]
        live = [texts[texts.index(ws.events()[0]) :] for texts in told]
        assert live[0] == live[1], "what is sent to all is the very same"
        snapshots = [sorted(map(without_moments, texts[1 : -len(live[0])])) for texts in told]
        assert snapshots[0] == snapshots[1]
        assert [json.loads(text)["type"] for text in snapshots[0]] == [
            "pnl_update",
            "price_update",
            "price_update",
            "session_update",
        ]
        [ack, other_ack] = [json.loads(stream.texts[0]) for stream in streams]
        assert ack["result"] | {"seq": 0} == other_ack["result"] | {"seq": 0}


async def test_the_messages_have_the_shapes_that_the_protocol_promises(server: Rest) -> None:
    session_id = await server.new_session()
    await server.tick("BANKNIFTY", 195.25)
    async with watching("ws", server.url, sessionId=session_id, symbols=["BANKNIFTY"]) as stream:
        trade = await server.open_trade(session_id)
        opened = await stream.next("trade_opened")
        await server.tick("BANKNIFTY", 196.3)
        await server.close_trade(trade["tradeId"])
        closed = await stream.next("trade_closed")
        update = await stream.next("session_update")
    async with watching("ws", server.url, sessionId=session_id, symbols=["BANKNIFTY"]) as stream:
        price = (await stream.next("price_update"))["data"]
        assert (price["price"], price["source"], price["stale"]) == (196.3, "ingest", False)
        assert list(price) == ["symbol", "price", "timestamp", "asOf", "source", "stale"]
    assert opened["seq"] == 1
    assert opened["data"] | {"timestamp": ""} == {
        "tradeId": trade["tradeId"],
        "sessionId": session_id,
        "symbol": "BANKNIFTY",
        "side": "BUY",
        "quantity": 50,
        "entryPrice": 195.25,
        "stopLoss": None,
        "target": None,
        "status": "OPEN",
        "timestamp": "",
    }
    assert closed["data"] | {"timestamp": ""} == {
        "tradeId": trade["tradeId"],
        "sessionId": session_id,
        "symbol": "BANKNIFTY",
        "side": "BUY",
        "quantity": 50,
        "entryPrice": 195.25,
        "exitPrice": 196.3,
        "pnl": 52.5,
        "pnlPercent": 0.54,
        "exitReason": "MANUAL",
        "status": "CLOSED",
        "timestamp": "",
    }
    assert update["seq"] == 2
    assert update["data"] | {"timestamp": ""} == {
        "sessionId": session_id,
        "currentCapital": 50052.5,
        "totalPnL": 52.5,
        "todayPnL": 52.5,
        "totalTrades": 1,
        "winRate": 100,
        "status": "ACTIVE",
        "statusReason": None,
        "timestamp": "",
        "winningTrades": 1,
        "losingTrades": 0,
        "openTrades": 0,
        "unrealizedPnL": 0,
    }
    moments = [m["data"]["timestamp"] for m in (opened, closed, update)]
    assert all(MOMENT.fullmatch(moment) for moment in [*moments, price["asOf"]])


@both
async def test_a_snapshot_comes_in_order_after_the_ack(server: Rest, transport: str) -> None:
    session_id = await server.new_session()
    await server.tick("BANKNIFTY", 196.3)
    for _ in range(2):
        await server.open_trade(session_id)
    async with watching(
        transport, server.url, sessionId=session_id, since=1, updateInterval=60_000
    ) as stream:
        while len(stream.messages("pnl_update")) < 2:
            await stream.next()
        types = [json.loads(text)["type"] for text in stream.texts]
        assert types == ["ack", "trade_opened", "session_update", "pnl_update", "pnl_update"]
        [update] = stream.messages("session_update")
        assert update["recovered"] is True


async def test_nothing_is_sent_before_a_client_asks_for_something(server: Rest) -> None:
    await server.new_session()
    async with web_socket(server.url) as ws:
        assert (await ws.ask("ping"))["type"] == "pong"
        assert len(ws.texts) == 1


@both
async def test_a_price_that_is_not_known_yet_is_sent_when_it_arrives(
    server: Rest, transport: str
) -> None:
    async with watching(transport, server.url, symbols=["SBIN"], priceInterval=60_000) as stream:
        await server.tick("SBIN", 800.05)
        price = await stream.next("price_update")
        assert price["data"]["price"] == 800.05


@both
async def test_prices_come_every_interval_or_only_on_changes(server: Rest, transport: str) -> None:
    await server.tick("SBIN", 1)
    about = {"symbols": ["SBIN"], "priceInterval": 100}
    async with (
        watching(transport, server.url, **about) as every,
        watching(transport, server.url, **about, onlyChanges=True) as changes,
    ):
        for _ in range(4):
            await every.next("price_update")
        await server.tick("SBIN", 2)
        while (await changes.next("price_update"))["data"]["price"] != 2:
            pass
        while (await every.next("price_update"))["data"]["price"] != 2:
            pass
        assert [m["data"]["price"] for m in changes.messages("price_update")] == [1, 2]


@both
@pytest.mark.parametrize("types", [["trade_closed"], ["session_update", "trade_opened"]])
async def test_only_the_types_asked_for_arrive(
    server: Rest, transport: str, types: list[str]
) -> None:
    session_id = await server.new_session()
    await server.tick("BANKNIFTY", 196.3)
    async with watching(
        transport, server.url, sessionId=session_id, types=types, updateInterval=100
    ) as stream:
        trade = await server.open_trade(session_id)
        await server.close_trade(trade["tradeId"])
        for type_ in types:
            await stream.next(type_)
        await server.open_trade(session_id)
        trade = await server.open_trade(session_id)
        await server.close_trade(trade["tradeId"])
        await stream.next("trade_closed" if "trade_closed" in types else "trade_opened")
        seen = {json.loads(text)["type"] for text in stream.texts if "recovered" not in text}
        assert seen - {"ack", "feed_status"} <= set(types)


async def test_a_second_session_replaces_the_first_and_unsubscribing_ends_both(
    server: Rest,
) -> None:
    first, second = await server.new_session(), await server.new_session()
    async with web_socket(server.url) as ws:
        await ws.ask("subscribe_session", sessionId=first, updateInterval=60_000)
        answer = await ws.ask("subscribe_session", sessionId=second)
        assert answer["result"]["sessionId"] == second
        ws.texts.clear()
        await server.open_trade(first)
        await server.open_trade(second)
        assert (await ws.next("trade_opened"))["data"]["sessionId"] == second
        await ws.ask("unsubscribe_session")
        ws.texts.clear()
        await server.open_trade(first)
        await server.open_trade(second)
        await ws.ask("ping")
        assert [m["type"] for m in map(json.loads, ws.texts)] == ["pong"]


# -- clients of other makers -----------------------------------------------------------


async def test_the_websockets_library_gets_along_with_the_server(server: Rest) -> None:
    session_id = await server.new_session()
    url = server.url.replace("http", "ws")
    async with websockets.connect(f"{url}/ws/auto-trader") as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        await client.send(json.dumps({"type": "subscribe_session", "sessionId": session_id}))
        first = json.loads(await client.recv())
        assert first["type"] == "session_update"
        await (await client.ping())
        await client.close(1000)
        assert client.close_code == 1000


async def test_httpx_sse_gets_along_with_the_server(server: Rest) -> None:
    session_id = await server.new_session()
    await server.open_trade(session_id)
    async with httpx.AsyncClient() as client:
        path = f"{server.url}/sse/sessions/{session_id}"
        async with httpx_sse.aconnect_sse(
            client, "GET", path, params={"since": 0, "types": "trade_opened"}
        ) as source:
            events = source.aiter_sse()
            ack, opened = await anext(events), await anext(events)
            assert (ack.event, opened.event) == ("ack", "trade_opened")
            assert 2000 <= (ack.retry or 0) <= 5000
            assert opened.json()["seq"] == 1
            assert opened.id.startswith(f"{session_id}-1-")
            await events.aclose()
