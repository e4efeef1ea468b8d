"""The REST calls of the Python client: exact numbers, one exception, nothing done twice."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.kit.proxy import proxy_before
from tests.kit.rest import Rest
from tests.kit.waiting import until
from vyomo_rt_client import Api, ApiError

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def api(server: Rest) -> AsyncIterator[Api]:
    async with Api(server.url) as api:
        yield api


async def test_a_trade_is_made_shown_listed_and_closed_with_exact_numbers(api: Api) -> None:
    session = await api.create_session(Decimal("50000.10"), name="Exact")
    session_id = session["sessionId"]
    assert repr(session["startingCapital"]) == "Decimal('50000.1')"
    assert (session["name"], session["totalTrades"]) == ("Exact", 0)
    trade = await api.open_trade(
        session_id, "BANKNIFTY", 3, entry_price=Decimal("0.1"), stop_loss=Decimal("0.0999"),
        target=7,
    )  # fmt: skip
    trade_id = trade["tradeId"]
    assert [repr(trade[name]) for name in ("entryPrice", "stopLoss", "target", "quantity")] == [
        "Decimal('0.1')", "Decimal('0.0999')", "Decimal('7')", "3",
    ]  # fmt: skip
    assert await api.show_trade(trade_id) == trade
    page = await api.list_trades(session_id, status="OPEN", limit=1)
    assert (page["trades"], page["next"]) == ([trade], None)
    closed = await api.close_trade(trade_id, price=Decimal("0.3"))
    assert repr(closed["pnl"]) == "Decimal('0.6')"
    events = await api.list_events(session_id, since=1)
    assert [(event["seq"], event["data"]["pnl"]) for event in events["events"]][-1] == (
        events["seq"], Decimal("0.6"),
    )  # fmt: skip
    shown = await api.show_session(session_id)
    assert shown["currentCapital"] == Decimal("50000.7")
    changed = await api.change_session(session_id, status="STOPPED")
    assert changed["status"] == "STOPPED"
    assert session_id in [listed["sessionId"] for listed in await api.list_sessions()]


async def test_a_trade_is_guarded_closed_in_part_and_everything_is_closed_at_once(api: Api) -> None:
    session_id = (await api.create_session(50000))["sessionId"]
    await api.push_ticks([{"symbol": "GUARD", "price": 100}])
    trade = await api.open_trade(session_id, "GUARD", 50, trailing_stop=5, stop_loss=90, note="why")
    assert (trade["stopLoss"], trade["trailingStop"]) == (95, 5)
    changed = await api.change_trade(trade["tradeId"], stop_loss=Decimal("96.5"), note=None)
    assert (repr(changed["stopLoss"]), changed["note"]) == ("Decimal('96.5')", None)
    assert changed["trailingStop"] == 5, "what is left out stays"
    part = await api.close_trade(trade["tradeId"], quantity=20, price=Decimal("101.5"))
    assert (part["status"], part["quantity"], part["realizedPnL"]) == ("OPEN", 30, 30)
    answer = await api.close_all(session_id, reason="enough")
    assert answer == {"closed": [trade["tradeId"]], "failed": []}
    assert (await api.show_session(session_id))["statusReason"] == "KILL"
    halted = (await api.halt(reason="for today"))["sessions"]
    assert session_id in [one["sessionId"] for one in halted]


async def test_an_order_waits_is_changed_listed_and_cancelled(api: Api) -> None:
    session_id = (await api.create_session(50000))["sessionId"]
    await api.push_ticks([{"symbol": "WAIT", "price": 100}])
    placed = await api.place_order(session_id, "WAIT", 5, order_type="LIMIT", price=90, target=120)
    order = placed["order"]
    changed = await api.change_order(order["orderId"], price=Decimal("91.5"), target=None)
    assert (repr(changed["order"]["price"]), changed["order"]["target"]) == (
        "Decimal('91.5')", None,
    )  # fmt: skip
    page = await api.list_orders(session_id, status="PENDING")
    assert (page["orders"], page["next"]) == ([changed["order"]], None)
    filled = await api.place_order(session_id, "WAIT", 5, order_type="STOP", price=99, side="BUY")
    assert filled["trade"]["orderId"] == filled["order"]["orderId"]
    ended = await api.cancel_order(order["orderId"])
    assert ended["order"]["status"] == "CANCELLED"
    with pytest.raises(ApiError) as refused:
        await api.cancel_order(order["orderId"])
    assert refused.value.problem["order"]["status"] == "CANCELLED"


async def test_trades_are_found_by_what_they_are_and_exported(api: Api) -> None:
    session_id = (await api.create_session(50000))["sessionId"]
    for symbol, tags in (("A", ["early"]), ("B", ["early", "gap"]), ("B", [])):
        await api.open_trade(session_id, symbol, 1, entry_price=1, tags=tags, note="=why")
    found = await api.list_trades(session_id, symbol="B", tag="early", from_date="2020-01-01")
    assert [trade["tags"] for trade in found["trades"]] == [["early", "gap"]]
    rows = list(csv.DictReader(StringIO(await api.export_trades(session_id, tag="early"))))
    assert [(row["symbol"], row["tags"], row["note"]) for row in rows] == [
        ("B", "early gap", "'=why"), ("A", "early", "'=why"),
    ]  # fmt: skip
    with pytest.raises(ApiError) as refused:
        await api.export_trades(session_id, side="sideways")
    assert (refused.value.code, refused.value.field) == ("bad_request", "side")


async def test_a_report_says_what_was_earned(api: Api) -> None:
    session_id = (await api.create_session(50000))["sessionId"]
    trade = await api.open_trade(session_id, "A", 1, entry_price=1)
    await api.close_trade(trade["tradeId"], price=Decimal("1.5"))
    report = await api.show_report(
        session_id, by="symbol", from_date="2020-01-01", to_date=date(2100, 1, 1), net=True
    )
    (row,) = report["rows"]
    assert (row["key"], row["trades"], repr(row["pnl"])) == ("A", 1, "Decimal('0.5')")
    assert report["total"]["winRate"] == 100
    assert await api.show_curve(session_id, from_date=date(2100, 1, 1)) == []


async def test_prices_are_pushed_and_listed(api: Api) -> None:
    answer = await api.push_ticks(
        [{"symbol": "USDINR", "price": Decimal("83.4025")}, {"symbol": "?", "price": 1}]
    )
    assert (answer["accepted"], answer["rejected"][0]["index"]) == (1, 1)
    (price,) = await api.list_prices(["usdinr"])
    assert repr(price["price"]) == "Decimal('83.4025')"
    assert "USDINR" in [price["symbol"] for price in await api.list_prices()]


async def test_a_refusal_is_one_exception_with_all_that_the_server_says(api: Api) -> None:
    with pytest.raises(ApiError, match="session 987654 not found") as missing:
        await api.show_session(987654)
    assert (missing.value.status, missing.value.code) == (404, "not_found")
    session = await api.create_session(1000)
    with pytest.raises(ApiError, match="quantity") as wrong:
        await api.open_trade(session["sessionId"], "A", -1)
    assert (wrong.value.status, wrong.value.code) == (400, "bad_request")
    trade = await api.open_trade(session["sessionId"], "A", 1, entry_price=1)
    await api.close_trade(trade["tradeId"], price=2)
    with pytest.raises(ApiError) as again:
        await api.close_trade(trade["tradeId"], price=2)
    assert again.value.status == 409
    assert again.value.problem["trade"]["pnl"] == Decimal(1)


async def test_a_key_of_ones_own_makes_one_trade(api: Api) -> None:
    session_id = (await api.create_session(1000))["sessionId"]
    one, other = [
        await api.open_trade(session_id, "A", 1, entry_price=1, idempotency_key="mine")
        for _ in range(2)
    ]
    assert one == other
    assert (await api.show_session(session_id))["totalTrades"] == 1


async def test_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice(server: Rest) -> None:
    session_id = await server.new_session()
    async with proxy_before(server.url) as proxy, Api(proxy.url) as api:
        cuts = iter([0, 30])
        proxy.most_bytes = lambda: next(cuts, 1 << 60)
        trade = await api.open_trade(session_id, "A", 1, entry_price=1)
        assert len(proxy.requests) == 3
        _, session = await server.call("GET", f"/sessions/{session_id}")
        assert session["totalTrades"] == 1
        assert (await api.show_trade(trade["tradeId"])) == trade


@asynccontextmanager
async def refusing(*answers: web.Response) -> AsyncIterator[tuple[str, list[str | None]]]:
    """A server with these answers, the last one for ever, and the keys of the requests it got."""
    keys: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        keys.append(request.headers.get("Idempotency-Key"))
        answer = answers[min(len(keys), len(answers)) - 1]
        return web.Response(body=answer.body, status=answer.status, headers=answer.headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("")), keys


def away(retry_after: str = "0") -> web.Response:
    problem = {"status": 503, "code": "unavailable", "detail": "the store is away", "field": "x"}
    headers = {"Retry-After": retry_after}
    return web.json_response(
        problem, status=503, headers=headers, content_type="application/problem+json"
    )


async def test_what_is_refused_for_now_is_repeated_with_the_same_key() -> None:
    done = web.json_response({"tradeId": 1})
    async with refusing(away(), away(), done) as (url, keys), Api(url) as api:
        assert await api.open_trade(6, "A", 1) == {"tradeId": 1}
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert keys[0]


@pytest.mark.parametrize(
    ("call", "times"),
    [
        (lambda api: api.push_ticks([]), 1),
        (lambda api: api.call("POST", "somewhere"), 1),
        (lambda api: api.show_session(6), 2),
        (lambda api: api.change_session(6, status="PAUSED"), 2),
    ],
    ids=["ticks", "a POST without a key", "a question", "a change"],
)
async def test_only_what_can_be_repeated_safely_is(call: Callable[[Api], Any], times: int) -> None:
    async with refusing(away(), web.json_response({})) as (url, keys), Api(url) as api:
        if times == 1:
            with pytest.raises(ApiError, match="the store is away") as raised:
                await call(api)
            error = raised.value
            assert (error.status, error.code, error.field) == (503, "unavailable", "x")
            assert error.retry_after_s == 0
        else:
            await call(api)
        assert len(keys) == times


async def test_it_gives_up_when_the_server_wants_to_be_left_alone_for_longer() -> None:
    async with refusing(away("60")) as (url, keys), Api(url, timeout_s=5) as api:
        with pytest.raises(ApiError) as raised:
            await api.close_trade(1, idempotency_key="mine")
        assert (raised.value.retry_after_s, raised.value.idempotency_key) == (60, "mine")
        assert len(keys) == 1


async def test_what_is_no_server_is_named(unused_tcp_port: int) -> None:
    async with Api(f"http://127.0.0.1:{unused_tcp_port}", timeout_s=0) as api:
        with pytest.raises(ApiError, match=f"no server answers at 127.0.0.1:{unused_tcp_port}"):
            await api.list_sessions()
    page = web.Response(text="<html>", content_type="text/html")
    async with refusing(page) as (url, _), Api(url) as api:
        with pytest.raises(ApiError, match="HTTP 200 OK with text/html: is this a vyomo-rt server"):
            await api.list_sessions()
    with pytest.raises(ValueError, match="url: expected an address like"):
        Api("localhost:4025")


async def test_a_session_of_the_programs_own_stays_open(server: Rest) -> None:
    async with aiohttp.ClientSession() as http:
        async with Api(server.url, session=http) as api:
            await api.list_sessions()
        assert not http.closed


async def test_calls_share_a_full_aiohttp_session_in_turn(server: Rest) -> None:
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as http:
        api = Api(server.url, session=http)
        answers = await asyncio.gather(*(api.list_prices() for _ in range(5)))
        assert len(answers) == 5
        await until(lambda: not connector._acquired)


async def test_bars_are_asked_for_by_moments_and_have_exact_prices(api: Api, server: Rest) -> None:
    session = await api.create_session(50_000)
    await api.push_ticks([{"symbol": "BARRED", "price": 100}])
    await api.open_trade(session["sessionId"], "BARRED", 1)
    await api.push_ticks([{"symbol": "BARRED", "price": 101}])
    page = await api.list_bars("BARRED", "1d")
    (bar,) = page["bars"]
    assert (bar["open"], type(bar["open"]), page["next"]) == (101, Decimal, None)
    start = datetime.fromisoformat(bar["start"])
    assert await api.list_bars("BARRED", "1d", from_moment=start, to_moment=start) == page
    later = start + timedelta(days=1)
    assert (await api.list_bars("BARRED", "1m", from_moment=later, limit=5))["bars"] == []


async def test_the_market_and_its_instruments_are_asked_for(api: Api) -> None:
    market = await api.show_market()
    assert market["marketState"] in {"OPEN", "CLOSED", "PREOPEN", "AUCTION"}
    (named,) = await api.list_instruments(["nifty"])
    assert (named["lot"], named["tick"]) == (65, Decimal("0.01"))
    assert "BANKNIFTY" in [each["symbol"] for each in await api.list_instruments(search="bank")]
