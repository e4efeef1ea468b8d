"""What no handler is asked about: refused in the one format, without a word of what was sent."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from tests.kit.rest import API, Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import event_stream
from tests.kit.waiting import PATIENCE_S

ORIGIN = "http://localhost:5173"
SECRET = "5ecre7"
_HEAD = f"Host: localhost\r\nOrigin: {ORIGIN}\r\n"
_TICKS = f"POST {API}/ticks HTTP/1.1\r\n{_HEAD}"
_CHUNKED = f"{_TICKS}Transfer-Encoding: chunked\r\n\r\n"
_MANY = "".join(f"X-{number}: {SECRET}\r\n" for number in range(127))

REFUSED = {
    "a bad chunk": (f"{_CHUNKED}Z{SECRET}\r\n", 400, "chunk size", "body"),
    "a long header": (
        f"GET / HTTP/1.1\r\n{_HEAD}Cookie: {SECRET}{'x' * 65536}\r\n\r\n",
        431,
        "a header is longer than 65536 bytes: is it the cookies of localhost?",
        "headers",
    ),
    "a long address": (
        f"GET /{SECRET * 12000} HTTP/1.1\r\n{_HEAD}\r\n",
        414,
        "the address is longer than 65535 bytes",
        "path",
    ),
    "many headers": (
        f"GET / HTTP/1.1\r\n{_HEAD}{_MANY}\r\n",
        431,
        "more than 128 headers",
        "headers",
    ),
    "no Host": (f"GET / HTTP/1.1\r\nOrigin: {ORIGIN}\r\n\r\n", 400, "'Host'", "Host"),
    "two Hosts": (f"GET / HTTP/1.1\r\n{_HEAD}Host: {SECRET}\r\n\r\n", 400, "'Host'", "Host"),
    "a method that there is not": (f"{SECRET} / HTTP/1.1\r\n{_HEAD}\r\n", 400, "method", "method"),
    "a version that there is not": (f"GET / {SECRET}\r\n{_HEAD}\r\n", 400, "first line", "path"),
    "a header's name": (
        f"GET / HTTP/1.1\r\n{_HEAD}B@d {SECRET}: 1\r\n\r\n",
        400,
        "header",
        "headers",
    ),
    "a header's value": (
        f"GET / HTTP/1.1\r\n{_HEAD}X: {SECRET}\0\r\n\r\n",
        400,
        "header",
        "headers",
    ),
    "a length": (
        f"{_TICKS}Content-Length: {SECRET}\r\n\r\n",
        400,
        "Content-Length",
        "Content-Length",
    ),
    "an expectation": (
        f"{_TICKS}Expect: magic\r\nContent-Length: 2\r\n\r\n[]",
        417,
        "Expect",
        "Expect",
    ),
    "an encoding": (
        f"{_TICKS}Connection: close\r\nContent-Encoding: zstd\r\nContent-Length: 2\r\n\r\n[]",
        415,
        "zstd",
        "Content-Encoding",
    ),
    "a folder of files": (
        f"GET /static/ HTTP/1.1\r\nConnection: close\r\n{_HEAD}\r\n",
        404,
        "/static/",
        "path",
    ),
}


async def answer_to(url: str, sent: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what is answered until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    writer.write(sent.encode())
    async with asyncio.timeout(PATIENCE_S):
        text = await reader.read()
    writer.close()
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_request_gets_a_problem_document_too(server: Rest, name: str) -> None:
    """And a page of an allowed origin may read it: a dashboard learns what is wrong."""
    sent, expected, words, field = REFUSED[name]
    status, headers, body = await answer_to(server.url, sent)
    problem = json.loads(body)
    assert (status, problem["status"]) == (expected, expected)
    assert words in problem["detail"]
    assert problem["field"] == field
    assert problem["code"] == ("limit_exceeded" if status in {414, 431} else "bad_request") or (
        status == 404
    )
    assert SECRET not in str(headers) + str(problem)
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    assert headers["connection"] == "close"
    assert headers["access-control-allow-origin"] == ORIGIN


AT_FAULT = {
    ("DELETE", "/"): (405, "method"),
    ("PROPFIND", "/livez"): (405, "method"),
    ("PUT", f"{API}/sessions"): (405, "method"),
    ("HEAD", "/ws/auto-trader"): (405, None),
    ("GET", "/nothing"): (404, "path"),
    ("GET", "/static/none.js"): (404, "path"),
    ("GET", f"{API}/nothing"): (404, "path"),
    ("GET", f"{API}/sessions/99"): (404, "sessionId"),
    ("GET", f"{API}/sessions/x"): (404, "sessionId"),
    ("GET", f"{API}/trades/99"): (404, "tradeId"),
    ("GET", f"{API}/connections/x"): (404, "connectionId"),
    ("GET", f"{API}/sessions?limit=0"): (400, "limit"),
    ("GET", "/sse/auto-trader"): (400, "query"),
    ("GET", "/sse/prices"): (400, "symbols"),
    ("GET", "/sse/prices?symbols=A&keepAlive=no"): (400, "keepAlive"),
    ("GET", "/sse/auto-trader?sessionId=99"): (404, "sessionId"),
    ("GET", "/sse/sessions/1?since=-1"): (400, "since"),
    ("GET", "/ws/auto-trader"): (400, "Upgrade"),
    ("POST", f"{API}/sessions"): (400, "body"),
    ("POST", f"{API}/ticks"): (400, "body"),
}


async def test_every_refusal_names_what_is_at_fault(server: Rest) -> None:
    for (method, path), (expected, field) in AT_FAULT.items():
        async with server.http.request(method, f"{server.url}{path}") as response:
            body = await response.read()
            assert response.status == expected, (method, path)
            assert response.content_type == "application/problem+json", (method, path)
            assert response.headers["Cache-Control"] == "no-store", (method, path)
        if method != "HEAD":
            assert json.loads(body)["field"] == field, (method, path)


async def test_a_strange_host_or_origin_is_named_by_its_header(server: Rest) -> None:
    for name, value in (("Host", "evil.example"), ("Origin", "https://evil.example")):
        async with server.http.get(f"{server.url}{API}/sessions", headers={name: value}) as refused:
            assert (await refused.json(content_type=None))["field"] == name


async def test_a_file_or_contract_that_has_changed_is_refused_in_the_same_format(
    server: Rest,
) -> None:
    """A range is not looked at: all of a short file is an answer that suits everybody."""
    for path in ("/static/vyomo-rt.js", "/api/openapi.json"):
        async with server.http.get(server.url + path) as response:
            tag, whole = response.headers["ETag"], await response.read()
        for headers, expected in (
            ({"If-Match": '"another"'}, 412),
            ({"If-Match": f"W/{tag}"}, 412),
            ({"If-Match": tag}, 200),
            ({"If-Match": "*"}, 200),
            ({"If-None-Match": f'"a", W/{tag}'}, 304),
            ({"Range": "bytes=5-2"}, 200),
            ({"Range": "bytes=99999999-"}, 200),
            ({"Range": "lines"}, 200),
            ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
        ):
            async with server.http.get(server.url + path, headers=headers) as response:
                body = await response.read()
                assert response.status == expected, (path, headers)
            if expected == 412:
                problem = json.loads(body)
                assert (problem["code"], problem["field"]) == ("conflict", "If-Match")
            else:
                assert body == (whole if expected == 200 else b"")


async def test_files_are_those_that_are_there_and_nothing_else(server: Rest) -> None:
    for path in (
        "none.js",
        "console",
        "console/",
        "../pages.py",
        "%2e%2e/pages.py",
        "//etc/passwd",
    ):
        status, headers, body = await answer_to(
            server.url, f"GET /static/{path} HTTP/1.1\r\n{_HEAD}Connection: close\r\n\r\n"
        )
        assert (status, json.loads(body)["code"]) == (404, "not_found"), path
        assert headers["content-type"] == "application/problem+json"
    async with server.http.get(f"{server.url}/static/vyomo-rt.js") as response:
        tag = response.headers["ETag"]
        assert "javascript" in response.content_type
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    for path, kind in (
        ("vyomo-rt.d.ts", "text/plain"),
        ("console/console.css", "text/css"),
        ("console/icon.svg", "image/svg+xml"),
        ("console/main.js", "text/javascript"),
    ):
        async with server.http.get(f"{server.url}/static/{path}") as response:
            assert (response.status, response.content_type) == (200, kind)
    headers = {"If-None-Match": tag}
    async with server.http.get(f"{server.url}/static/vyomo-rt.js", headers=headers) as response:
        assert response.status == 304


async def test_no_answer_is_taken_for_another_type(server: Rest) -> None:
    """Neither a page, a document, a refusal, nor what is no request at all."""
    for path in ("/", "/static/vyomo-rt.js", "/livez", f"{API}/sessions", f"{API}/none", "/x"):
        async with server.http.get(server.url + path) as response:
            assert response.headers["X-Content-Type-Options"] == "nosniff", path
    async with event_stream(server.url, "/sse/prices?symbols=A") as stream:
        assert stream.headers["x-content-type-options"] == "nosniff"
    _, headers, _ = await answer_to(server.url, REFUSED["two Hosts"][0])
    assert headers["x-content-type-options"] == "nosniff"


async def test_a_page_of_a_strange_origin_may_not_read_it(server: Rest) -> None:
    sent = REFUSED["two Hosts"][0].replace(ORIGIN, "https://evil.example")
    _, headers, _ = await answer_to(server.url, sent)
    assert "access-control-allow-origin" not in headers
    assert headers["vary"] == "Origin"


async def test_the_cookies_of_other_programs_are_no_trouble(server: Rest) -> None:
    for cookies in (9000, 60_000):
        headers = {"Cookie": "a=" + "x" * cookies}
        async with server.http.get(f"{server.url}/livez", headers=headers) as response:
            assert response.status == 200
        async with server.http.ws_connect(f"{server.url}/ws/auto-trader", headers=headers) as ws:
            await ws.send_str('{"type":"ping"}')
            assert "pong" in (await ws.receive()).data


async def test_a_chunk_that_is_malformed_later_on_is_given_up(make_settings: MakeSettings) -> None:
    """aiohttp tells nobody: it looks like a body that does not come."""
    async with serve_here(make_settings(request_timeout_s=0.2)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(server.url).port)
        writer.write(f"{_CHUNKED}1\r\n[\r\n".encode())
        await writer.drain()
        writer.write(b"zz\r\n")
        async with asyncio.timeout(PATIENCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] in {b"400", b"408"}, "400 if both came at once"
        writer.close()


PATHS = [
    "/",
    "/static/vyomo-rt.js",
    "/static/none.js",
    f"{API}/sessions",
    f"{API}/sessions/99",
    "/livez",
    "/metrics",
]
PATHS += ["/livez", "/readyz", "/metrics", "/api/openapi.json", "/sse/prices?symbols=A"]
PATHS += ["/sse/prices", "/nothing"]


async def test_no_answer_names_versions(server: Rest) -> None:
    for path in PATHS:
        async with server.http.get(server.url + path) as response:
            assert response.headers["Server"] == "vyomo-rt", path
    async with server.http.ws_connect(f"{server.url}/ws/auto-trader") as ws:
        assert ws._response.headers["Server"] == "vyomo-rt"


async def test_what_is_true_only_now_is_stored_by_no_cache(make_settings: MakeSettings) -> None:
    """Files, pages and contracts are asked for again by their tag; a stream is no document."""
    async with serve_here(make_settings(feed=("sim",))) as server:
        for path in PATHS:
            async with server.http.get(server.url + path) as response:
                kept = response.headers.get("Cache-Control")
                is_document = path.startswith((API, "/livez", "/readyz", "/metrics"))
                if is_document or response.status >= 400:
                    assert kept == "no-store", path
                else:
                    assert kept in {"no-cache", "no-cache, no-transform"}, path
        status, _ = await server.call("POST", "/ticks", {"symbol": "A", "price": 1})
        assert status == 409
        async with server.http.post(f"{server.url}{API}/ticks") as response:
            assert response.headers["Cache-Control"] == "no-store"
