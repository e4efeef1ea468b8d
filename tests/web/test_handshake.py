"""Which WebSocket handshakes are accepted, by which subprotocol, and what a refusal says."""

from __future__ import annotations

import logging

import pytest

from tests.kit.frames import HANDSHAKE, frame, raw_socket
from tests.kit.rest import Rest

PING = frame(b'{"type":"ping","id":1}')
SECRET = "vyomo-rt.token.c2VjcmV0"


async def handshake(rest: Rest, request: str) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer; an accepted WebSocket has answered a ping."""
    async with raw_socket(rest.url) as raw:
        await raw.send(request.encode())
        status, *lines = (await raw.head()).split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        code = int(status.split()[1])
        if code == 101:
            await raw.send(PING)
            assert (await raw.next("pong"))["id"] == 1
        return code, {name.lower(): value for name, value in headers.items()}


def having(**fields: str | None) -> str:
    """The handshake with other values of headers, ``_`` for ``-``; None leaves one out."""
    first, *lines = HANDSHAKE.removesuffix("\r\n\r\n").split("\r\n")
    headers: dict[str, str | None] = {}
    headers |= dict(line.split(": ", 1) for line in lines)
    headers |= {name.replace("_", "-"): value for name, value in fields.items()}
    kept = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([first, *kept]) + "\r\n\r\n"


async def test_the_answer_is_the_one_of_the_rfcs_example(server: Rest) -> None:
    status, headers = await handshake(server, HANDSHAKE)
    assert status == 101
    assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert (headers["upgrade"], headers["connection"]) == ("websocket", "Upgrade")
    assert "sec-websocket-protocol" not in headers


@pytest.mark.parametrize(
    "request_",
    [
        having(Upgrade="websocket, foo"),
        having(Upgrade="foo/1,WebSocket"),
        having(Connection="keep-alive, UPGRADE"),
        having(Connection="keep-alive").replace("keep-alive", "keep-alive\r\nConnection: upgrade"),
    ],
)
async def test_headers_that_are_lists_are_read_as_lists(shared_server: Rest, request_: str) -> None:
    assert (await handshake(shared_server, request_))[0] == 101


@pytest.mark.parametrize("version", ["7", "8", "12", "14", "0", "x", "13, 8", "", None])
async def test_another_version_than_13_is_told_which_one_is_spoken(
    shared_server: Rest, version: str | None
) -> None:
    status, headers = await handshake(shared_server, having(Sec_WebSocket_Version=version))
    assert (status, headers["sec-websocket-version"]) == (426, "13")
    assert (headers["upgrade"], headers["connection"]) == ("websocket", "Upgrade")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0"), "needs HTTP/1.1"),
        (having(Upgrade=None), "Upgrade: websocket"),
        (having(Upgrade="h2c"), "Upgrade: websocket"),
        (having(Connection="keep-alive"), "Connection: Upgrade"),
        (having(Sec_WebSocket_Key=None), "Sec-WebSocket-Key"),
        (having(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ"), "Sec-WebSocket-Key"),
        (having(Sec_WebSocket_Key="c2hvcnQ="), "Sec-WebSocket-Key"),
        (having(Sec_WebSocket_Key="dGhl!HNhbXBsZSBub25jZQ=="), "Sec-WebSocket-Key"),
        (having(Sec_WebSocket_Protocol=SECRET), "offer vyomo-rt.v1 as well"),
    ],
)
async def test_what_is_no_handshake_is_refused_with_what_is_missing(
    shared_server: Rest, request_: str, why: str
) -> None:
    async with raw_socket(shared_server.url) as raw:
        await raw.send(request_.encode())
        status, problem = await raw.answer()
        assert status == 400
        assert problem["code"] == "bad_request"
        assert why in problem["detail"]
        assert SECRET not in problem["detail"]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("vyomo-rt.v1", "vyomo-rt.v1"),
        ("chat, vyomo-rt.v1", "vyomo-rt.v1"),
        (f"{SECRET}, vyomo-rt.v1", "vyomo-rt.v1"),
        (f"{SECRET},wamp , mqtt", "wamp"),
        (f"{SECRET}\r\nSec-WebSocket-Protocol: vyomo-rt.v1", "vyomo-rt.v1"),
        ("", None),
    ],
)
async def test_a_subprotocol_that_is_offered_is_answered_and_never_a_token(
    shared_server: Rest, offered: str, chosen: str | None
) -> None:
    status, headers = await handshake(shared_server, having(Sec_WebSocket_Protocol=offered))
    assert (status, headers.get("sec-websocket-protocol")) == (101, chosen)


async def test_a_handshake_logs_that_it_opened_and_nothing_of_its_subprotocols(
    server: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for offered in (f"{SECRET}, secret-name", SECRET):
        await handshake(server, having(Sec_WebSocket_Protocol=offered))
    ours = [r for r in caplog.records if not r.name.startswith(("asyncio", "pymongo"))]
    assert {r.name for r in ours} == {"vyomo_rt.web.connection"}, caplog.text
    assert sum(" opened from " in r.getMessage() for r in ours) == 1
    assert "c2VjcmV0" not in caplog.text
    assert "secret-name" not in caplog.text
