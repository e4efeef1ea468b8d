"""Curves of P&L by REST."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from tests.web.calls import Clock, refused
from vyomo_rt.domain.moment import iso

MINUTE_MS = 60_000


async def curve(rest: Rest, session_id: int, query: str = "") -> list[dict[str, Any]]:
    status, document = await rest.call("GET", f"/sessions/{session_id}/curve{query}")
    assert status == 200, document
    assert document.keys() == {"rows"}
    rows: list[dict[str, Any]] = document["rows"]
    return rows


async def next_minute(rest: Rest, clock: Clock, session_id: int) -> str:
    """Another minute begins; returns its moment once the session has a row of it."""
    clock.now_ms += MINUTE_MS
    at = iso(clock.now_ms // MINUTE_MS * MINUTE_MS)

    async def has_row() -> bool:
        rows = await curve(rest, session_id)
        return bool(rows) and rows[-1]["at"] == at

    await until(has_row)
    return at


async def test_a_curve_has_a_row_a_minute_and_a_restart_is_a_gap(
    make_settings: MakeSettings, clock: Clock
) -> None:
    settings = make_settings()
    async with serve_here(settings, now=clock) as rest:
        session_id = await rest.new_session()
        await rest.open_trade(session_id)
        await rest.tick("BANKNIFTY", 196.3)
        one = await next_minute(rest, clock, session_id)
        two = await next_minute(rest, clock, session_id)
        open_ = {"realizedPnL": 0, "unrealizedPnL": 52.5, "netPnl": 52.5}
        assert (await curve(rest, session_id))[-2:] == [open_ | {"at": one}, open_ | {"at": two}]
    clock.now_ms += 10 * MINUTE_MS
    restarted = iso(clock.now_ms // MINUTE_MS * MINUTE_MS)
    async with serve_here(settings, now=clock) as rest:
        await rest.tick("BANKNIFTY", 196.3)
        await rest.close_trade(1, 196.3)
        later = await next_minute(rest, clock, session_id)
        closed = {"at": later, "realizedPnL": 52.5, "unrealizedPnL": 0, "netPnl": 52.5}
        found = await curve(rest, session_id, f"?from={one}")
        assert found[:2] == [open_ | {"at": one}, open_ | {"at": two}]
        assert found[-1] == closed
        assert not [row for row in found if two < row["at"] < restarted]
        # A date is one in Asia/Kolkata; a moment is exact.
        assert await curve(rest, session_id, f"?from=2026-11-22&to={two}") == (
            await curve(rest, session_id, f"?to={two}")
        )
        assert await curve(rest, session_id, f"?from={later}&to=2026-11-22") == [closed]
        assert await curve(rest, session_id, "?from=2026-11-23") == []
        zoned = "2026-11-22T00:00:00+05:30"
        assert await curve(rest, session_id, f"?to={zoned}") == []
        assert await curve(rest, session_id, f"?from={clock.now_ms - MINUTE_MS}") == [closed]


async def test_a_session_that_has_just_been_made_has_an_empty_curve(
    make_settings: MakeSettings, clock: Clock
) -> None:
    async with serve_here(make_settings(), now=clock) as rest:
        # The rows of this minute are taken: a server that has just started has it before it.
        await next_minute(rest, clock, await rest.new_session())
        assert await curve(rest, await rest.new_session()) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("to=2026-11-31", "to"),
        ("from=2026-11-22T10:00:00", "from"),
        ("to=1795341600", "to"),
        ("minutes=5", "minutes"),
    ],
)
async def test_a_wrong_parameter_of_a_curve_is_named(
    shared_server: Rest, query: str, field: str
) -> None:
    session_id = await shared_server.new_session()
    problem = await refused(shared_server, 400, "GET", f"/sessions/{session_id}/curve?{query}")
    assert (problem["code"], problem["field"]) == ("bad_request", field)
    assert "a date such as" in problem["detail"] or field == "minutes"


async def test_a_session_that_there_is_not_has_no_curve(server: Rest) -> None:
    problem = await refused(server, 404, "GET", "/sessions/99/curve")
    assert problem["field"] == "sessionId"
