"""The program that is told: one request for each notice, signed, in time."""

from __future__ import annotations

import hashlib
import hmac
from types import TracebackType

import aiohttp
from yarl import URL

from vyomo_rt.domain.moment import WallClock
from vyomo_rt.version import version

TIMEOUT_S = 10.0

_TAKEN = range(200, 300)


class NotTaken(Exception):
    """The receiver did not take a notice; the words say why, without its address."""


class Receiver:
    """Posts notices, each by itself. It follows no redirection and reads no answer.

    ``url`` and ``key`` are secrets: addresses of this kind often hold a token.
    """

    def __init__(self, url: str, key: str | None, now: WallClock) -> None:
        self._url = URL(url)
        self._key = None if key is None else key.encode(errors="surrogateescape")
        self._now = now
        self._http: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        """Its host, for the log."""
        return self._url.host or "?"

    async def __aenter__(self) -> Receiver:
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"vyomo-rt/{version()}", "Content-Type": "application/json"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._http is not None
        await self._http.close()

    async def post(self, text: str, key: str) -> None:
        """Post one notice; ``key`` names it, however often it is posted. Raises NotTaken."""
        assert self._http is not None
        body = text.encode()
        headers = {"Idempotency-Key": key}
        if self._key is not None:
            headers["Vyomo-Signature"] = signature(self._key, body, self._now())
        try:
            async with self._http.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except TimeoutError as error:
            raise NotTaken(f"no answer within {TIMEOUT_S:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotTaken(f"it cannot be reached ({type(error).__name__})") from error
        if status not in _TAKEN:
            raise NotTaken(f"it answers with status {status}")


def signature(key: bytes, body: bytes, at_ms: int) -> str:
    """What the receiver compares: HMAC-SHA256 over the moment, a dot and the body."""
    digest = hmac.new(key, b"%d." % at_ms + body, hashlib.sha256).hexdigest()
    return f"t={at_ms},v1={digest}"
