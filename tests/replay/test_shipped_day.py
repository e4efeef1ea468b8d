"""The recorded day that ships, which `make replay` plays."""

from __future__ import annotations

import asyncio
import gzip
import re
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from lab import replays
from lab.days import made_day
from tests.kit.documents import ROOT
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.waiting import until
from tests.replay.days import events, over, played
from vyomo_rt.domain.moment import iso
from vyomo_rt.recording.day import RecordedDay

DAY = ROOT / "examples" / "day.ndjson.gz"


def test_the_day_that_ships_is_the_one_that_the_script_makes() -> None:
    assert gzip.decompress(DAY.read_bytes()) == b"".join(made_day())
    assert DAY.stat().st_size <= 200_000


def test_the_day_that_ships_has_three_symbols_every_five_seconds() -> None:
    day = RecordedDay(DAY)
    ticks = [line for block in day for line in block if line.symbol]
    assert {tick.symbol for tick in ticks} == {"NIFTY", "BANKNIFTY", "RELIANCE"}
    moments = sorted({tick.ts for tick in ticks if isinstance(tick.ts, int)})
    steps = {later - earlier for earlier, later in pairwise(moments)}
    assert steps == {5_000}
    assert (iso(moments[0]), iso(moments[-1])) == (
        "2026-11-25T03:45:00.000Z",
        "2026-11-25T10:00:00.000Z",
    )


async def test_make_replay_shows_trades_within_fifteen_seconds(server_process: MakeServer) -> None:
    """The time of a start is not judged here, but what follows it."""
    recipe = re.search(r"^replay:.*\n\t@\$\(BIN\)/vyomo-rt serve (.*)$", MAKEFILE, re.M)
    assert recipe is not None
    server = server_process(*recipe[1].split())
    url = await server.start()
    async with aiohttp.ClientSession() as http:
        rest = Rest(url, http)
        await until(lambda: has_trades(rest))


MAKEFILE = (ROOT / "Makefile").read_text()


async def has_trades(rest: Rest) -> bool:
    told = (await events(rest)).values()
    return any(event["type"] == "trade_opened" for each in told for event in each)


@pytest.mark.slow(42)
async def test_the_day_that_ships_is_the_same_at_any_speed_and_nothing_is_refused(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    more: dict[str, Any] = {"market_hours": True}
    at_once = await played(make_settings, DAY, "at once", **more)
    assert sum(map(len, at_once.values())) > 150
    assert await played(make_settings, DAY, "fast", "1000", **more) == at_once
    # From noon on, with all that was before.
    more |= {"feed": (f"replay:{DAY}",), "speed": "1000", "start_at": "12:00"}
    async with serve_here(make_settings("from", **more)) as rest:
        await over(rest)
        assert await events(rest) == at_once
    assert not [text for text in caplog.messages if "refused now" in text]


@pytest.mark.slow(20)
async def test_a_long_replay_takes_no_more_memory_than_a_short_one() -> None:
    result = await asyncio.wait_for(replays.measured(1_000_000, 10), 600)
    assert result.memory_bytes - result.early_bytes <= 5 * 1024 * 1024
