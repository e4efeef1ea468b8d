"""Asks Yahoo: in turns, with limits, and as a browser that it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import aiohttp
from yarl import URL

from vyomo_rt.market.feed import FeedFailed
from vyomo_rt.market.feeds.yahoo.spark import SparkPrice, read_spark

MAX_BATCH = 20
"""Symbols in one request; more are refused."""

USER_AGENTS = (
    "Mozilla/5.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
)
"""Yahoo answers some and refuses others, and which ones changes."""

_LONG_HEADERS_BYTES = 40_950
"""Yahoo's pages come with header lines longer than aiohttp's limit."""

_MAX_BODY_BYTES = 4_000_000
_REFUSALS = {401, 403, 429}
_PATH = "v8/finance/spark"


class Pace(NamedTuple):
    """How fast Yahoo is asked, and how long it is left alone once it refuses."""

    every_s: float = 5.0
    timeout_s: float = 10.0
    pauses_s: Sequence[float] = (60.0, 120.0, 240.0, 300.0)


class _Answer(NamedTuple):
    status: int
    is_json: bool
    body: bytes


class SparkClient:
    """Asks for the prices of a batch; one at a time."""

    def __init__(self, base: str, pace: Pace) -> None:
        self._url = URL(base) / _PATH
        self._pace = pace
        self._agent = 0
        """The one that was answered last."""
        self._times_refused = 0
        self._next_s = 0.0

    def session(self) -> aiohttp.ClientSession:
        """A session with the limits that Yahoo needs, for as long as it answers."""
        return aiohttp.ClientSession(
            max_line_size=_LONG_HEADERS_BYTES,
            max_field_size=_LONG_HEADERS_BYTES,
            timeout=aiohttp.ClientTimeout(total=self._pace.timeout_s),
        )

    async def prices(
        self, http: aiohttp.ClientSession, names: Sequence[str]
    ) -> dict[str, SparkPrice]:
        """The last prices of at most ``MAX_BATCH`` of Yahoo's names. Raises FeedFailed."""
        refusal = 0
        for agent in self._ladder():
            await self._turn()
            answer = await self._get(http, names, USER_AGENTS[agent])
            if not _is_refused(answer):
                self._agent, self._times_refused = agent, 0
                return _read(answer)
            refusal = answer.status
        pause_s = self._refusal_pause_s()
        self._times_refused += 1
        reason = "too many requests" if refusal == 429 else "it wants no such requests"
        raise FeedFailed(
            f"Yahoo refuses to answer ({refusal}, {reason}); it is asked again after "
            f"{pause_s:.0f} s",
            pause_s,
        )

    def _refusal_pause_s(self) -> float:
        pauses_s = self._pace.pauses_s
        return pauses_s[min(self._times_refused, len(pauses_s) - 1)]

    def _ladder(self) -> Iterator[int]:
        for step in range(len(USER_AGENTS)):
            yield (self._agent + step) % len(USER_AGENTS)

    async def _turn(self) -> None:
        """Wait until it may be asked again, also after a failure."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._next_s - loop.time())
        self._next_s = loop.time() + self._pace.every_s

    async def _get(self, http: aiohttp.ClientSession, names: Sequence[str], agent: str) -> _Answer:
        query = {"symbols": ",".join(names), "range": "1d", "interval": "1m"}
        headers = {"User-Agent": agent, "Accept": "application/json"}
        try:
            async with http.get(self._url, params=query, headers=headers) as response:
                body = await _read_body(response)
                return _Answer(response.status, "json" in response.content_type, body)
        except TimeoutError as error:
            limit = f"{self._pace.timeout_s:g} s"
            raise FeedFailed(f"Yahoo does not answer within {limit}") from error
        except aiohttp.ClientError as error:
            raise FeedFailed(f"Yahoo cannot be reached: {error!r}") from error


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise FeedFailed(f"Yahoo sends more than {_MAX_BODY_BYTES} bytes")
    return bytes(body)


def _is_refused(answer: _Answer) -> bool:
    # Too many requests may get a 404 with a page, too; an unknown symbol gets one with JSON.
    return answer.status in _REFUSALS or (answer.status == 404 and not answer.is_json)


def _read(answer: _Answer) -> dict[str, SparkPrice]:
    if answer.status not in {200, 404}:
        raise FeedFailed(f"Yahoo answers with status {answer.status}")
    return read_spark(answer.body)
