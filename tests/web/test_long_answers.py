"""Whoever reads much gets all of it, and holds up nobody."""

from __future__ import annotations

import asyncio
import csv
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from lab.site.machine import children_of
from tests.kit.history import LONG, make_store
from tests.kit.machine import cpu_ms, rss_mb
from tests.kit.rest import API, Rest
from tests.kit.server import ServerProcess
from vyomo_rt.domain.errors import Unavailable
from vyomo_rt.domain.event import Event, EventKind, TradeEvent
from vyomo_rt.domain.moment import WallMs
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.trade import Trade
from vyomo_rt.web.long_answers import LongAnswers

READERS = 40
TRADES = 2000
EVENTS = 2 * TRADES - 10
"""Ten of the trades are still open."""
NOW_MS = 1_785_200_000_000

ReadEvents = Callable[[int, int, int], Awaitable[Sequence[Event]]]
Quotes = Callable[[], Sequence[Quote]]


def event(seq: int) -> TradeEvent:
    trade = Trade(seq, 6, "NIFTY", Side.BUY, 1, 100_0000, NOW_MS)
    return TradeEvent(
        session_id=6,
        seq=seq,
        kind=EventKind.OPENED,
        message=f'{{"seq":{seq}}}',
        trade=trade,
        operation_id=f"op {seq}",
        request_hash="",
    )


async def read(_session_id: int, after: int, upto: int) -> list[Event]:
    return [event(seq) for seq in range(after + 1, min(after + 200, upto) + 1)]


async def read_once(session_id: int, after: int, upto: int) -> list[Event]:
    if after:
        raise Unavailable("the database does not answer")
    return await read(session_id, after, upto)


@asynccontextmanager
async def answering(
    *, read_events: ReadEvents = read, seq: int = 0, quotes: Quotes = list
) -> AsyncIterator[str]:
    """An HTTP server with long answers: ``/events`` of a session up to ``seq``, ``/prices``."""
    answers = LongAnswers(read_events, quotes, lambda: WallMs(NOW_MS))

    async def events(request: web.Request) -> web.StreamResponse:
        since = int(request.query.get("since", 0))
        return await answers.send_events(request, 6, since, seq=seq, epoch="5f5f")

    app = web.Application()
    app.router.add_get("/events", events)
    app.router.add_get("/prices", answers.send_all_prices)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("seq", "since", "first", "last"),
    [
        *((0, 0, 1, 0), (7, 7, 1, 0), (7, 9, 1, 0), (150, 0, 1, 150), (401, 0, 1, 401)),
        *((601, 199, 200, 601), (10_300, 0, 1, 10_000), (10_300, 250, 251, 10_250)),
    ],
)
async def test_events_come_in_order_from_since_on_however_many_pages_they_are(
    seq: int, since: int, first: int, last: int
) -> None:
    async with answering(seq=seq) as url, aiohttp.ClientSession(url) as http:
        response = await http.get(f"/events?since={since}")
        found = await response.json()
    events = [{"seq": number} for number in range(first, last + 1)]
    assert found == {"events": events, "seq": seq, "epoch": "5f5f"}


async def test_a_store_that_goes_away_in_the_midst_of_a_list_breaks_the_connection_off() -> None:
    async with answering(read_events=read_once, seq=500) as url, aiohttp.ClientSession(url) as http:
        response = await http.get("/events")
        with pytest.raises(aiohttp.ClientError):
            await response.read()


@pytest.mark.parametrize("path", ["/events", "/prices"])
async def test_head_gets_no_body_however_long_it_is(path: str) -> None:
    quotes = [Quote(f"S{i}", 10_000, NOW_MS, "test", stale=False) for i in range(2000)]
    served = answering(seq=500, quotes=lambda: quotes)
    async with served as url, aiohttp.ClientSession(url) as http:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            async with http.request(method, path) as response:
                assert response.status == 200
                assert bool(await response.read()) == (method == "GET")


async def test_readers_of_all_prices_share_a_list_that_is_begun_after_they_asked() -> None:
    lists = 0

    def quotes() -> list[Quote]:
        nonlocal lists
        lists += 1
        return [Quote(f"S{i}", lists * 10_000, NOW_MS, "test", stale=False) for i in range(2000)]

    async with answering(quotes=quotes) as url, aiohttp.ClientSession() as http:

        async def prices() -> list[dict[str, object]]:
            async with http.get(f"{url}/prices") as response:
                assert response.content_length is not None
                found: list[dict[str, object]] = (await response.json())["prices"]
                return found

        found = await asyncio.gather(*(prices() for _ in range(50)))
        assert lists < 25
        assert [price["symbol"] for price in found[0]] == [f"S{i}" for i in range(2000)]
        before = lists
        newest = await prices()
        assert newest[0]["price"] == before + 1


