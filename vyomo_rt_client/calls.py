"""One call to a server: how it is made, which calls are repeated, what a failure says."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Self
from uuid import uuid4

import aiohttp
from yarl import URL

from vyomo_rt_client import numbers
from vyomo_rt_client.links import Lost, base_url, bearer, reasons, why_full
from vyomo_rt_client.messages import Refused
from vyomo_rt_client.tokens import Tokens, TokenSource

Document = dict[str, Any]
"""JSON as docs/protocol.md describes it: money and prices are Decimal, ids and counts int."""

_ATTEMPT_S = 10.0
_BACK_OFF_S, _BACK_OFF_MAX_S = 0.2, 3.0
_PASSING = {429, 502, 503, 504}
"""Answers of a server or a proxy that may be different on a retry."""
_REPEATABLE = {"GET", "PATCH", "DELETE"}


class ApiError(Exception):
    """A call was refused, or was not answered in time; the text says why.

    `status` and `code` (``not_found``, …) are those of docs/protocol.md, or None if no server
    answered. `field` is the member or parameter at fault, if the server names one.
    `retry_after_s` is when to ask again, if the server says so. `problem` is the whole problem
    document, which may hold the trade that is already closed. With `idempotency_key` the call can
    be repeated without being carried out twice.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        problem: Document | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem or {}
        self.code: str | None = self.problem.get("code")
        self.field: str | None = self.problem.get("field")
        self.retry_after_s = retry_after_s
        self.idempotency_key = idempotency_key


class Calls:
    """Makes calls, by their path; ``async with`` closes the connections they use."""

    def __init__(
        self,
        url: str | URL,
        *,
        token: TokenSource | None = None,
        session: aiohttp.ClientSession | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        self._tokens = Tokens(token)
        self._base = base_url(url) / "api/auto-trader"
        self._http = session
        self._own_http: aiohttp.ClientSession | None = None
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, except those of a session that was passed in."""
        if self._own_http is not None:
            await self._own_http.close()

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
        is_idempotent: bool = False,
    ) -> Document:
        """Any call that answers with JSON, by its path after ``/api/auto-trader/``.

        `is_idempotent` says that a POST without a key may be repeated. What is None in `query` is
        left out.
        """
        repeats = is_idempotent or idempotency_key is not None or method in _REPEATABLE
        text = None if body is None else numbers.encode(body)
        url = self._url(path, query)
        answer = await self._repeat(method, url, text, idempotency_key, repeats=repeats)
        assert isinstance(answer, dict), "a server answers as it is asked"
        return answer

    async def fetch_table(self, path: str, query: Mapping[str, object]) -> str:
        """A table as CSV, by its path after ``/api/auto-trader/``."""
        answer = await self._repeat("GET", self._url(path, query), None, None, repeats=True)
        assert isinstance(answer, str), "a server answers as it is asked"
        return answer

    def _url(self, path: str, query: Mapping[str, object] | None) -> URL:
        return self._base.joinpath(path.lstrip("/")).with_query(
            {name: str(value) for name, value in (query or {}).items() if value is not None}
        )

    async def _repeat(
        self, method: str, url: URL, text: str | None, key: str | None, *, repeats: bool
    ) -> Document | str:
        loop = asyncio.get_running_loop()
        give_up_at_s, attempt = loop.time() + self._timeout_s, 0
        while True:
            failed = await self._send(method, url, text, key)
            if not isinstance(failed, ApiError):
                return failed
            delay_s = _back_off_s(attempt) + (failed.retry_after_s or 0)
            attempt += 1
            passes = failed.status is None or failed.status in _PASSING
            if not (repeats and passes) or loop.time() + delay_s > give_up_at_s:
                raise failed
            await asyncio.sleep(delay_s)

    async def make(self, path: str, body: Mapping[str, object], key: str | None) -> Document:
        """A POST that makes or closes something; what is None in `body` is left out."""
        given = {name: value for name, value in body.items() if value is not None}
        return await self.call("POST", path, given, idempotency_key=key or uuid4().hex)

    async def _send(
        self, method: str, url: URL, text: str | None, key: str | None
    ) -> Document | str | ApiError:
        """One attempt, and one more with another token if the first is refused for its token."""
        try:
            token = await self._tokens.current()
            answer = await self._attempt(method, url, text, key, token)
            if isinstance(answer, ApiError) and answer.status == 401:
                refused = Refused(str(answer), code=answer.code, status=401)
                token = await self._tokens.replace(refused, token)
                answer = await self._attempt(method, url, text, key, token)
        except Refused as refused:
            problem = {"code": refused.code}
            return ApiError(str(refused), status=401, problem=problem, idempotency_key=key)
        return answer

    async def _attempt(
        self, method: str, url: URL, text: str | None, key: str | None, token: str
    ) -> Document | str | ApiError:
        if self._http is None:
            self._http = self._own_http = aiohttp.ClientSession()
        headers = bearer(token)
        if text is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        timeout = aiohttp.ClientTimeout(total=_ATTEMPT_S)
        try:
            with reasons(f"no answer within {_ATTEMPT_S:.0f} s"):
                async with self._http.request(
                    method, url, data=text, headers=headers, timeout=timeout, raise_for_status=False
                ) as response:
                    return _read(response, await response.read(), key)
        except Lost as lost:
            return ApiError(why_full(self._http, url) or str(lost), idempotency_key=key)


def _read(
    response: aiohttp.ClientResponse, body: bytes, key: str | None
) -> Document | str | ApiError:
    if response.ok and response.content_type == "text/csv":
        return body.decode()
    document: Document | None = None
    if "json" in response.content_type:
        with suppress(ValueError):
            document = numbers.decode(body)
    if response.ok and document is not None:
        return document
    message = f"HTTP {response.status} {response.reason}"
    if response.ok:
        message += f" with {response.content_type}: is this a vyomo-rt server?"
    elif document is not None:
        message = document.get("detail") or message
    return ApiError(
        message,
        status=response.status,
        retry_after_s=_retry_after_s(response, document or {}),
        problem=document,
        idempotency_key=key,
    )


def _retry_after_s(response: aiohttp.ClientResponse, problem: Document) -> float | None:
    exact_ms, seconds = problem.get("retryAfterMs"), response.headers.get("Retry-After", "")
    if isinstance(exact_ms, int | Decimal):
        return float(exact_ms) / 1000
    return float(seconds) if re.fullmatch("[0-9]{1,9}", seconds) else None


def _back_off_s(attempt: int) -> float:
    """Full jitter, so that many programs do not repeat their calls together."""
    return random.uniform(0, min(_BACK_OFF_MAX_S, _BACK_OFF_S * 2 ** min(attempt, 10)))  # noqa: S311
