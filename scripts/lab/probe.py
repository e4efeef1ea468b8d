"""Asks each address of the real price sources once, and says how it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import aiohttp
import msgspec

from vyomo_rt.config import Settings
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feed import FeedContext, FeedFailed, FeedRefused
from vyomo_rt.market.feeds.kite.feed import KiteFeed
from vyomo_rt.market.feeds.nse.answers import read_constituents, read_indices, read_quote
from vyomo_rt.market.feeds.openalgo.feed import OpenAlgoFeed
from vyomo_rt.market.feeds.reading import Price
from vyomo_rt.market.feeds.sockets import SocketFeed
from vyomo_rt.market.feeds.yahoo.feed import USER_AGENTS
from vyomo_rt.market.feeds.yahoo.spark import read_spark
from vyomo_rt.market.wanted import Wanted

_NSE_PAGE = "/option-chain"
"""A visit to it gives the cookies without which NSE refuses its API."""
_TIMEOUT = aiohttp.ClientTimeout(total=15)
_LONGEST_HEADER = 40_950
_SHOWN = 70
_LISTENED_FOR, _LISTENED_S = "NIFTY", 15
_SWITCHED = 101


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
    return _first(read_spark(body))


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
    return _first(read_indices(body))


def _constituents(body: bytes) -> Sample:
    return _first(read_constituents(body))


def _single(body: bytes) -> Sample:
    price = read_quote("RELIANCE", body)
    return _first({} if price is None else {"RELIANCE": price})


def _first(prices: Mapping[str, Price]) -> Sample:
    name, price = next(iter(prices.items()))
    return Sample(f"{name} {price.price_e4 / 10_000}", price.as_of_ms)


def _state(body: bytes) -> Sample:
    row = msgspec.json.decode(body)["marketState"][0]
    return Sample(f"{row['market']} {row['marketStatus']}", None)


def _holidays(body: bytes) -> Sample:
    rows = msgspec.json.decode(body)["CM"]
    return Sample(f"{len(rows)} holidays, the last on {rows[-1]['tradingDate']}", None)


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


USABLE = {"yahoo spark v8", "yahoo spark v7", "nse indices", "kite socket", "openalgo socket"}
"""Those by which a feed gets its prices."""


async def probe(settings: Settings) -> list[Outcome]:
    """Ask every address once, one after the other, and listen to the sources that send."""
    return [
        *await _ask_all(settings.yahoo_url, YAHOO_PROBES, USER_AGENTS[0], None),
        *await _ask_all(settings.nse_url, NSE_PROBES, USER_AGENTS[-1], _NSE_PAGE),
        await _listen(KiteFeed, settings.kite_api_key and settings.kite_access_token, settings),
        await _listen(OpenAlgoFeed, settings.openalgo_api_key, settings),
    ]


async def _listen(kind: type[SocketFeed], key: str | None, settings: Settings) -> Outcome:
    """The first price of the NIFTY, as the feed gets it."""
    begun_s = time.monotonic()
    name = f"{kind.source} socket"
    if not key:
        return Outcome(name, None, 0, None, "not asked: no key is set")
    demand = Demand()
    demand.wanted([_LISTENED_FOR])
    context = FeedContext(settings, lambda: MarketMs(round(time.time() * 1000)), Calendar.shipped())
    try:
        async with asyncio.timeout(_LISTENED_S):
            async with aclosing(kind.made_for(context).ticks(Wanted(demand))) as ticks:
                tick = await anext(each async for each in ticks if each is not None)
    except (FeedFailed, FeedRefused, CannotStart) as error:
        return _outcome(name, begun_s, None, str(error))
    except TimeoutError:
        words = f"connected, but no price of {_LISTENED_FOR} came within {_LISTENED_S} s"
        return _outcome(name, begun_s, _SWITCHED, words)
    text = f"{tick.symbol} {tick.price_e4 / 10_000}"
    return _outcome(name, begun_s, _SWITCHED, text, tick.as_of_ms)


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
    name, begun_s = probe_.name, time.monotonic()
    try:
        async with http.get(base + probe_.path) as response:
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return _outcome(name, begun_s, None, str(error) or "no answer in time")
    if response.status != 200:
        return _outcome(name, begun_s, response.status, _start(body))
    try:
        sample = probe_.read(body)
    except (FeedFailed, msgspec.DecodeError, LookupError, StopIteration, TypeError, ValueError):
        return _outcome(name, begun_s, 200, f"another form: {_start(body)}")
    return _outcome(name, begun_s, 200, sample.text, sample.as_of_ms)


def _outcome(
    name: str, begun_s: float, status: int | None, text: str, as_of_ms: int | None = None
) -> Outcome:
    took_ms = round((time.monotonic() - begun_s) * 1000)
    lag_s = None if as_of_ms is None else round(time.time() - as_of_ms / 1000)
    return Outcome(name, status, took_ms, lag_s, text)


def _start(body: bytes) -> str:
    return " ".join(body[:_SHOWN].decode(errors="replace").split())


def lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The outcomes as a table."""
    yield HEAD
    yield from map(str, outcomes)
