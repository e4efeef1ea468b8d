"""The REST calls of a server, one method each."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Collection, Iterable, Mapping
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

Number = Decimal | int
Document = dict[str, Any]
"""JSON as docs/protocol.md describes it: money and prices are Decimal, ids and counts int."""

_ATTEMPT_S = 10.0
_BACK_OFF_S, _BACK_OFF_MAX_S = 0.2, 3.0
_PASSING = {429, 502, 503, 504}
"""Answers of a server or a proxy that may be different on a retry."""
_REPEATABLE = {"GET", "PATCH"}


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


class Api:
    """A server's REST calls; ``async with`` closes the connections they use.

        async with Api("http://localhost:4025") as api:
            session = await api.create_session(Decimal("50000"))
            trade = await api.open_trade(session["sessionId"], "NIFTY", 75, stop_loss=Decimal("23000"))

    Numbers are Decimal or int; a float raises TypeError. A call that is refused for now, or whose
    answer was lost, is repeated for `timeout_s` if it cannot be carried out twice: reads, changes,
    and calls that make or close something, which always have an idempotency key. Give a key
    yourself to repeat a call after the program has ended. Pushed ticks are not repeated, because
    they would be out of date. All methods raise ApiError.

    `token` says who the program is, if the server wants to know: a text, or an async function that
    returns one. The function is called at first, and once more when a token is refused; an empty
    text means that the program is no longer allowed. `session` is an aiohttp session to use, for a
    proxy or TLS; it stays open.
    """  # noqa: E501 (the line of code reads best whole)

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

    # -- sessions ----------------------------------------------------------------

    async def create_session(
        self,
        starting_capital: Number,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        body = {"startingCapital": starting_capital, "name": name}
        return await self._make("sessions", body, idempotency_key)

    async def list_sessions(self) -> list[Document]:
        sessions: list[Document] = []
        query: dict[str, Any] = {}
        while True:
            page = await self.call("GET", "sessions", query=query)
            sessions += page["sessions"]
            if page.get("next") is None:
                return sessions
            query = {"after": page["next"]}

    async def show_session(self, session_id: int) -> Document:
        return await self.call("GET", f"sessions/{session_id}")

    async def change_session(self, session_id: int, *, status: str) -> Document:
        """Set `name` or `status`: ACTIVE, PAUSED, HALTED, or STOPPED, which is final."""
        return await self.call("PATCH", f"sessions/{session_id}", {"status": status})

    async def list_events(self, session_id: int, *, since: int = 0) -> Document:
        """At most 10 000 `events` after number `since`, as the streams carry them."""
        return await self.call("GET", f"sessions/{session_id}/events", query={"since": since})

    # -- trades ------------------------------------------------------------------

    async def open_trade(
        self,
        session_id: int,
        symbol: str,
        quantity: int,
        *,
        side: str = "BUY",
        entry_price: Number | None = None,
        stop_loss: Number | None = None,
        target: Number | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        """Open a trade; without `entry_price`, at the last price."""
        body = {
            "symbol": symbol, "quantity": quantity, "side": side, "entryPrice": entry_price,
            "stopLoss": stop_loss, "target": target,
        }  # fmt: skip
        return await self._make(f"sessions/{session_id}/trades", body, idempotency_key)

    async def list_trades(
        self,
        session_id: int,
        *,
        status: str | None = None,
        limit: int | None = None,
        after: int | None = None,
    ) -> Document:
        """A page of `trades`, newest first; its `next` is the next page's `after`."""
        query = {"status": status, "limit": limit, "after": after}
        return await self.call("GET", f"sessions/{session_id}/trades", query=query)

    async def show_trade(self, trade_id: int) -> Document:
        return await self.call("GET", f"trades/{trade_id}")

    async def close_trade(
        self, trade_id: int, *, price: Number | None = None, idempotency_key: str | None = None
    ) -> Document:
        """Close a trade; without `price`, at the last one. If closed, 409: `problem["trade"]`."""
        return await self._make(f"trades/{trade_id}/close", {"price": price}, idempotency_key)

    # -- prices ------------------------------------------------------------------

    async def list_prices(self, symbols: Collection[str] | None = None) -> list[Document]:
        """The last prices, of all symbols or of those named that have one."""
        query = {} if symbols is None else {"symbols": ",".join(symbols)}
        return list((await self.call("GET", "prices", query=query))["prices"])

    async def push_ticks(self, ticks: Iterable[Mapping[str, object]]) -> Document:
        """Push prices, at most 1000: each a mapping with `symbol`, `price` and maybe `ts`.

        The answer counts the `accepted` ones and gives a reason for each of the `rejected`.
        """
        return await self.call("POST", "ticks", list(ticks))

    # -- market ------------------------------------------------------------------

    async def show_market(self) -> Document:
        """`marketState`, the `sessions` of the current `date`, all known `holidays`."""
        return await self.call("GET", "market")

    async def list_instruments(
        self, symbols: Collection[str] | None = None, *, search: str | None = None
    ) -> list[Document]:
        """What is known of these symbols, or of all; of those that contain the text `search`."""
        query = {"symbols": None if symbols is None else ",".join(symbols), "q": search}
        return list((await self.call("GET", "instruments", query=query))["instruments"])

    # -- any call ----------------------------------------------------------------

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        """Any call, by its path after ``/api/auto-trader/``; None members are left out."""
        if isinstance(body, Mapping):
            body = {name: value for name, value in body.items() if value is not None}
        text = None if body is None else numbers.encode(body)
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        url = self._base.joinpath(path.lstrip("/")).with_query(given)
        repeats = method in _REPEATABLE or idempotency_key is not None
        loop = asyncio.get_running_loop()
        give_up_at_s, attempt = loop.time() + self._timeout_s, 0
        while True:
            failed = await self._send(method, url, text, idempotency_key)
            if not isinstance(failed, ApiError):
                return failed
            delay_s = _back_off_s(attempt) + (failed.retry_after_s or 0)
            attempt += 1
            passes = failed.status is None or failed.status in _PASSING
            if not (repeats and passes) or loop.time() + delay_s > give_up_at_s:
                raise failed
            await asyncio.sleep(delay_s)

    async def _make(self, path: str, body: object, key: str | None) -> Document:
        return await self.call("POST", path, body, idempotency_key=key or uuid4().hex)

    async def _send(
        self, method: str, url: URL, text: str | None, key: str | None
    ) -> Document | ApiError:
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
    ) -> Document | ApiError:
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


def _read(response: aiohttp.ClientResponse, body: bytes, key: str | None) -> Document | ApiError:
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