async def test_forty_readers_of_a_long_history_get_all_of_it_and_trades_go_on(
    server_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    await make_store(tmp_path / "data", TRADES)
    server = server_process("--feed", "ingest")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        rest = Rest(await server.start(), http)
        session_id = await rest.new_session()

        async def read_all() -> bytes:
            async with http.get(f"{rest.url}{API}/sessions/1/events?since=0") as response:
                assert response.status == 200
                return await response.read()

        async def trade_s() -> float:
            began = time.monotonic()
            await rest.open_trade(session_id)
            return time.monotonic() - began

        alone = [await trade_s() for _ in range(20)]
        reading = [asyncio.create_task(read_all()) for _ in range(READERS)]
        beside = [await trade_s()]
        while not all(task.done() for task in reading):
            beside.append(await trade_s())
        bodies = {await task for task in reading}

    assert len(bodies) == 1
    found = json.loads(bodies.pop())
    assert found["seq"] == EVENTS
    assert [each["seq"] for each in found["events"]] == [*range(1, EVENTS + 1)]
    assert max(beside) < 2, beside
    # One read after the other in front of each write would make it a hundred times longer.
    assert statistics.median(beside) < 10 * statistics.median(alone) + 0.1, (alone, beside)


@pytest.mark.slow(27)
@pytest.mark.quiet
@pytest.mark.timeout(300)
async def test_a_table_of_a_hundred_thousand_trades_begins_at_once_and_holds_up_no_trade(
    server_process: Callable[..., ServerProcess], long_store: Path
) -> None:
    server = server_process("--feed", "ingest", "--data-dir", str(long_store))
    async with aiohttp.ClientSession() as http:
        rest = Rest(await server.start(), http)
        session_id = await rest.new_session()
        used_mb = [rss_mb(server.process.pid)]

        async def trade_s() -> float:
            began = time.monotonic()
            await rest.open_trade(session_id)
            used_mb.append(rss_mb(server.process.pid))
            return time.monotonic() - began

        alone = [await trade_s() for _ in range(100)]
        spent_before_s = spent_s(server)
        began = time.monotonic()
        response = await http.get(f"{rest.url}{API}/sessions/1/trades.csv")
        first_byte_s = time.monotonic() - began
        reading = asyncio.create_task(response.text())
        beside = []
        while not reading.done():
            beside.append(await trade_s())
            await asyncio.sleep(0.1)
        took_s = spent_s(server) - spent_before_s

    rows = list(csv.DictReader(StringIO(await reading, newline=""), strict=True))
    assert [int(row["tradeId"]) for row in rows] == [*range(LONG, 0, -1)]
    # On a quiet machine the clock shows no more: the server and its store take turns.
    assert took_s <= 10
    assert first_byte_s <= max(0.3, 10 * max(alone))
    assert max(used_mb) - used_mb[0] <= 30
    assert late(beside) <= max(0.05, 5 * late(alone)), (alone, beside)


@pytest.mark.slow(15)
@pytest.mark.timeout(300)
async def test_a_report_over_many_events_takes_seconds_and_the_next_one_little(
    server_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    """At this rate 200 000 events take 12 s at first, and half a second after that."""
    trades = 25_000
    await make_store(tmp_path / "data", trades)
    server = server_process("--feed", "ingest")
    async with aiohttp.ClientSession() as http:
        rest = Rest(await server.start(), http)
        used_mb = rss_mb(server.process.pid)

        async def took_s(by: str) -> float:
            before_s = spent_s(server)
            status, report = await rest.call("GET", f"/sessions/1/report?by={by}")
            assert status == 200
            assert report["total"]["trades"] == trades - 10
            return spent_s(server) - before_s

        assert await took_s("day") < 12 * trades / 100_000
        assert min([await took_s(by) for by in ("day", "tag", "hour")]) < 0.5 * trades / 100_000
        assert rss_mb(server.process.pid) - used_mb < 20


def spent_s(server: ServerProcess) -> float:
    """The processor time of a server and its store."""
    processes = [server.process.pid, *children_of(server.process.pid)]
    return sum(map(cpu_ms, processes)) / 1000


def late(trading_s: list[float]) -> float:
    """What one in a hundred exceeds."""
    return statistics.quantiles(trading_s, n=100)[-1]
