"""How a replay is started, watched, paused and sped up; which database it has."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import structs

from lab.site.machine import children_of
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.streams import Stream, web_socket
from tests.kit.waiting import until
from tests.replay.days import BEGIN_MS, busy_day, call, events, over, played, tick, write
from vyomo_rt import config
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import iso
from vyomo_rt.replay.clock import ReplayClock
from vyomo_rt.store.client import connect, where

MINUTE_MS = 60_000


@pytest.fixture
def quiet_day(tmp_path: Path) -> Path:
    """A tick a minute, for an hour from 09:15 on."""
    lines = [tick(minute * MINUTE_MS, 100 + minute) for minute in range(61)]
    session = call(0, "POST /sessions", {"startingCapital": 50000})
    return write(tmp_path / "day.ndjson", [session, *lines])


async def state(rest: Rest, **change: Any) -> dict[str, Any]:
    status, answer = await rest.call("PATCH", "/replay", change)
    assert status == 200, answer
    return answer


async def test_clients_are_told_the_markets_time_and_rate_each_second(
    make_settings: MakeSettings, quiet_day: Path
) -> None:
    settings = make_settings(feed=(f"replay:{quiet_day}",), speed="60")
    async with serve_here(settings) as rest, web_socket(rest.url) as ws:
        await ws.ask("subscribe_prices", symbols=["NIFTY"])
        first = (await ws.next("feed_status"))["data"]
        assert (first["source"], first["rate"], first["paused"]) == ("replay", 60, False)
        assert first["marketTime"] >= iso(BEGIN_MS)
        while (later := (await ws.next("feed_status"))["data"])["marketTime"] <= first[
            "marketTime"
        ]:
            pass
        # A message is sent at the world's time.
        assert later["timestamp"] != later["marketTime"]


async def test_a_replay_is_paused_and_sped_up_while_it_goes_on(
    make_settings: MakeSettings, quiet_day: Path
) -> None:
    settings = make_settings(feed=(f"replay:{quiet_day}",), speed="1")
    async with serve_here(settings) as rest, web_socket(rest.url) as ws:
        paused = await state(rest, paused=True)
        assert (paused["rate"], paused["paused"], paused["over"]) == (1, True, False)
        await ws.ask("subscribe_prices", symbols=["NIFTY"])
        assert (await ws.next("feed_status"))["data"]["paused"] is True
        assert (await state(rest, rate=0.5))["marketTime"] == paused["marketTime"]
        assert (await state(rest, paused=False))["rate"] == 0.5
        await until(lambda: moves_on(rest, paused["marketTime"]))
        assert (await state(rest, rate="max"))["rate"] == "max"
        assert (await over(rest))["marketTime"] == iso(BEGIN_MS + 60 * MINUTE_MS)
        # It stays up, and its clock stands.
        said = await until(lambda: last_word(ws))
        assert said == "the record is over: the market's clock stands at 2026-11-26T04:45:00.000Z"
        _, answer = await rest.call("GET", "/prices")
        assert [(price["price"], price["stale"]) for price in answer["prices"]] == [(160, False)]
        assert (await state(rest, rate=10))["over"] is True


async def moves_on(rest: Rest, from_time: str) -> bool:
    return bool((await state(rest))["marketTime"] > from_time)


async def last_word(ws: Stream) -> str | None:
    message = (await ws.next("feed_status"))["data"]["message"]
    return message if "over" in message else None


async def test_a_replay_from_a_time_on_has_what_was_before(
    make_settings: MakeSettings, quiet_day: Path
) -> None:
    settings = make_settings(feed=(f"replay:{quiet_day}",), speed="1", start_at="09:45")
    async with serve_here(settings) as rest:
        await until(lambda: moves_on(rest, iso(BEGIN_MS + 30 * MINUTE_MS)))
        assert (await state(rest))["marketTime"] < iso(BEGIN_MS + 31 * MINUTE_MS)
        _, answer = await rest.call("GET", "/prices")
        assert answer["prices"][0]["price"] == 130
        assert await events(rest) == {1: []}


async def test_only_a_replay_has_a_clock_to_be_set(server: Rest) -> None:
    status, answer = await server.call("PATCH", "/replay", {"paused": True})
    assert (status, answer["code"]) == (409, "conflict")
    assert "--feed replay:FILE" in answer["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": 1001}, "rate"),
        ({"rate": "fast"}, "rate"),
        ({"rate": True}, "rate"),
        ({"paused": 1}, "paused"),
        ({"speed": 1}, "speed"),
    ],
)
async def test_a_wrong_change_of_a_replay_is_named(
    server: Rest, change: dict[str, Any], field: str
) -> None:
    status, answer = await server.call("PATCH", "/replay", change)
    assert (status, answer["field"]) == (400, field)


async def test_a_rate_that_is_neither_a_number_nor_max_is_told_both(server: Rest) -> None:
    _, answer = await server.call("PATCH", "/replay", {"rate": "fast"})
    assert answer["detail"] == "rate: expected a number or max, got 'fast'"


async def test_a_replay_takes_no_ticks_from_elsewhere(
    make_settings: MakeSettings, quiet_day: Path
) -> None:
    async with serve_here(make_settings(feed=(f"replay:{quiet_day}",))) as rest:
        status, _ = await rest.call("POST", "/ticks", {"symbol": "NIFTY", "price": 1})
        assert status == 409


async def test_a_database_is_of_one_kind_for_ever(
    make_settings: MakeSettings, quiet_day: Path
) -> None:
    replayed = make_settings(feed=(f"replay:{quiet_day}",), speed="max")
    async with serve_here(replayed) as rest:
        await over(rest)
    there = structs.replace(make_settings(), mongo_uri=f"{replayed.mongo_uri}_replay")
    with pytest.raises(CannotStart, match="_replay is about the prices of a recorded day"):
        async with serve_here(there):
            pass
    async with serve_here(make_settings("real")) as rest:
        await rest.open_trade(await rest.new_session())
    simulated = structs.replace(make_settings("real"), feed=("sim",))
    async with serve_here(simulated) as rest:
        assert await events(rest) == {}  # its database has another name


async def test_a_replay_empties_no_database_of_others(
    make_settings: MakeSettings, quiet_day: Path
) -> None:
    """One of an older version says not of which kind it is."""
    real = make_settings()
    there = structs.replace(real, mongo_uri=f"{real.mongo_uri}_replay")
    async with serve_here(there) as rest:
        await rest.open_trade(await rest.new_session())
    assert there.mongo_uri is not None
    client = connect(there.mongo_uri)
    database = client.get_default_database()
    await database["meta"].delete_one(where(_id="prices"))
    with pytest.raises(CannotStart, match="holds trades, and a replay begins by emptying its own"):
        async with serve_here(make_settings(feed=(f"replay:{quiet_day}",))):
            pass
    assert await database["events"].count_documents({}) == 1
    client.close()


async def test_a_kill_in_between_and_a_store_that_hangs_change_nothing(
    server_process: MakeServer, make_settings: MakeSettings, tmp_path: Path
) -> None:
    """The market waits for the store; after a kill the day begins anew."""
    path = write(tmp_path / "day.ndjson", busy_day())
    whole = await played(make_settings, path, "whole")
    server = server_process("--feed", f"replay:{path}", "--speed", "10")
    async with aiohttp.ClientSession() as http:
        rest = Rest(await server.start(), http)
        await until(lambda: has_begun(rest))
        (store,) = children_of(server.process.pid)
        os.kill(store, signal.SIGSTOP)
        await asyncio.sleep(0.5)
        os.kill(store, signal.SIGCONT)
        await server.kill()
        again = server_process("--feed", f"replay:{path}", "--speed", "max")
        rest = Rest(await again.start(), http)
        await over(rest)
        assert await events(rest) == whole


async def has_begun(rest: Rest) -> bool:
    return any((await events(rest)).values())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"feed": "replay:"}, "a replay needs its record: write replay:FILE"),
        ({"feed": "replay"}, "a replay needs its record: write replay:FILE"),
        ({"feed": "replay:a,sim"}, "--feed"),
        ({"feed": "replay:a", "speed": "0"}, "--speed: expected a number from 0.1 to 1000, or max"),
        ({"feed": "replay:a", "start_at": "9:15"}, "--from: expected a time such as 09:15"),
        ({"speed": "max"}, "--speed: it goes with a record to be played: write --feed replay:FILE"),
        ({"feed": "replay:a", "demo": True}, "cannot go with --demo"),
    ],
)
def test_settings_of_a_replay_that_make_no_sense_are_named(
    flags: dict[str, object], said: str
) -> None:
    with pytest.raises(CannotStart) as refused:
        config.load(flags, {})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "has no tick and no call"),
        ('{"v":1}\n', "has no tick and no call"),
        ('{"v":2}\n{"symbol":"A","price":1,"ts":1795664700000}\n', "made by a newer vyomo-rt"),
    ],
)
async def test_a_record_that_cannot_be_played_is_named(
    make_settings: MakeSettings, tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "day.ndjson"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CannotStart, match=said):
        async with serve_here(make_settings(feed=(f"replay:{path}",))):
            pass


async def test_lines_that_cannot_be_read_are_passed_over_and_told(
    make_settings: MakeSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "day.ndjson", [tick(0, 100), tick(1, 101), tick(2, 102)])
    text = path.read_text().replace('"price": 101', '"price": oops')
    path.write_text(text[:-20])  # and the last line is torn
    async with serve_here(make_settings(feed=(f"replay:{path}",), speed="max")) as rest:
        await over(rest)
        _, answer = await rest.call("GET", "/prices")
        assert answer["prices"][0]["price"] == 100
    told = [text for text in caplog.messages if "passed over" in text]
    assert told == [f"line 2 of {path} is passed over", f"line 3 of {path} is passed over"]


def test_the_clock_runs_between_two_moments_and_never_beyond_the_next() -> None:
    at_s = 50.0
    clock = ReplayClock(1_000, lambda: at_s)
    assert clock() == 1_000
    clock.start(10)
    assert clock.run_to(6_000) == pytest.approx(0.5)
    at_s += 0.25
    assert clock() == 3_500
    clock.start(1)
    assert clock.run_to(6_000) == pytest.approx(2.5)
    at_s += 9
    assert clock() == 6_000
    clock.set(6_000)
    at_s += 9
    assert clock() == 6_000
    # It keeps up with the world: a moment that took long makes the next ones come sooner.
    assert clock.run_to(10_000) < 0
