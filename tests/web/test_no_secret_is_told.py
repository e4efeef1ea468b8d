"""Tokens, tickets and cookies stand in no log line, error, metric or stored document."""

from __future__ import annotations

import logging
from contextlib import suppress

import aiohttp
import pytest

from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream, web_socket
from tests.web.calls import Clock
from tests.web.guarded import KEY, NOW_S, bearer, caller, post, signed_in, ticket, token
from vyomo_rt.store.client import connect, database_of

BAD = token(KEY[::-1])
"""Well-formed, and signed by somebody else."""


async def test_no_secret_stands_in_a_log_line_an_error_a_metric_or_the_store(
    make_settings: MakeSettings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = make_settings(auth_key=KEY)
    told: list[str] = []
    async with serve_here(settings, now=clock) as rest:
        viewer = caller(rest, jti="t1")
        page = await signed_in(rest, jti="t1")
        stream = await ticket(viewer, "/sse/prices", "symbols=A")
        once = await ticket(viewer, "/ws/auto-trader")
        door = await ticket(viewer, "/")
        secrets = [KEY, BAD, page["Cookie"].partition("=")[2], stream, once, door]
        secrets += [token(jti="t1"), token(exp=NOW_S - 60), token(sub="root", role="admin")]
        for headers in (page, {"Authorization": f"Bearer {BAD}"}, bearer(exp=NOW_S - 60)):
            told.append(await text_of(rest, f"{API}/me", **headers))
            told.append(await text_of(rest, f"{API}/typo", **headers))
        for bad in (stream[1:], once[1:]):
            told.append(await text_of(rest, f"/sse/prices?symbols=A&ticket={bad}"))
            secrets.append(bad)
        told.append(await text_of(rest, f"/sse/prices?typo&ticket={stream}"))
        told.append(await text_of(rest, f"{API}/me?ticket={once}"))
        for body in ({"ticket": door}, {"ticket": door}, {"token": BAD}, {"tokn": BAD}):
            told += [str((await post(rest, "/sign-in", body))[1])]
        async with (
            event_stream(rest.url, f"/sse/prices?symbols=A&ticket={stream}") as events,
            web_socket(rest.url) as socket,
        ):
            await events.next("ack")
            await socket.ask("auth", token=token(jti="t1"))
            await socket.ask("auth", token=BAD)
            protocols = ["vyomo-rt.v1", f"vyomo-rt.token.{BAD}"]
            with suppress(aiohttp.WSServerHandshakeError):
                await rest.http.ws_connect(f"{rest.url}/ws/auto-trader", protocols=protocols)
            told.append(await text_of(rest, "/metrics"))
            told += [str(await caller(rest).call("GET", "/connections"))]
            await caller(rest).call("POST", "/revocations", {"jti": "t1"})
            await socket.closed()
            told += socket.texts + events.texts
        client = connect(settings.mongo_uri or "")
        database = client[database_of(client) or ""]
        for name in await database.list_collection_names():
            told.append(str(await database[name].find({}).to_list(None)))
        client.close()
    told.append(caplog.text)
    whole = "\n".join(told)
    assert len(whole) > 10_000
    for secret in secrets:
        # Of a token the part that signs it is enough to use the rest, which anybody may guess.
        assert secret not in whole
        assert secret.rpartition(".")[2] not in whole


async def text_of(rest: Rest, path: str, **headers: str) -> str:
    async with rest.http.get(rest.url + path, headers=headers) as response:
        return f"{response.headers}{await response.text()}"
