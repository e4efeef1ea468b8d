"""What the probe says of addresses that answer, refuse, or answer something else.

Yahoo's answers are those of the feed's tests; NSE's have the shapes that the libraries nse 5.1.0
and jugaad-data 0.37 read, with their own samples of 2023 and 2026.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from msgspec import structs

from lab.probe import Outcome, probe
from tests.market.feeds.kite import MockKite
from tests.market.feeds.openalgo import MockOpenAlgo
from tests.market.feeds.serving import serving as mocking
from vyomo_rt.config import Settings

SCRIPT = Path(__file__).parents[2] / "scripts" / "probe_feeds.py"
SPARK = Path(__file__).parents[1] / "market" / "feeds" / "fixtures" / "yahoo" / "spark_v8.json"
LATE_S = 900
NSE: dict[str, Any] = {
    "/api/allIndices": {
        "data": [{"index": "NIFTY 50", "indexSymbol": "NIFTY 50", "last": 19731.75}],
        "timestamp": "16-Oct-2023 15:30:00",
    },
    "/api/equity-stock-indices": {
        "data": [
            {
                "symbol": "NIFTY 50",
                "lastPrice": 23944.8,
                "lastUpdateTime": "2026-05-27 11:54:23",
            }
        ],
        "timestamp": "27-May-2026 11:54:31",
    },
    "/api/marketStatus": {
        "marketState": [{"market": "Capital Market", "marketStatus": "Closed"}],
    },
}


def yahoo_answers() -> dict[str, Any]:
    second = int(time.time()) - LATE_S
    spark = json.loads(SPARK.read_bytes())["^NSEI"] | {"timestamp": [second - 1, second] * 2}
    meta = {"symbol": "RELIANCE.NS", "regularMarketPrice": 38.48, "regularMarketTime": second}
    return {
        "/v8/finance/spark": {"^NSEI": spark},
        "/v8/finance/chart/RELIANCE.NS": {"chart": {"result": [{"meta": meta}], "error": None}},
        "/v7/finance/quote": {"quoteResponse": {"result": []}},
    }


def settings_of(yahoo: BaseTestServer, nse: BaseTestServer) -> Settings:
    yahoo_url, nse_url = (str(server.make_url("/")).rstrip("/") for server in (yahoo, nse))
    return Settings(yahoo_url=yahoo_url, nse_url=nse_url)


def serving(answers: dict[str, Any]) -> TestServer:
    """A server of these answers; it refuses all else, and says so in HTML."""

    async def answer(request: web.Request) -> web.Response:
        if (found := answers.get(request.path)) is not None:
            return web.json_response(found)
        return web.Response(status=401, text="<html>\n no", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    return TestServer(app)


async def test_each_address_has_its_status_its_lag_and_a_sample() -> None:
    async with serving(yahoo_answers()) as yahoo, serving(NSE) as nse:
        outcomes = await probe(settings_of(yahoo, nse))
    found: dict[str, Outcome] = {outcome.name: outcome for outcome in outcomes}
    spark = found["yahoo spark v8"]
    assert (spark.status, spark.text) == (200, "^NSEI 24190.05")
    assert spark.lag_s is not None
    assert LATE_S <= spark.lag_s <= LATE_S + 60
    assert found["yahoo chart v8"].text == "RELIANCE.NS 38.48"
    assert found["yahoo quote v7"].text.startswith("another form: {")
    assert (found["yahoo search"].status, found["yahoo search"].text) == (401, "<html> no")
    indices = found["nse indices"]
    assert indices.lag_s is not None
    # 2023-10-16 15:30 in India is 10:00 UTC.
    assert abs(time.time() - indices.lag_s - 1_697_450_400) <= 60
    assert found["nse market status"].text == "Capital Market Closed"
    assert found["kite socket"].text == "not asked: no key is set"


async def test_sources_that_send_are_listened_to_if_there_is_a_key() -> None:
    kite = MockKite(round(time.time() - 5) * 1000)
    openalgo = MockOpenAlgo(kite.at_ms)
    openalgo.accepts = set()
    async with serving({}) as site, mocking(kite), mocking(openalgo):
        settings = structs.replace(
            settings_of(site, site),
            kite_url=kite.url.replace("http", "ws"),
            kite_api_key=kite.key,
            kite_access_token=kite.token,
            openalgo_url=openalgo.url.replace("http", "ws"),
            openalgo_api_key="wrong",
        )
        found = {outcome.name: outcome for outcome in await probe(settings)}
    listened = found["kite socket"]
    assert (listened.status, listened.text) == (101, "NIFTY 24190.05")
    assert listened.lag_s is not None
    assert 4 <= listened.lag_s <= 65
    assert found["openalgo socket"].status is None
    assert found["openalgo socket"].text.startswith("OpenAlgo refuses the key")


async def test_the_program_prints_a_table_and_says_by_its_code_whether_any_source_can_be_used() -> (
    None
):
    async with serving(yahoo_answers()) as yahoo, serving(NSE) as nse:
        urls = [str(server.make_url("/")) for server in (yahoo, nse)]
        code, output = await run(*urls)
        assert code == 0, output
        assert output.startswith("address ")
        assert "^NSEI 24190.05" in output
        code, output = await run(urls[1], urls[0])
        assert code == 1
        assert "yahoo spark v8" in output


async def run(yahoo: str, nse: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, "--yahoo", yahoo, "--nse", nse,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode, output.decode()
