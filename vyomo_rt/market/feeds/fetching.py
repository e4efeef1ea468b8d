"""Asks a source over HTTP: in turns, with limits, and as a browser that it answers."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from yarl import URL

from vyomo_rt.domain.limits import BackOff
from vyomo_rt.market.feed import FeedFailed

_LONG_HEADERS_BYTES = 40_950
"""Pages for browsers come with header lines longer than aiohttp's limit."""

_MAX_BODY_BYTES = 4_000_000
_LONGEST_PAUSE_S = 3600.0
_REFUSALS = {401, 403, 429}
_REDIRECTIONS = {301, 302, 303, 307, 308}
_MOST_REDIRECTIONS = 2
_AFTER_MINUTES = re.compile(rb"after (\d{1,3}) minutes")
"""As NSE says to whoever was too fast."""

PAUSES_S = (60.0, 120.0, 240.0, 300.0)
"""How long a source is left alone that refuses to answer, and again, and again."""


class Pace(NamedTuple):
    """How fast a source is asked, and how long it is left alone once it refuses."""

    least_s: float
    """Between the beginnings of any two requests."""
    round_s: float = 5.0
    """How often each symbol is asked for, if so many requests are allowed."""
    timeout_s: float = 10.0
    pauses_s: Sequence[float] = PAUSES_S


class Site(NamedTuple):
    """A source's ways."""

    service: str
    agents: Sequence[str]
    """The browsers to be taken for: which of them it answers changes."""
    pages: Sequence[str] = ()
    """For each browser, a page that gives the cookies without which it refuses to answer."""
    limits_by_404: bool = False
    """Whether a 404 without JSON may mean too many requests."""


class Answer(NamedTuple):
    """An answer of status 200, or of 404: there is no such thing."""

    status: int
    is_json: bool
    body: bytes


class Fetcher:
    """Asks a source, one request at a time."""

    def __init__(self, site: Site, base: str, pace: Pace) -> None:
        self._site = site
        self._base = URL(base)
        self.pace = pace
        self.back_off = BackOff(pace.pauses_s)
        self._agent = 0
        """The one that was answered last."""
        self._visited_as: int | None = None
        self._next_s = -math.inf

    def session(self) -> aiohttp.ClientSession:
        """A session with the limits that such sources need, for as long as they answer."""
        self._visited_as = None
        return aiohttp.ClientSession(
            max_line_size=_LONG_HEADERS_BYTES,
            max_field_size=_LONG_HEADERS_BYTES,
            cookie_jar=aiohttp.CookieJar(unsafe=True),  # a gateway may be an IP address
        )

    async def get(
        self, http: aiohttp.ClientSession, path: str, query: Mapping[str, str], every_s: float
    ) -> Answer:
        """Ask as soon as ``every_s`` have passed since the last request. Raises FeedFailed."""
        url = (self._base / path).with_query(query)
        refusal, least_pause_s = 0, 0.0
        for agent in self._ladder():
            await self._turn(every_s)
            if self._site.pages and agent != self._visited_as:
                await self._visit(http, self._site.pages[agent], agent)
                await self._turn(self.pace.least_s)
            status, answer, retry_after_s = await self._get(http, url, agent)
            if answer is not None:
                self._agent, self.back_off.refused = agent, 0
                return answer
            refusal, least_pause_s = status, max(least_pause_s, retry_after_s)
            self._visited_as = None
        pause_s = max(self.back_off.next_s(), least_pause_s)
        reason = "too many requests" if refusal == 429 else "it wants no such requests"
        raise FeedFailed(
            f"{self._site.service} refuses to answer ({refusal}, {reason}); it is asked again "
            f"after {pause_s:.0f} s",
            pause_s,
        )

    def _ladder(self) -> Iterator[int]:
        for step in range(len(self._site.agents)):
            yield (self._agent + step) % len(self._site.agents)

    async def _turn(self, every_s: float) -> None:
        """Wait until it may be asked again, also after a failure."""
        loop = asyncio.get_running_loop()
        every_s = max(every_s, self.pace.least_s)
        await asyncio.sleep(self._next_s + every_s - loop.time())
        self._next_s = loop.time()

    async def _visit(self, http: aiohttp.ClientSession, page: str, agent: int) -> None:
        """Get the cookies. How the page answers says nothing about the rest."""
        http.cookie_jar.clear()
        headers = {"User-Agent": self._site.agents[agent], "Accept": "text/html,*/*"}
        async with self._asking(http, self._base / page, headers) as response:
            await response.release()
        self._visited_as = agent

    async def _get(
        self, http: aiohttp.ClientSession, url: URL, agent: int
    ) -> tuple[int, Answer | None, float]:
        """The answer, unless it is a refusal; then how long it wants to be left alone."""
        headers = {"User-Agent": self._site.agents[agent], "Accept": "application/json"}
        if self._site.pages:
            headers["Referer"] = str(self._base / self._site.pages[agent])
        async with self._asking(http, url, headers) as response:
            body = await self._read_body(response)
        answer = Answer(response.status, "json" in response.content_type, body)
        if self._is_refusal(answer):
            return answer.status, None, _retry_after_s(response, body)
        if answer.status not in {200, 404}:
            raise FeedFailed(f"{self._site.service} answers with status {answer.status}")
        return answer.status, answer, 0.0

    def _is_refusal(self, answer: Answer) -> bool:
        # An unknown symbol gets a 404, too, but with JSON.
        hidden = self._site.limits_by_404 and answer.status == 404 and not answer.is_json
        return answer.status in _REFUSALS or hidden

    @asynccontextmanager
    async def _asking(
        self, http: aiohttp.ClientSession, url: URL, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer of an address, or of the one that it sends to: that is a request, too."""
        for _ in range(1 + _MOST_REDIRECTIONS):
            async with (
                self._failing(),
                http.get(url, headers=headers, allow_redirects=False) as response,
            ):
                location = response.headers.get("Location")
                if response.status not in _REDIRECTIONS or location is None:
                    yield response
                    return
                url = url.join(URL(location))
            await self._turn(self.pace.least_s)
        raise FeedFailed(f"{self._site.service} sends from one address to the next: {url}")

    @asynccontextmanager
    async def _failing(self) -> AsyncIterator[None]:
        """A request; what goes wrong with it is a FeedFailed."""
        service, limit_s = self._site.service, self.pace.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError as error:
            raise FeedFailed(f"{service} does not answer within {limit_s:g} s") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise FeedFailed(f"{service} cannot be reached: {error!r}") from error

    async def _read_body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                raise FeedFailed(f"{self._site.service} sends more than {_MAX_BODY_BYTES} bytes")
        return bytes(body)


def _retry_after_s(response: aiohttp.ClientResponse, body: bytes) -> float:
    """How long the source wants to be left alone, if it says so."""
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_PAUSE_S)
    words = _AFTER_MINUTES.search(body)
    return min(60.0 * int(words[1]), _LONGEST_PAUSE_S) if words else 0.0
