"""Asks each address of the real price sources once, and says how it answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import aiohttp
import msgspec

from vyomo_rt.market.feed import FeedFailed
from vyomo_rt.market.feeds.yahoo.feed import USER_AGENTS
from vyomo_rt.market.feeds.yahoo.spark import read_spark

YAHOO = "https://query1.finance.yahoo.com"
NSE = "https://www.nseindia.com"
_NSE_PAGE = "/option-chain"
"""A visit to it gives the cookies without which NSE refuses its API."""
_INDIA = timezone(timedelta(hours=5, minutes=30))
_TIMEOUT = aiohttp.ClientTimeout(total=15)
_LONGEST_HEADER = 40_950
_SHOWN = 70


class Sample(NamedTuple):
    """A price out of an answer, and the moment that it names, if it names one."""

    text: str
    as_of_ms: int | None


class Probe(NamedTuple):
    """An address of a source, and what reads a sample out of its answer."""

    name: str
    path: str
    read: Callable[[bytes], Sample]


class Outcome(NamedTuple):
    """How an address answered; without ``status`` it did not."""

    name: str
    status: int | None
    took_ms: int
    lag_s: int | None
    text: str

    def __str__(self) -> str:
        lag = "-" if self.lag_s is None else f"{self.lag_s} s"
        return f"{self.name:<22} {self.status or '-':>6} {self.took_ms:>6} {lag:>9}  {self.text}"


HEAD = f"{'address':<22} {'status':>6} {'ms':>6} {'lag':>9}  sample, or what came instead"


def _spark(body: bytes) -> Sample:
    name, price = next(iter(read_spark(body).items()))
    return Sample(f"{name} {price.price_e4 / 10_000}", price.as_of_ms)


def _chart(body: bytes) -> Sample:
    meta = msgspec.json.decode(body)["chart"]["result"][0]["meta"]
    return _of_yahoo(meta, "")


def _quote(body: bytes) -> Sample:
    row = msgspec.json.decode(body)["quoteResponse"]["result"][0]
    return _of_yahoo(row, f", said to be {row.get('exchangeDataDelayedBy')} minutes late")


def _of_yahoo(row: dict[str, Any], remark: str) -> Sample:
    text = f"{row['symbol']} {row['regularMarketPrice']}{remark}"
    return Sample(text, row["regularMarketTime"] * 1000)


def _search(body: bytes) -> Sample:
    return Sample(msgspec.json.decode(body)["quotes"][0]["symbol"], None)


def _indices(body: bytes) -> Sample:
    answer = msgspec.json.decode(body)
    row = answer["data"][0]
    return Sample(f"{row['index']} {row['last']}", _india_ms(answer["timestamp"], "%d-%b-%Y"))


def _constituents(body: bytes) -> Sample:
    row = msgspec.json.decode(body)["data"][0]
    return Sample(
        f"{row['symbol']} {row['lastPrice']}", _india_ms(row["lastUpdateTime"], "%Y-%m-%d")
    )


def _single(body: bytes) -> Sample:
    row = msgspec.json.decode(body)["equityResponse"][0]
    text = f"{row['metaData']['symbol']} {row['orderBook']['lastPrice']}"
    return Sample(text, _india_ms(row["lastUpdateTime"], "%d-%b-%Y"))


def _state(body: bytes) -> Sample:
    row = msgspec.json.decode(body)["marketState"][0]
    return Sample(f"{row['market']} {row['marketStatus']}", None)


def _holidays(body: bytes) -> Sample:
    rows = msgspec.json.decode(body)["CM"]
    return Sample(f"{len(rows)} holidays, the last on {rows[-1]['tradingDate']}", None)


def _india_ms(text: str, day: str) -> int:
    """NSE's moments are Indian time and do not say so."""
    return round(
        datetime.strptime(text, f"{day} %H:%M:%S").replace(tzinfo=_INDIA).timestamp() * 1000
    )


_QUOTE_API = "/api/NextApi/apiClient/GetQuoteApi?functionName=getSymbolData"
YAHOO_PROBES = (
    Probe("yahoo spark v8", "/v8/finance/spark?symbols=%5ENSEI&range=1d&interval=1m", _spark),
    Probe("yahoo spark v7", "/v7/finance/spark?symbols=%5ENSEI&range=1d&interval=1m", _spark),
    Probe("yahoo chart v8", "/v8/finance/chart/RELIANCE.NS?range=1d&interval=1m", _chart),
    Probe("yahoo quote v7", "/v7/finance/quote?symbols=RELIANCE.NS", _quote),
    Probe("yahoo search", "/v1/finance/search?q=RELIANCE", _search),
)
NSE_PROBES = (
    Probe("nse indices", "/api/allIndices", _indices),
    Probe("nse constituents", "/api/equity-stock-indices?index=NIFTY%2050", _constituents),
    Probe("nse single", f"{_QUOTE_API}&marketType=N&series=EQ&symbol=RELIANCE", _single),
    Probe("nse market status", "/api/marketStatus", _state),
    Probe("nse holidays", "/api/holiday-master?type=trading", _holidays),
)


async def probe(yahoo: str = YAHOO, nse: str = NSE) -> list[Outcome]:
    """Ask every address once, one after the other."""
    return [
        *await _ask_all(yahoo, YAHOO_PROBES, USER_AGENTS[0], None),
        *await _ask_all(nse, NSE_PROBES, USER_AGENTS[-1], _NSE_PAGE),
    ]


async def _ask_all(
    base: str, probes: Sequence[Probe], agent: str, page: str | None
) -> list[Outcome]:
    base = base.rstrip("/")
    async with aiohttp.ClientSession(
        headers={"User-Agent": agent, "Accept": "application/json, text/html, */*"},
        timeout=_TIMEOUT,
        max_line_size=_LONGEST_HEADER,
        max_field_size=_LONGEST_HEADER,
        cookie_jar=aiohttp.CookieJar(unsafe=True),  # a gateway may be an IP address
    ) as http:
        outcomes = []
        if page is not None:
            visit = Probe(f"{probes[0].name.split()[0]} page", page, lambda _: Sample("", None))
            outcomes.append(await _ask(http, base, visit))
        return outcomes + [await _ask(http, base, each) for each in probes]


async def _ask(http: aiohttp.ClientSession, base: str, probe_: Probe) -> Outcome:
    begun_s = time.monotonic()

    def outcome(status: int | None, text: str, lag_s: int | None = None) -> Outcome:
        took_ms = round((time.monotonic() - begun_s) * 1000)
        return Outcome(probe_.name, status, took_ms, lag_s, text)

    try:
        async with http.get(base + probe_.path) as response:
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return outcome(None, str(error) or "no answer in time")
    if response.status != 200:
        return outcome(response.status, _start(body))
    try:
        sample = probe_.read(body)
    except (FeedFailed, msgspec.DecodeError, LookupError, StopIteration, TypeError, ValueError):
        return outcome(200, f"another form: {_start(body)}")
    lag_s = None if sample.as_of_ms is None else round(time.time() - sample.as_of_ms / 1000)
    return outcome(200, sample.text, lag_s)


def _start(body: bytes) -> str:
    return " ".join(body[:_SHOWN].decode(errors="replace").split())


def lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The outcomes as a table."""
    yield HEAD
    yield from map(str, outcomes)
