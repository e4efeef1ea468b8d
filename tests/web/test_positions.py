"""A client goes on from its position: on either transport, after a crash, amid new trades."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.streams import EventStream, event_stream, query, watching
from tests.kit.waiting import until

TRANSPORTS = ("ws", "sse")


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
