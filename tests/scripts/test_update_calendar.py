"""A calendar file of NSE's own list of holidays.

The answer has the shape of `/api/holiday-master?type=trading` as the libraries jugaad-data and
nse read it in 2026; the holidays of 2027 in it are made up.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from lab.holidays import BASE_VARIABLE, NoCalendar, calendar_of, fetch, update
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.calendar_file import read_rows, shipped_rows

SCRIPT = Path(__file__).parents[2] / "scripts" / "update_calendar.py"
ANSWER = (Path(__file__).parent / "nse_holiday_master.json").read_bytes()


@asynccontextmanager
async def nse(answer: bytes = ANSWER, status: int = 200) -> AsyncIterator[str]:
    """NSE's address: its API answers only to a browser that was on one of its pages before."""

    async def page(_: web.Request) -> web.Response:
        response = web.Response(text="<html>", status=403)
        response.set_cookie("nsit", "x")
        response.headers["X-Long"] = "x" * 9000
        return response

    async def holidays(request: web.Request) -> web.Response:
        came_by = "nsit" in request.cookies and "Mozilla" in request.headers["User-Agent"]
        if not came_by or request.query.get("type") != "trading":
            return web.Response(status=403)
        return web.Response(body=answer, status=status, content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/option-chain", page), web.get("/api/holiday-master", holidays)])
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def run(path: Path, base: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, path, env={BASE_VARIABLE: base},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_the_file_makes_the_server_know_another_year(tmp_path: Path) -> None:
    path = tmp_path / "calendar.json"
    async with nse() as base:
        code, output = await run(path, base)
    assert code == 0, output
    assert "5 holidays of 2027" in output
    calendar = Calendar.shipped(path.read_bytes())
    assert calendar.knows(date(2027, 6, 1))
    assert not calendar.is_trading_day(date(2027, 1, 26))
    assert [each.segment for each in calendar.sessions(date(2027, 3, 22))] == ["FNO"]
    assert calendar.is_trading_day(date(2026, 2, 1))
    assert all(row.source.startswith("NSE's holiday-master") for row in calendar.holidays[16:])


async def test_an_answer_that_was_saved_does_as_well(tmp_path: Path) -> None:
    (tmp_path / "saved.json").write_bytes(ANSWER)
    said = update(tmp_path / "calendar.json", tmp_path / "saved.json")
    assert "5 holidays of 2027" in said


def test_what_stood_in_the_file_and_is_not_told_anew_stays(tmp_path: Path) -> None:
    path, saved = tmp_path / "calendar.json", tmp_path / "saved.json"
    saved.write_bytes(ANSWER)
    budget = {"date": "2027-01-30", "name": "Budget", "open": "10:00", "close": "11:00"}
    hours = {"from": "2027-02-01", "segment": "EQ", "open": "09:00", "close": "17:00"}
    by_hand = {
        "years": [2027, 2028],
        "holidays": [{"date": "2027-05-05", "name": "x"}, {"date": "2028-01-26", "name": "y"}],
        "special": [budget],
        "sessions": [hours],
    }
    path.write_text(json.dumps(by_hand))
    update(path, saved)
    rows = read_rows(path.read_bytes())
    days = [row.date for row in rows.holidays]
    assert date(2027, 5, 5) not in days
    assert {date(2028, 1, 26), date(2027, 1, 26)} <= set(days)
    assert [row.name for row in rows.special] == ["Budget"]
    assert [row.close for row in rows.sessions] == ["17:00"]
    first = path.read_bytes()
    update(path, saved)
    assert path.read_bytes() == first


def test_special_sessions_that_are_built_in_stay_with_their_year() -> None:
    answer = {"CM": [{"tradingDate": "26-Jan-2026", "description": "Republic Day"}]}
    rows = calendar_of(json.dumps(answer).encode(), "x", shipped_rows())
    assert [row.date.isoformat() for row in rows.special] == ["2026-02-01", "2026-11-08"]
    assert rows.holidays[0].segments == ()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>Access Denied</html>",
        b"{}",
        b'{"CM":[]}',
        b'{"CM":[{"tradingDate":"2027-01-26"}]}',
        b'{"CM":[{"weekDay":"Monday"}]}',
        ANSWER[:200],
    ],
)
def test_what_is_no_list_of_holidays_leaves_the_file_alone(answer: bytes, tmp_path: Path) -> None:
    path, saved = tmp_path / "calendar.json", tmp_path / "saved.json"
    saved.write_bytes(answer)
    with pytest.raises(NoCalendar, match="NSE's answer"):
        update(path, saved)
    assert not path.exists()


async def test_a_refusal_says_how_to_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    async with nse(status=403) as base:
        monkeypatch.setenv(BASE_VARIABLE, base)
        with pytest.raises(NoCalendar, match=r"answers 403.*in a browser.*--answer"):
            await fetch()
    with pytest.raises(NoCalendar, match=r"cannot be asked.*--answer"):
        await fetch()


async def test_a_file_that_is_wrong_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "calendar.json"
    path.write_text('{"years": [2027]}')
    words: Any = "holidays: is missing.*fix it or move it away"
    with pytest.raises(NoCalendar, match=words):
        update(path, None)
    assert path.read_text() == '{"years": [2027]}'
