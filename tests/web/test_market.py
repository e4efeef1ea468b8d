"""GET /market and GET /instruments: sessions of the present date, and what is known of symbols."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from tests.web.calls import refused
from vyomo_rt.domain.moment import to_ms


class Clock:
    """The server's clock, set by a moment in Kolkata."""

    def __init__(self) -> None:
        self.set("2026-11-26 12:00")

    def set(self, ist: str) -> None:
        self.now_ms = to_ms(datetime.fromisoformat(f"{ist}+05:30"))

    def __call__(self) -> int:
        return self.now_ms


async def market(rest: Rest) -> dict[str, Any]:
    status, document = await rest.call("GET", "/market")
    assert status == 200
    return document


async def test_the_market_is_shown_as_of_the_market_clock(make_settings: MakeSettings) -> None:
    clock = Clock()
    async with serve_here(make_settings(calendar=None), clock) as rest:
        shown = await market(rest)
        assert shown["date"] == "2026-11-26"
        assert shown["marketState"] == "OPEN"
        assert {each["segment"]: each["close"] for each in shown["sessions"]} == {
            "EQ_FNO": "2026-11-26T15:15:00+05:30",
            "EQ": "2026-11-26T15:30:00+05:30",
            "FNO": "2026-11-26T15:40:00+05:30",
            "INDEX": "2026-11-26T15:15:00+05:30",
        }
        assert {each["open"] for each in shown["sessions"]} == {"2026-11-26T09:15:00+05:30"}
        assert len(shown["holidays"]) == 16
        assert {"date": "2026-12-25", "name": "Christmas"} in shown["holidays"]
        assert "warning" not in shown
        for moment, state in (
            ("2026-11-26 09:05", "PREOPEN"),
            ("2026-11-26 15:20", "AUCTION"),
            ("2026-11-26 15:35", "CLOSED"),
            ("2026-11-08 18:30", "OPEN"),
        ):
            clock.set(moment)
            assert (await market(rest))["marketState"] == state


async def test_a_closed_day_has_no_sessions_and_begins_at_midnight_in_kolkata(
    make_settings: MakeSettings,
) -> None:
    clock = Clock()
    async with serve_here(make_settings(calendar=None), clock) as rest:
        for moment, day in (
            ("2026-11-24 11:00", "2026-11-24"),
            ("2026-11-28 00:00", "2026-11-28"),
            ("2026-11-29 23:59:59", "2026-11-29"),
        ):
            clock.set(moment)
            shown = await market(rest)
            assert (shown["date"], shown["sessions"], shown["marketState"]) == (day, [], "CLOSED")
        clock.set("2026-11-30 00:00")
        assert len((await market(rest))["sessions"]) == 4


async def test_the_end_of_the_calendar_is_told_in_the_answer_and_once_a_day_in_the_log(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if "calendar" in record.message]

    clock = Clock()
    clock.set("2026-12-31 12:00")
    async with serve_here(make_settings(calendar=None), clock) as rest:
        assert (await market(rest))["warning"].startswith("the calendar ends on 2026-12-31")
        await until(told)
        await asyncio.sleep(0.3)
        assert len(told()) == 1
        clock.set("2027-01-01 12:00")
        shown = await market(rest)
        assert shown["warning"].startswith("the calendar does not know 2027")
        assert len(shown["sessions"]) == 4
        await until(lambda: told()[1:])


async def test_instruments_are_listed_as_asked(make_settings: MakeSettings) -> None:
    clock = Clock()
    async with serve_here(make_settings(calendar=None), clock) as rest:
        await rest.tick("RELIANCE", 1300)
        await rest.tick("SOMETHING", 1300)
        status, answer = await rest.call(
            "GET", "/instruments?symbols=nifty,RELIANCE,SMALLCAP,NIFTY26DEC24000CE,NIFTY"
        )
        assert status == 200
        assert answer["instruments"] == [
            {"symbol": "NIFTY", "segment": "INDEX", "lot": 65, "tick": 0.01},
            {"symbol": "RELIANCE", "segment": "EQ_FNO", "lot": 1, "tick": 0.1},
            {"symbol": "SMALLCAP", "segment": "EQ", "lot": 1, "tick": None},
            {
                "symbol": "NIFTY26DEC24000CE",
                "segment": "FNO",
                "lot": 65,
                "tick": 0.05,
                "expiry": "2026-12-29",
            },
        ]
        _, answer = await rest.call("GET", "/instruments?q=nifty")
        found = [each["symbol"] for each in answer["instruments"]]
        assert found == ["NIFTY", "NIFTYNXT50", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY"]
        _, answer = await rest.call("GET", "/instruments?q=ometh")
        assert [each["symbol"] for each in answer["instruments"]] == ["SOMETHING"]
        _, answer = await rest.call("GET", "/instruments?symbols=TCS,INFY&q=%20in")
        assert [each["symbol"] for each in answer["instruments"]] == ["INFY"]
        _, everything = await rest.call("GET", "/instruments")
        listed = [each["symbol"] for each in everything["instruments"]]
        assert {"NIFTY", "SOMETHING", "TCS"} <= set(listed)
        assert listed == sorted(listed)
        await rest.call("POST", "/ticks", [{"symbol": f"X{n}", "price": 1} for n in range(500)])
        _, answer = await rest.call("GET", "/instruments")
        assert len(answer["instruments"]) == 500
        problem = await refused(rest, 400, "GET", "/instruments?symbols=%3F")
        assert "'?' is not valid" in problem["detail"]


async def test_a_calendar_in_the_data_folder_counts_and_a_named_one_before_it(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    clock = Clock()
    clock.set("2027-01-26 12:00")
    path = tmp_path / "named.json"
    row = {"date": "2027-01-26", "name": "Republic Day"}
    path.write_text(json.dumps({"years": [2027], "holidays": [row]}))
    (tmp_path / "calendar.json").write_text(json.dumps({"years": [2027], "holidays": []}))
    for settings, sessions in (
        (make_settings(data_dir=tmp_path, calendar=None), 4),
        (make_settings(data_dir=tmp_path, calendar=path), 0),
    ):
        async with serve_here(settings, clock) as rest:
            shown = await market(rest)
            assert "warning" not in shown
            assert len(shown["sessions"]) == sessions
