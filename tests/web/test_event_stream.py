"""What is particular to Server-Sent Events: their bytes, their headers, their errors."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import EventStream, event_stream, web_socket
from tests.kit.waiting import PATIENCE_S
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.event import Event
from vyomo_rt.store.journal import MongoStore


@pytest.mark.parametrize("http", ["1.0", "1.1"])
async def test_the_answer_is_an_event_stream_that_no_proxy_holds_back(
    server: Rest, http: str
) -> None:
    session_id = await server.new_session()
    async with event_stream(server.url, f"/sse/sessions/{session_id}", http=http) as sse:
        assert sse.status == 200
        assert sse.headers["content-type"] == "text/event-stream"
        assert sse.headers["cache-control"] == "no-cache, no-transform"
        assert sse.headers["x-accel-buffering"] == "no"
        assert sse.headers["connection"] == "close"
        assert sse.headers.get("transfer-encoding") == ("chunked" if http == "1.1" else None)
        assert "content-length" not in sse.headers
        assert (await sse.next("session_update"))["seq"] == 0


async def test_every_block_is_an_event_with_data_and_positions_stand_only_where_they_may(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(sse_keep_alive_s=0.05)
    async with serve_here(settings) as server:
        session_id = await server.new_session()
        await server.tick("BANKNIFTY", 196.3)
        trade = await server.open_trade(session_id)
        path = (
            f"/sse/auto-trader?sessionId={session_id}&symbols=BANKNIFTY,SBIN"
            "&priceInterval=100&updateInterval=100"
        )
        async with event_stream(server.url, path) as sse:
            await sse.next("pnl_update")
            await server.open_trade(session_id)
            await server.close_trade(trade["tradeId"])
            await sse.until_seq(3)
            for _ in range(10):
                await sse.next()
        epoch = (await server.call("GET", f"/sessions/{session_id}"))[1]["epoch"]
        first = sse.blocks[0]
        assert (first.event, first.id) == ("ack", f"{session_id}-1-{epoch}")
        assert 2000 <= int(first.retry or 0) <= 5000
        with_id = {"ack", "trade_opened", "trade_closed", "session_update"}
        for block in sse.blocks:
            assert len(block.data) == 1, "one line of JSON"
            assert f'{{"type":"{block.event}"' in block.data[0]
            assert (block.id is not None) == (block.event in with_id)
            assert (block.retry is not None) == (block is first)
        assert {b.event for b in sse.blocks} >= with_id | {"pnl_update", "price_update"}
        text = "\n".join(sse.lines)
        assert ":" in sse.lines, "a keep-alive came"
        assert ":\n\n" not in text, "and did not end a block"
        assert "\n\n\n" not in text


async def test_a_keep_alive_comes_every_interval_to_a_stream_that_is_otherwise_silent(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(sse_keep_alive_s=0.05)
    async with (
        serve_here(settings) as server,
        event_stream(server.url, "/sse/prices?symbols=SBIN") as sse,
    ):
        await sse.next("ack")
        await sse.next("feed_status")
        for _ in range(3):
            await sse.keep_alive()


async def test_a_client_may_have_the_keep_alive_as_an_event_while_others_get_the_line(
    make_settings: MakeSettings,
) -> None:
    """For EventSource, which shows comments to nobody."""
    settings = make_settings(sse_keep_alive_s=0.05)
    async with serve_here(settings) as server:
        session_id = await server.new_session()
        for path in (
            "/sse/prices?symbols=SBIN",
            f"/sse/sessions/{session_id}?",
            f"/sse/auto-trader?sessionId={session_id}",
        ):
            async with (
                event_stream(server.url, f"{path}&keepAlive=event") as sse,
                event_stream(server.url, "/sse/prices?symbols=SBIN") as other,
            ):
                async with asyncio.timeout(PATIENCE_S):
                    while not sse.blocks or sse.blocks[-1].event != "keep_alive":
                        await sse.read()
                assert sse.blocks[-1].data == ["{}"]
                assert ":" not in sse.lines
                await other.next("feed_status")
                await other.keep_alive()
                assert "event: keep_alive" not in other.lines


async def test_another_kind_of_keep_alive_is_refused(server: Rest) -> None:
    async with event_stream(server.url, "/sse/prices?symbols=SBIN&keepAlive=often") as sse:
        assert sse.status == 400
        assert (await sse.body())["detail"] == "keepAlive: expected event, got 'often'"


async def test_a_client_of_http_1_0_gets_the_same_events_without_chunks_and_its_own_bytes_count(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with AsyncExitStack() as clients:
        async with serve_here(make_settings()) as server:
            session_id = await server.new_session()
            path = f"/sse/sessions/{session_id}"
            old, new = [
                await clients.enter_async_context(event_stream(server.url, path, http=http))
                for http in ("1.0", "1.1")
            ]
            reading = [asyncio.create_task(sse.ended()) for sse in (old, new)]
            for _ in range(3):
                await server.open_trade(session_id)
        await asyncio.gather(*reading)
    assert old.events() == new.events()
    assert len(old.events()) == 3
    connection_id = json.loads(old.texts[0])["connectionId"]
    [audit] = [m for m in caplog.messages if m.startswith(f"sse {connection_id} closed")]
    read = sum(len(line.encode()) + 1 for line in old.lines)
    assert audit.endswith(f" {len(old.texts)} messages, {read} bytes sent")


@pytest.mark.parametrize("http", ["1.0", "1.1"])
async def test_a_stream_that_the_server_ends_ends_as_its_version_of_http_says(
    make_settings: MakeSettings, http: str
) -> None:
    settings = make_settings(max_connections=1)
    async with (
        serve_here(settings) as server,
        event_stream(server.url, "/sse/prices?symbols=A"),
        event_stream(server.url, "/sse/prices?symbols=A", http=http) as second,
    ):
        await second.ended()
        assert json.loads(second.texts[-1])["code"] == "limit_exceeded"
        assert second.complete == (http == "1.1")


@pytest.mark.parametrize("http", ["1.0", "1.1"])
async def test_head_answers_like_get_and_leaves_the_connection_to_others(
    server: Rest, http: str
) -> None:
    async with event_stream(
        server.url, "/sse/prices?symbols=A", method="HEAD", http=http
    ) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-cache, no-transform"
        assert "content-length" not in answer.headers


async def test_retry_times_differ_so_that_not_all_come_back_at_once(server: Rest) -> None:
    retries = set()
    for _ in range(8):
        async with event_stream(server.url, "/sse/prices?symbols=SBIN") as sse:
            await sse.next("ack")
            retries.add(sse.blocks[0].retry)
    assert len(retries) > 1


async def test_the_halves_do_not_know_what_belongs_to_the_other(server: Rest) -> None:
    session_id = await server.new_session()
    for path, field in (
        (f"/sse/sessions/{session_id}?symbols=SBIN", "symbols"),
        (f"/sse/prices?symbols=SBIN&sessionId={session_id}", "sessionId"),
        ("/sse/prices?symbols=SBIN&types=", "types"),
        (f"/sse/auto-trader?sessionId={session_id}&session=7", "session"),
    ):
        async with event_stream(server.url, path) as sse:
            problem = await sse.body()
            assert (sse.status, problem["field"]) == (400, field), problem
            assert problem["detail"].startswith(f"{field}: unknown; ")
    path = "/sse/prices?symbols=sbin,%20tcs&lastEventId=&keepAlive=&ticket=x"
    async with event_stream(server.url, path) as sse:
        result = (await sse.next("ack"))["result"]
        assert (result["sessionId"], result["symbols"]) == (None, ["SBIN", "TCS"])
        assert sse.blocks[0].id is None


async def test_every_field_of_the_commands_can_stand_in_the_query(server: Rest) -> None:
    session_id = await server.new_session()
    await server.open_trade(session_id)
    epoch = (await server.call("GET", f"/sessions/{session_id}"))[1]["epoch"]
    path = (
        f"/sse/auto-trader?sessionId={session_id}&since=0&epoch={epoch}&types=trade_closed"
        "&updateInterval=250&symbols=TCS&priceInterval=70000&onlyChanges=true"
    )
    async with event_stream(server.url, path) as sse:
        assert (await sse.next("ack"))["result"] == {
            "sessionId": session_id,
            "seq": 0,
            "epoch": epoch,
            "recovered": True,
            "types": ["trade_closed"],
            "updateInterval": 200,
            "symbols": ["TCS"],
            "priceInterval": 60_000,
            "onlyChanges": True,
            "unknown": [],
            "watching": False,
            "watchInterval": 2000,
        }


async def test_what_a_retry_cannot_mend_is_answered_with_a_status(server: Rest) -> None:
    session_id = await server.new_session()
    many = ",".join(f"S{number}" for number in range(501))
    for path, status, code, names in (
        ("/sse/auto-trader", 400, "bad_request", "sessionId"),
        ("/sse/auto-trader?symbols=", 400, "bad_request", "symbols"),
        ("/sse/auto-trader?symbols=,", 400, "bad_request", "symbols"),
        ("/sse/auto-trader?sessionId=six", 400, "bad_request", "sessionId"),
        ("/sse/auto-trader?sessionId=0", 400, "bad_request", "sessionId"),
        (f"/sse/auto-trader?sessionId={session_id}&since=-1", 400, "bad_request", "since"),
        (f"/sse/auto-trader?sessionId={session_id}&types=all", 400, "bad_request", "types"),
        ("/sse/auto-trader?symbols=A&priceInterval=x", 400, "bad_request", "priceInterval"),
        ("/sse/auto-trader?symbols=A&onlyChanges=x", 400, "bad_request", "onlyChanges"),
        ("/sse/auto-trader?symbols=A,*", 400, "bad_request", "symbols"),
        ("/sse/sessions?updateInterval=soon", 400, "bad_request", "nterval"),
        ("/sse/auto-trader?watching=perhaps", 400, "bad_request", "watching"),
        ("/sse/auto-trader?watching=false", 400, "bad_request", "sessionId"),
        ("/sse/prices", 400, "bad_request", "symbols"),
        (f"/sse/prices?symbols={many}", 400, "limit_exceeded", "symbols"),
        ("/sse/auto-trader?sessionId=999", 404, "not_found", "999"),
        (f"/sse/sessions/{session_id}99", 404, "not_found", f"{session_id}99"),
        ("/sse/nothing", 404, "not_found", "/sse/nothing"),
    ):
        async with event_stream(server.url, path) as sse:
            assert sse.status == status, path
            assert sse.headers["content-type"].startswith("application/problem+json")
            problem = await sse.body()
            assert (problem["code"], names in problem["detail"]) == (code, True), problem


async def test_other_methods_than_get_and_head_are_refused(server: Rest) -> None:
    async with event_stream(server.url, "/sse/prices?symbols=A", method="POST") as sse:
        assert sse.status == 405
        assert set(sse.headers["allow"].split(",")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/sse/auto-trader", "/sse/prices"])
async def test_head_is_answered_like_get_without_a_stream(server: Rest, path: str) -> None:
    good = f"{path}?symbols=SBIN"
    async with event_stream(server.url, good, method="HEAD", Connection="close") as sse:
        assert sse.status == 200
        assert sse.headers["content-type"] == "text/event-stream"
        assert sse.headers["cache-control"] == "no-cache, no-transform"
        await sse.ended()
        assert sse.lines == []
    async with event_stream(server.url, path, method="HEAD") as sse:
        assert sse.status == 400


async def passing_trouble(sse: EventStream) -> dict[str, Any]:
    """The only event of a stream that could not start, which then ends."""
    assert sse.status == 200
    assert sse.headers["content-type"] == "text/event-stream"
    error = await sse.next("error")
    assert sse.blocks[0].event == "server_error"
    await sse.ended()
    assert len(sse.blocks) == 1
    return error


async def test_too_many_connections_are_told_so_in_the_stream(make_settings: MakeSettings) -> None:
    settings = make_settings(max_connections=1)
    async with serve_here(settings) as server:
        path = "/sse/prices?symbols=SBIN"
        async with event_stream(server.url, path) as first:
            await first.next("ack")
            async with event_stream(server.url, path) as sse:
                assert (await passing_trouble(sse))["code"] == "limit_exceeded"
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with event_stream(server.url, path) as sse:
                    if (await sse.next())["type"] == "ack":
                        break


async def test_a_store_that_is_away_is_told_in_the_stream_and_costs_only_the_replay(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = False
    events = MongoStore.events

    async def events_or_not(self: MongoStore, *range_: int) -> Sequence[Event]:
        if away:
            raise Unavailable("the store is away")
        return await events(self, *range_)

    monkeypatch.setattr(MongoStore, "events", events_or_not)
    async with serve_here(make_settings()) as server:
        session_id = await server.new_session()
        await server.open_trade(session_id)
        away = True
        path = f"/sse/sessions/{session_id}?since=0"
        async with event_stream(server.url, path) as sse:
            error = await passing_trouble(sse)
            assert (error["code"], error["retryAfterMs"]) == ("unavailable", 1000)
        async with web_socket(server.url) as ws:
            answer = await ws.ask("subscribe_session", sessionId=session_id, since=0)
            assert answer["code"] == "unavailable"
            assert (await ws.ask("subscribe_session", sessionId=session_id))["type"] == "ack"
        away = False
        async with event_stream(server.url, path) as sse:
            assert len(await sse.until_seq(1)) == 1


async def test_an_address_has_room_for_as_many_symbols_as_a_connection_may_have(
    server: Rest,
) -> None:
    symbols = [f"{number:03d}".ljust(64, "X") for number in range(500)]
    path = f"/sse/prices?symbols={','.join(symbols)}"
    async with event_stream(server.url, path) as sse:
        assert (await sse.next())["result"]["symbols"] == symbols
