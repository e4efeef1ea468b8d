"""What the log says, what it never says, and that nothing waits for its reader."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.forking import start_program
from tests.kit.server import MakeServer
from tests.kit.waiting import PATIENCE_S, until
from vyomo_rt import logs

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) +[\w.]+  .+\n"
)
SECRET = "S3CRET"
LONG = SECRET + "x" * 70_000
MALFORMED = b"GET / HTTP/9.9\r\n\r\n"
FLOOD = 1300
"""More lines than fit into a small pipe and the queue before it."""


# --- what is in a line


def record(text: str, **more: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "a.b", "levelname": "INFO", "msg": "%s", "args": (text,)} | more
    )


@given(st.text())
def test_whatever_a_line_holds_it_is_one_line_that_cannot_talk_to_a_terminal(text: str) -> None:
    assert logs.OneLine().format(record(text)).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[2J\x00\x07\x7f\x9b", r"\x1b[2J\x00\x07\x7f\x9b"),
        ("\u2028\u202e\ud800", r"\u2028\u202e\ud800"),
        ("₹ भारत 😀", "₹ भारत 😀"),
    ],
)
def test_what_cannot_be_printed_is_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert logs.OneLine().format(record(text)).endswith(f"  {shown}")


def test_no_line_of_a_traceback_looks_like_a_line_of_the_log() -> None:
    error = ValueError("x\n2026-11-26T10:00:00.000Z INFO  vyomo_rt  all is well\x1b[2J")
    first, *others = (
        logs.OneLine().format(record("", exc_info=(ValueError, error, None))).split("\n")
    )
    assert LINE.fullmatch(f"{first} \n") is not None
    assert others
    assert all(line.startswith("  ") and line.isprintable() for line in others)


# --- what clients send


def request(line: str, *headers: str, body: str = "") -> bytes:
    if body and "Transfer-Encoding: chunked" not in headers:
        headers = (*headers, f"Content-Length: {len(body)}")
    return "\r\n".join([line, "Host: localhost", *headers, "", body]).encode()


_POST = "POST /api/auto-trader/ticks HTTP/1.1"
_HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SENT = {
    "a long cookie": request("GET / HTTP/1.1", f"Cookie: a={LONG}"),
    "a long token": request("GET / HTTP/1.1", f"Authorization: Bearer {LONG}"),
    "a long query": request(f"GET /?ticket={LONG} HTTP/1.1"),
    "a query": request(f"GET /livez?ticket={SECRET} HTTP/1.1"),
    "a subprotocol": request(
        "GET /ws/auto-trader HTTP/1.1", *_HANDSHAKE, f"Sec-WebSocket-Protocol: {SECRET}"
    ),
    "a long subprotocol": request(
        "GET /ws/auto-trader HTTP/1.1", *_HANDSHAKE, f"Sec-WebSocket-Protocol: {LONG}"
    ),
    "a header's name": request("GET / HTTP/1.1", f"Coo kie: {SECRET}"),
    "a header's value": request("GET / HTTP/1.1", f"Cookie: {SECRET}\0"),
    "a length": request(_POST, f"Content-Length: {SECRET}"),
    "a version": request(f"GET /{SECRET} HTTP/9.9"),
    "an address": request(f"GET http://[{SECRET} HTTP/1.1"),
    "a control character": request(f"GET /{SECRET}\x1b[2J HTTP/1.1"),
    "a method": request(f"{SECRET} / HTTP/1.1"),
    "no HTTP": f"\x16\x03\x01{SECRET}\r\n\r\n".encode(),
    "no gzip": request(_POST, "Content-Encoding: gzip", body=SECRET),
    "no gzip, unread": request("GET /livez HTTP/1.1", "Content-Encoding: gzip", body=SECRET),
    "no chunk": request(_POST, "Transfer-Encoding: chunked", body=f"{SECRET}\r\n"),
    "a long chunk": request(_POST, "Transfer-Encoding: chunked", body=f"2\r\n{{}}{SECRET}\r\n"),
    "a type": request(_POST, f"Content-Type: {SECRET}; charset={SECRET}", body="{}"),
    "a line that is no tick": request(
        _POST, "Content-Type: application/x-ndjson", body=f'{{"symbol":"A","price":1}} {SECRET}'
    ),
    "an expectation": request(_POST, f"Expect: {SECRET}", body="{}"),
}


async def exchange(url: str, sent: bytes) -> None:
    """Send something and wait for the beginning of an answer, or for the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    writer.write(sent)
    async with asyncio.timeout(PATIENCE_S):
        await reader.read(1)
    writer.transport.abort()


