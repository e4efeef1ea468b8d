"""Reports of sessions by REST."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.web.calls import Clock, refused
from vyomo_rt.store.client import connect, database_of, where
from vyomo_rt.store.journal import MongoStore
from vyomo_rt.store.verification import verify

DAY_MS = 86_400_000
_SUMS = ("trades", "wins", "losses", "pnl", "charges", "netPnl", "maxDrawdown")
_RATIOS = ("winRate", "profitFactor", "averageWin", "averageLoss", "best", "worst")
NOTHING = dict.fromkeys(_SUMS, 0) | dict.fromkeys(_RATIOS)


async def report(rest: Rest, session_id: int, query: str = "") -> Any:
    status, document = await rest.call("GET", f"/sessions/{session_id}/report{query}")
    assert status == 200, document
    assert document.keys() == {"rows", "total"}
    return document


async def trade(rest: Rest, session_id: int, pnl: float, **order: Any) -> None:
    """Open a trade of one at 100, and close it with this P&L."""
    opened = await rest.open_trade(session_id, quantity=1, entryPrice=100, **order)
    await rest.close_trade(opened["tradeId"], 100 + pnl)


@pytest.fixture
async def traded(timed: Rest, clock: Clock) -> int:
    """A session with trades on two days: 30, −10, −5.01; then 20, of which half a day later."""
    session_id = await timed.new_session()
    await trade(timed, session_id, 30, symbol="NIFTY", tags=["gap"])
    await trade(timed, session_id, -10, symbol="NIFTY", tags=["gap", "orb"])
    await trade(timed, session_id, -5.01, symbol="TCS")
    opened = await timed.open_trade(session_id, quantity=2, entryPrice=100, symbol="TCS")
    close = f"/trades/{opened['tradeId']}/close"
    await timed.call("POST", close, {"quantity": 1, "price": 110})
    clock.now_ms += DAY_MS
    await timed.call("POST", close, {"price": 110})
    return session_id


async def test_a_report_has_the_figures_of_each_day_and_of_all(timed: Rest, traded: int) -> None:
    first = NOTHING | {"trades": 3, "wins": 1, "losses": 2, "pnl": 24.99, "netPnl": 24.99}
    first |= {"winRate": 33.33, "profitFactor": 2, "averageWin": 30, "averageLoss": -7.51}
    first |= {"best": 30, "worst": -10, "maxDrawdown": -15.01}
    second = NOTHING | {"trades": 1, "wins": 1, "pnl": 10, "netPnl": 10, "winRate": 100}
    second |= {"averageWin": 20, "best": 20, "worst": 0}
    total = first | {"trades": 4, "wins": 2, "pnl": 34.99, "netPnl": 34.99, "winRate": 50}
    total |= {"profitFactor": 3.33, "averageWin": 25}
    days = [first | {"key": "2026-11-22"}, second | {"key": "2026-11-23"}]
    found = await report(timed, traded)
    assert found == {"rows": days, "total": total}
    assert found == await report(timed, traded, "?by=day&net=false&from=2026-11-22&to=2026-11-23")
    assert (await report(timed, traded, "?to=2026-11-22"))["total"] == first
    assert (await report(timed, traded, "?from=2026-11-23"))["rows"] == days[1:]
    assert await report(timed, traded, "?from=2026-11-24") == {"rows": [], "total": NOTHING}


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("week", {"2026-W47": 24.99, "2026-W48": 10}),
        ("month", {"2026-11": 34.99}),
        ("symbol", {"NIFTY": 20, "TCS": 14.99}),
        ("tag", {"gap": 20, "orb": -10, None: 14.99}),
        ("reason", {"MANUAL": 34.99}),
        ("hour", {"15": 34.99}),
    ],
)
async def test_rows_are_of_what_was_asked_for(
    timed: Rest, traded: int, by: str, rows: dict[str | None, float]
) -> None:
    found = (await report(timed, traded, f"?by={by}"))["rows"]
    assert [(row["key"], row["pnl"]) for row in found] == list(rows.items())


async def test_what_closes_after_a_report_is_in_the_next_one(timed: Rest, traded: int) -> None:
    before = (await report(timed, traded))["total"]["trades"]
    await trade(timed, traded, 1)
    assert (await report(timed, traded))["total"]["trades"] == before + 1


async def test_a_session_without_a_closing_has_an_empty_report(server: Rest) -> None:
    session_id = await server.new_session()
    assert await report(server, session_id) == {"rows": [], "total": NOTHING}
    await server.open_trade(session_id)
    assert await report(server, session_id) == {"rows": [], "total": NOTHING}


async def test_reports_survive_a_restart_and_the_end_of_the_session(
    make_settings: MakeSettings, clock: Clock
) -> None:
    async with serve_here(make_settings(), now=clock) as rest:
        session_id = await rest.new_session()
        await trade(rest, session_id, 30)
        before = await report(rest, session_id)
        await rest.call("PATCH", f"/sessions/{session_id}", {"status": "STOPPED"})
    async with serve_here(make_settings(), now=clock) as rest:
        assert await report(rest, session_id) == before


async def test_a_report_is_made_from_the_events_and_verify_names_a_copy_that_was_altered(
    make_settings: MakeSettings,
) -> None:
    """Whoever alters the readable copy of a trade alters no report."""
    settings = make_settings()
    async with serve_here(settings) as rest:
        session_id = await rest.new_session()
        await trade(rest, session_id, 30)
        right = await report(rest, session_id)
    client = connect(str(settings.mongo_uri))
    store = MongoStore(client, f"{database_of(client)}")
    changes = {"$set": {"pnlPaise": 99_00, "exitPriceE4": 199_0000}}
    await store.database["trades"].update_one(where(_id=1), changes)
    async with serve_here(settings) as rest:
        _, altered = await rest.call("GET", "/trades/1")
        assert altered["exitPrice"] == 199, "the copy is what is shown of a closed trade"
        assert await report(rest, session_id) == right
    said: list[str] = []
    verdict = await verify(store, said.append)
    await store.close()
    assert verdict.differences == 2
    named = [line for line in said if line.strip().startswith("trade 1: ")]
    assert [line.split(": ")[1] for line in named] == ["exitPriceE4", "pnlPaise"], said


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("by=year", "by"),
        ("by=DAY", "by"),
        ("from=yesterday", "from"),
        ("to=2026-11-31", "to"),
        ("net=maybe", "net"),
        ("group=day", "group"),
    ],
)
async def test_a_wrong_parameter_of_a_report_is_named(
    shared_server: Rest, query: str, field: str
) -> None:
    session_id = await shared_server.new_session()
    problem = await refused(shared_server, 400, "GET", f"/sessions/{session_id}/report?{query}")
    assert (problem["code"], problem["field"]) == ("bad_request", field)


async def test_a_session_that_there_is_not_has_no_report(server: Rest) -> None:
    problem = await refused(server, 404, "GET", "/sessions/99/report")
    assert problem["field"] == "sessionId"
