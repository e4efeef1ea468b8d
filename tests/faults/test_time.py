"""Time does not pass as it should: the clock is set back, the machine falls asleep."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from lab.site.machine import children_of
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.streams import Stream, watching
from tests.kit.waiting import until

ASLEEP_S = 2.5


@pytest.mark.quiet
async def test_a_clock_that_is_set_back_by_an_hour_stops_nothing(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices, trades, exits and streams go on at once, with the new time; also over a restart."""
    real_ns, ahead_s = time.time_ns, 0

    def time_ns() -> int:
        return real_ns() + ahead_s * 1_000_000_000

    monkeypatch.setattr(time, "time_ns", time_ns)
    settings = make_settings()
    async with serve_here(settings) as rest:
        session_id = await rest.new_session()
        await rest.tick("NIFTY", 100)
        await rest.open_trade(session_id, symbol="NIFTY", entryPrice=None)
        await rest.open_trade(session_id, symbol="NIFTY", entryPrice=100, target=105)
        fields = {"sessionId": session_id, "symbols": ["NIFTY"], "priceInterval": 100}
        async with (
            watching("ws", rest.url, **fields, updateInterval=100) as ws,
            watching("sse", rest.url, **fields, updateInterval=100) as sse,
        ):
            for stream in (ws, sse):
                assert not (await stream.next("price_update"))["data"]["stale"]
            ahead_s = -3600
            for stream in (ws, sse):
                while not (await stream.next("price_update"))["data"]["stale"]:
                    pass
            await rest.tick("NIFTY", 106)
            for stream in (ws, sse):
                closed = await stream.next("trade_closed")
                assert (closed["seq"], closed["data"]["exitReason"]) == (3, "TARGET")
                assert seconds_since(closed) < 60, "the new time, not that of an hour ahead"
                while (price := (await stream.next("price_update"))["data"])["price"] != 106:
                    pass
                assert not price["stale"]
                for _ in range(3):
                    assert seconds_since(await stream.next("session_update")) < 60
            trade = await rest.open_trade(session_id, symbol="NIFTY", entryPrice=None)
            assert (trade["tradeId"], trade["entryPrice"]) == (3, 106)
    async with serve_here(settings) as rest:
        await rest.close_trade(3, 107)
        async with watching("sse", rest.url, sessionId=session_id, since=0) as sse:
            events = [json.loads(text) for text in await sse.until_seq(5)]
            assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]


@pytest.mark.quiet(5)
async def test_who_wakes_up_after_a_sleep_has_its_clients_and_its_database_still(
    server_process: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Server and store are stopped for longer than any patience; the clients are elsewhere."""
    monkeypatch.setenv("VYOMO_RT_PING_INTERVAL_S", "1.1")
    monkeypatch.setenv("VYOMO_RT_PONG_TIMEOUT_S", "1")
    monkeypatch.setenv("VYOMO_RT_SSE_KEEP_ALIVE_S", "0.5")
    monkeypatch.setenv("VYOMO_RT_SLOW_TIMEOUT_S", "1")
    process = server_process()
    url = await process.start()
    pids = [process.process.pid, *children_of(process.process.pid)]
    async with aiohttp.ClientSession() as http:
        rest = Rest(url, http)
        session_id = await rest.new_session()
        await rest.tick("NIFTY", 100)
        fields = {"sessionId": session_id, "symbols": ["NIFTY"], "priceInterval": 100}
        async with (
            watching("ws", url, **fields) as ws,
            watching("sse", url, **fields) as sse,
        ):
            for stream in (ws, sse):
                await stream.next("price_update")
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            opening = asyncio.create_task(rest.open_trade(session_id))
            await asyncio.sleep(ASLEEP_S)
            woken_at = time.time()
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            await opening
            for stream in (ws, sse):
                await stream.until_seq(1)
            # Two pings, and longer than every patience.
            await asyncio.gather(*(read_on(stream, prices=25) for stream in (ws, sse)))
            for stream in (ws, sse):
                sent_s = [time_of(price) for price in stream.messages("price_update")]
                since_s = [at_s for at_s in sent_s if at_s > woken_at]
                passed_s = since_s[-1] - since_s[0]
                # One more, because the first beat may have been late and the last in time.
                assert len(since_s) <= 3 + passed_s / 0.1, "one price, and then the old rhythm"
            await rest.open_trade(session_id)
            for stream in (ws, sse):
                await stream.until_seq(2)
        ended = [line for line in process.output if " closed from " in line]
        assert all("client left" in line or "client closed" in line for line in ended), ended
        assert not [line for line in process.output if " ERROR " in line]
        assert process.process.returncode is None


@pytest.mark.quiet(4)
async def test_a_tick_that_waited_while_the_server_stood_still_fires_no_stop(
    server_process: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender has long given up, and the market is elsewhere; the next tick decides."""
    monkeypatch.setenv("VYOMO_RT_STALE_AFTER_MS", "1500")
    process = server_process()
    url = await process.start()
    async with aiohttp.ClientSession() as http:
        rest = Rest(url, http)
        session_id = await rest.new_session()
        await rest.tick("NIFTY", 100)
        trade = await rest.open_trade(session_id, symbol="NIFTY", entryPrice=100, stopLoss=99)
        os.kill(process.process.pid, signal.SIGSTOP)
        stopped_ms = time.time() * 1000
        waiting = asyncio.create_task(rest.tick("NIFTY", 98))
        await asyncio.sleep(ASLEEP_S)
        os.kill(process.process.pid, signal.SIGCONT)
        await waiting
        _, answer = await rest.call("GET", "/prices?symbols=NIFTY")
        price = answer["prices"][0]
        assert (price["price"], price["stale"]) == (98, True)
        assert datetime.fromisoformat(price["asOf"]).timestamp() * 1000 <= stopped_ms
        _, document = await rest.call("GET", f"/trades/{trade['tradeId']}")
        assert document["status"] == "OPEN"

        async def closes_by_a_new_tick() -> bool:
            await rest.tick("NIFTY", 97)
            _, document = await rest.call("GET", f"/trades/{trade['tradeId']}")
            return bool(document["status"] == "CLOSED")

        await until(closes_by_a_new_tick)


def time_of(message: dict[str, Any]) -> float:
    stamp = message.get("timestamp") or message["data"]["timestamp"]
    return datetime.fromisoformat(stamp).timestamp()


def seconds_since(message: dict[str, Any]) -> float:
    """How long ago it was, by the clock that was set back."""
    return abs(time.time_ns() / 1e9 - time_of(message))


async def read_on(stream: Stream, prices: int) -> None:
    for _ in range(prices):
        await stream.next("price_update")
