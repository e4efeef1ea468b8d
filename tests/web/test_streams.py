"""The streams, over both transports and real sockets."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import httpx
import httpx_sse
import pytest
import websockets

from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.streams import EventStream, Stream, event_stream, query, watching, web_socket
from tests.kit.waiting import until

TRANSPORTS = ("ws", "sse")
both = pytest.mark.parametrize("transport", TRANSPORTS)
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


@pytest.mark.parametrize("order", [("ws", "sse"), ("sse", "ws"), ("sse", "sse"), ("ws", "ws")])
async def test_a_position_taken_on_one_transport_is_good_on_the_other(
    server: Rest, order: tuple[str, str]
) -> None:
    session_id = await server.new_session()
    async with watching(order[0], server.url, sessionId=session_id) as before:
        await server.open_trade(session_id)
        await before.until_seq(1)
        last = (await before.next("session_update"))["seq"]
        epoch = json.loads(before.texts[0])["result"]["epoch"]
        last_id = before.last_event_id if isinstance(before, EventStream) else None
    assert last_id in {None, f"{session_id}-1-{epoch}"}
    for _ in range(3):
        await server.open_trade(session_id)
    position = {"lastEventId": last_id} if order == ("sse", "sse") else {}
    position = position or {"since": last, "epoch": epoch}
    async with watching(order[1], server.url, sessionId=session_id, **position) as after:
        await after.until_seq(4)
        await server.open_trade(session_id)
        events = await after.until_seq(5)
        assert [json.loads(text)["seq"] for text in events] == [2, 3, 4, 5]
        _, stored = await server.call("GET", f"/sessions/{session_id}/events?since=1")
        assert [json.loads(text) for text in events] == stored["events"]


@pytest.mark.parametrize("how", ["header", "query", "both", "no epoch"])
async def test_an_event_source_resumes_by_its_last_event_id(server: Rest, how: str) -> None:
    """The header, which a reconnecting EventSource sets, wins over what its URL once said."""
    session_id = await server.new_session()
    for _ in range(3):
        await server.open_trade(session_id)
    _, session = await server.call("GET", f"/sessions/{session_id}")
    id_ = f"{session_id}-2" + ("" if how == "no epoch" else f"-{session['epoch']}")
    url_id = {"query": id_, "both": f"{session_id}-0"}.get(how)
    path = f"/sse/sessions/{session_id}?{query(lastEventId=url_id, since=0)}"
    headers = {} if how == "query" else {"Last_Event_ID": id_}
    async with event_stream(server.url, path, **headers) as sse:
        ack = await sse.next("ack")
        assert (ack["result"]["recovered"], ack["result"]["seq"]) == (True, 2)
        assert sse.blocks[0].id == f"{session_id}-2-{session['epoch']}"
        assert len(await sse.until_seq(3)) == 1
        assert sse.last_event_id == f"{session_id}-3-{session['epoch']}"


async def test_a_last_event_id_of_no_use_counts_as_not_recovered_and_never_as_an_error(
    server: Rest,
) -> None:
    id_ = await server.new_session()
    await server.open_trade(id_)
    for useless in (
        *("nonsense", "-", "--", f"{id_}", f"{id_}-", f"{id_}--", f"{id_}-x", f"{id_}--1"),
        *(f"{id_}-99", f"{id_}-1-another", "99-1", "²-³", f"{id_}-" + "9" * 30),
    ):
        path = f"/sse/sessions/{id_}"
        async with event_stream(server.url, path, Last_Event_ID=useless) as sse:
            assert sse.status == 200, useless
            ack = await sse.next("ack")
            assert (ack["result"]["recovered"], ack["result"]["seq"]) == (False, 1), useless
            assert (await sse.next("session_update"))["recovered"] is False


@pytest.mark.parametrize("part", ["session", "seq"])
async def test_a_last_event_id_with_thousands_of_digits_is_no_error_either(
    server: Rest, part: str
) -> None:
    id_ = await server.new_session()
    digits = "9" * 5000
    useless = f"{digits}-1" if part == "session" else f"{id_}-{digits}"
    async with event_stream(server.url, f"/sse/sessions/{id_}", Last_Event_ID=useless) as sse:
        assert sse.status == 200
        assert (await sse.next("ack"))["result"]["recovered"] is False


async def test_what_a_client_was_told_survives_a_crash_and_it_resumes_on_the_other_transport(
    server_process: MakeServer,
) -> None:
    process = server_process()
    url = await process.start()
    async with aiohttp.ClientSession() as http:
        rest = Rest(url, http)
        session_id = await rest.new_session()
        async with watching("sse", url, sessionId=session_id) as stream:
            for _ in range(3):
                await rest.open_trade(session_id)
            told = await stream.until_seq(3)
            assert isinstance(stream, EventStream)
            last_id = stream.blocks[1].id
            await process.kill()
        again = server_process()
        rest = Rest(await again.start(), http)
        async with event_stream(
            rest.url, f"/sse/sessions/{session_id}", Last_Event_ID=str(last_id)
        ) as sse:
            ack = await sse.next("ack")
            assert ack["result"]["recovered"], "the epoch outlives the process"
            replayed = await sse.until_seq(3)
            assert replayed == told[ack["result"]["seq"] :]
        async with watching("ws", rest.url, sessionId=session_id, since=0) as ws:
            await rest.open_trade(session_id)
            events = await ws.until_seq(4)
            assert events[:3] == told
        assert await again.stop() == 0


async def test_who_was_ahead_of_a_wiped_store_is_not_recovered(
    server: Rest, make_settings: MakeSettings
) -> None:
    session_id = await server.new_session()
    for _ in range(2):
        await server.open_trade(session_id)
    _, before = await server.call("GET", f"/sessions/{session_id}")
    async with serve_here(make_settings("wiped")) as wiped:
        assert await wiped.new_session() == session_id
        for _ in range(4):
            await wiped.open_trade(session_id)
        async with watching(
            "ws", wiped.url, sessionId=session_id, since=2, epoch=before["epoch"]
        ) as ws:
            assert (await ws.next("session_update"))["recovered"] is False


async def test_subscribers_who_come_while_trades_happen_miss_none_and_get_none_twice(
    server: Rest,
) -> None:
    """Replay, then live, in the midst of a stream of trades."""
    session_id = await server.new_session()
    total = 40

    async def trade() -> None:
        for _ in range(total):
            await server.open_trade(session_id)

    async def follow(transport: str, after: int) -> None:
        await until(lambda: progress["seq"] >= after)
        about = {"sessionId": session_id, "since": max(0, after - 3)}
        async with watching(transport, server.url, **about) as stream:
            seqs = [json.loads(text)["seq"] for text in await stream.until_seq(total)]
            assert seqs == list(range(about["since"] + 1, total + 1))

    progress = {"seq": 0}

    async def report() -> None:
        async with watching("ws", server.url, sessionId=session_id) as ws:
            while progress["seq"] < total:
                progress["seq"] = (await ws.next("trade_opened"))["seq"]

    async with asyncio.TaskGroup() as group:
        group.create_task(report())
        for after in range(0, total, 5):
            for transport in TRANSPORTS:
                group.create_task(follow(transport, after))
        await asyncio.sleep(0)
        group.create_task(trade())


async def test_a_position_is_never_ahead_of_the_events_that_were_written(server: Rest) -> None:
    session_id = await server.new_session()
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(
                watching(transport, server.url, sessionId=session_id, updateInterval=100)
            )
            for transport in TRANSPORTS
        ]
        for _ in range(30):
            await server.open_trade(session_id)
        for stream in streams:
            await stream.until_seq(30)
            await stream.next("session_update")
            position = 0
            for message in stream.messages("trade_opened", "session_update"):
                if message["type"] == "trade_opened":
                    assert message["seq"] == position + 1
                    position += 1
                assert message["seq"] == position
        [sse] = [stream for stream in streams if isinstance(stream, EventStream)]
        ids = [int(block.id.split("-")[1]) for block in sse.blocks if block.id]
        assert ids == sorted(ids)


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
