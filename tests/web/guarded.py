"""Servers with a key, and calls of those who have tokens."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

import aiohttp

from tests.access.signing import KEY, NOW_S, token
from tests.kit.rest import API, Rest
from tests.kit.streams import WebSocket

__all__ = [
    "KEY", "NOW_S", "Caller", "all_closed", "bearer", "caller", "post", "signed_in", "ticket",
    "token",
]  # fmt: skip


def bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(**claims)}"}


def all_closed(*sockets: WebSocket) -> asyncio.Future[list[int | None]]:
    """Read from here on, because the server waits for a second only, and return the codes."""
    return asyncio.gather(*(socket.closed() for socket in sockets))


@dataclass
class Caller(Rest):
    """The REST calls of somebody who has a token."""

    headers: dict[str, str]

    async def call(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(
            method, f"{self.url}{API}{path}", json=body, headers=self.headers | named
        ) as response:
            text = await response.read()
            return response.status, json.loads(text) if text else {}


def caller(rest: Rest, **claims: Any) -> Caller:
    """Somebody with a token that says so; by default an admin called root."""
    claims = {"sub": "root", "role": "admin"} if not claims else {"sub": "asha"} | claims
    return Caller(rest.url, rest.http, bearer(**claims))


async def ticket(who: Caller, path: str, query: str = "") -> str:
    status, document = await who.call("POST", "/tickets", {"path": path, "query": query})
    assert status == 201, document
    text: str = document["ticket"]
    return text


async def post(
    rest: Rest, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, Any], SimpleCookie]:
    """With cookies as a test gives them, not as a jar keeps them."""
    jar = aiohttp.DummyCookieJar()
    async with (
        aiohttp.ClientSession(cookie_jar=jar) as http,
        http.post(f"{rest.url}{API}{path}", json=body, headers=headers) as response,
    ):
        text = await response.read()
        return response.status, json.loads(text) if text else {}, response.cookies


async def signed_in(rest: Rest, **claims: Any) -> dict[str, str]:
    """The headers of a page of the server itself, once it has signed in."""
    status, _, cookies = await post(rest, "/sign-in", {"token": token(**claims)}, Origin=rest.url)
    assert status == 200
    return {"Cookie": f"vyomo-rt={cookies['vyomo-rt'].value}", "Origin": rest.url}