async def test_no_line_repeats_what_a_client_sent_and_none_has_a_traceback(
    server_process: MakeServer,
) -> None:
    server = server_process()
    url = await server.start()
    for sent in SENT.values():
        await exchange(url, sent)
    assert await server.stop() == 0
    lines = [
        line for line in server.output if " in a browser" not in line and "listening" not in line
    ]
    assert SECRET not in "".join(lines)
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    text = "".join(lines)
    for what in ("a header is longer", "the address is longer", "the method is unknown", "Inval"):
        assert f"INFO  vyomo_rt.web.http  refused an invalid HTTP request: {what}" in text


async def test_at_level_error_no_client_can_cause_a_line(server_process: MakeServer) -> None:
    server = server_process("--log-level", "error")
    url = await server.start()
    for sent in SENT.values():
        await exchange(url, sent)
    assert await server.stop() == 0
    assert [line for line in server.output if LINE.fullmatch(line)] == []
    assert len(server.output) == 2


# --- who reads it


def small_pipe() -> tuple[int, int]:
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
    return ends


async def flood(url: str, count: int) -> None:
    """Cause so many lines."""
    at_once = asyncio.Semaphore(50)

    async def one() -> None:
        async with at_once:
            await exchange(url, MALFORMED)

    await asyncio.gather(*(one() for _ in range(count)))


async def test_a_log_that_nobody_reads_stops_nothing_and_later_says_what_is_missing(
    tmp_path: Path,
) -> None:
    reading, writing = small_pipe()
    flags = ("--port", 0, "--data-dir", tmp_path)
    server = await start_program("serve", *flags, stderr=writing)
    os.close(writing)
    log = os.fdopen(reading, "rb")
    lines: list[bytes] = []
    stop_reading = False

    def read() -> None:
        while not stop_reading:
            lines.append(log.readline())

    reader = Thread(target=read)
    try:
        assert server.stdout is not None
        greeting = (await server.stdout.readline()).decode()
        url = re.findall(r"http://\S+", greeting)[0]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as http:
            await flood(url, FLOOD)  # each of these is answered
            async with http.get(f"{url}/livez") as response:
                assert response.status == 200
            reader.start()

            def dropped() -> list[int]:
                return [
                    int(n) for n in re.findall(rb"(\d+) log lines were dropped", b"".join(lines))
                ]

            await until(dropped)
            refused = sum(b"refused an invalid HTTP request" in line for line in lines)
            assert refused + sum(dropped()) >= FLOOD
            assert 0 < sum(dropped()) < FLOOD
        stop_reading = True
        await flood(url, 200)  # the pipe is full once more
        server.terminate()
        async with asyncio.timeout(PATIENCE_S):
            assert await server.wait() == 0
    finally:
        stop_reading = True
        if server.returncode is None:
            server.kill()
            await server.wait()
        if reader.ident is not None:
            reader.join()
        log.close()


def test_a_line_by_itself_is_written_at_once_and_those_that_follow_closely_together() -> None:
    lines = 60
    # Each write becomes a message of its own.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.settimeout(10)
        handler = logs.PatientHandler(ours.fileno())
        begun_s = time.monotonic()
        handler.emit(record("first"))
        assert theirs.recv(1000) == b"first\n"
        for number in range(lines):
            handler.emit(record(str(number)))
            time.sleep(0.002)
        handler.flush()
        most = 2 + (time.monotonic() - begun_s) / logs.PAUSE_S
        theirs.setblocking(False)
        writes = []
        with suppress(BlockingIOError):
            while True:
                writes.append(theirs.recv(10_000))
    assert b"".join(writes).split() == [b"%d" % number for number in range(lines)]
    assert len(writes) <= most


async def test_a_greeting_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    reading, writing = small_pipe()
    os.set_blocking(writing, False)
    os.write(writing, b" " * 4096)
    os.set_blocking(writing, True)
    flags = ("--port", 0, "--data-dir", tmp_path)
    server = await start_program("serve", *flags, stdout=writing)
    os.close(writing)
    try:
        assert server.stderr is not None
        async with asyncio.timeout(20):
            while not (found := re.findall(rb"at (http://\S+)", await server.stderr.readline())):
                pass
        await exchange(found[0].decode(), request("GET /livez HTTP/1.1"))
        server.terminate()
        async with asyncio.timeout(PATIENCE_S):
            await server.stderr.read()
            assert await server.wait() == 0
    finally:
        os.close(reading)
        if server.returncode is None:
            server.kill()
            await server.wait()
