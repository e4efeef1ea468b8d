"""``serve --demo``: everything that a dashboard shows moves within a minute."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect

from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.waiting import PATIENCE_S, until
from vyomo_rt import demo
from vyomo_rt.config import Settings
from vyomo_rt.demo import SESSION_ID

KINDS = {"price_update", "trade_opened", "trade_closed", "session_update", "pnl_update"}


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strategy acts all the time, and does not wait for prices to go far."""
    monkeypatch.setattr(demo, "_STEP_S", 0.05)
    monkeypatch.setattr(demo, "_MAX_AGE_MS", 1500)


@pytest.fixture
async def demo_server(make_settings: MakeSettings, _hurried: None) -> AsyncIterator[Rest]:
    settings = make_settings(demo=True, feed=("sim",))
    async with serve_here(settings) as rest:
        yield rest


async def test_every_kind_of_stream_message_appears(demo_server: Rest) -> None:
    seen: set[str] = set()
    async with connect(f"ws{demo_server.url[4:]}/ws/auto-trader") as websocket:
        for command in (
            {"type": "subscribe_session", "sessionId": SESSION_ID, "updateInterval": 100},
            {"type": "subscribe_prices", "symbols": ["NIFTY", "BANKNIFTY"], "priceInterval": 100},
        ):
            await websocket.send(json.dumps(command))
        async with asyncio.timeout(PATIENCE_S):
            while not seen >= KINDS:
                seen.add(json.loads(await websocket.recv())["type"])
    assert "error" not in seen


async def test_the_demo_has_session_6_with_50000_and_says_what_it_is(demo_server: Rest) -> None:
    status, session = await demo_server.call("GET", "/sessions/6")
    assert (status, session["name"], session["startingCapital"]) == (200, "Demo", 50_000)
    async with demo_server.http.get(f"{demo_server.url}/") as response:
        assert "demo" in (await response.text()).lower()
    assert await demo_server.new_session() == 7


async def closed_by_the_demo(rest: Rest, session_id: int = SESSION_ID) -> list[int]:
    """The trades that were closed, newest first."""
    _, listed = await rest.call("GET", f"/sessions/{session_id}/trades?status=CLOSED&limit=500")
    return [trade["tradeId"] for trade in listed["trades"]]


async def test_a_visitors_trades_are_left_alone_also_those_that_look_like_the_demos(
    demo_server: Rest,
) -> None:
    visitors = {
        (await demo_server.open_trade(6, symbol=idea.symbol, quantity=idea.quantity,
                                      side=idea.side, entryPrice=None))["tradeId"]
        for idea in demo._IDEAS
    }  # fmt: skip

    async def has_closed_its_own() -> bool:
        return len(await closed_by_the_demo(demo_server)) >= len(demo._IDEAS)

    await until(has_closed_its_own)
    _, listed = await demo_server.call("GET", "/sessions/6/trades?status=OPEN&limit=500")
    assert visitors <= {trade["tradeId"] for trade in listed["trades"]}


async def test_after_a_restart_it_closes_what_it_opened_before_and_nothing_else(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(demo=True, feed=("sim",))
    ideas = [idea for idea in demo._IDEAS if idea.away_e4 is None]
    monkeypatch.setattr(demo, "_IDEAS", ideas)  # no price closes these
    monkeypatch.setattr(demo, "_STEP_S", 0.05)
    async with serve_here(settings) as rest:
        visitors = (await rest.open_trade(6, symbol="RELIANCE", quantity=50))["tradeId"]

        async def has_opened() -> bool:
            _, session = await rest.call("GET", "/sessions/6")
            return bool(session["openTrades"] > demo._MAX_OPEN)

        await until(has_opened)
    monkeypatch.setattr(demo, "_MAX_AGE_MS", 0)
    async with serve_here(settings) as rest:

        async def has_closed() -> bool:
            return {1, 2, 3, 4, 5, 6} - {visitors} <= {*await closed_by_the_demo(rest)}

        await until(has_closed)
        assert (await rest.call("GET", f"/trades/{visitors}"))[1]["status"] == "OPEN"


@pytest.mark.usefixtures("_hurried")
async def test_when_a_visitor_stops_its_session_it_goes_on_in_another_and_says_so(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(demo=True, feed=("sim",))
    caplog.set_level(logging.INFO)
    async with serve_here(settings) as rest:
        assert (await rest.call("PATCH", "/sessions/6", {"status": "HALTED"}))[0] == 200

        async def nothing_is_open() -> bool:
            _, session = await rest.call("GET", "/sessions/6")
            return bool(session["openTrades"] == 0)

        await until(nothing_is_open)  # the demo closes its own, and may open none
        assert (await rest.call("PATCH", "/sessions/6", {"status": "STOPPED"}))[0] == 200

        async def goes_on() -> bool:
            status, session = await rest.call("GET", "/sessions/7")
            return status == 200 and bool(session["totalTrades"])

        await until(goes_on)
    said = "session 6 is STOPPED: the demo trades session 7"
    assert caplog.messages.count(said) == 1
    async with serve_here(settings) as rest:
        async with rest.http.get(f"{rest.url}/") as response:
            assert 'data-demo="7"' in await response.text()
        _, listed = await rest.call("GET", "/sessions")
        assert [each["sessionId"] for each in listed["sessions"]] == [6, 7]
    assert caplog.messages.count(said) == 2


async def test_the_greeting_names_the_session(server_process: MakeServer) -> None:
    server = server_process("--demo")
    await server.start()
    assert "(DEMO, simulated prices, session 6)" in "".join(server.output)


async def test_the_data_of_the_demo_are_invisible_without_it(make_settings: MakeSettings) -> None:
    def settings(*, is_demo: bool) -> Settings:
        feed = ("sim",) if is_demo else ("ingest",)
        return make_settings(demo=is_demo, feed=feed)

    async with serve_here(settings(is_demo=True)) as rest:
        await rest.open_trade(6, symbol="NIFTY", entryPrice=100)
    async with serve_here(settings(is_demo=False)) as rest:
        assert await rest.call("GET", "/sessions") == (200, {"sessions": [], "next": None})
        assert (await rest.call("GET", "/trades/1"))[0] == 404
        assert await rest.call("GET", "/prices") == (200, {"prices": []})
        session_id = await rest.new_session(123)
    async with serve_here(settings(is_demo=True)) as rest:
        _, listed = await rest.call("GET", "/sessions")
        assert [each["sessionId"] for each in listed["sessions"]] == [6]
        assert session_id == 1
