"""Bodies of requests: how long one may be, how it may be packed, and that none holds the loop."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kit.frames import raw_socket
from tests.kit.rest import API, Rest
from tests.kit.server import ServerProcess, serve_here
from vyomo_rt.config import Settings

MIB = 1024 * 1024
TICK = b'{"symbol":"NIFTY","price":23841.25}'
MAX_GAP_S = 0.020
TRIES = 5

WIDE = b'{"x":[' + b"1," * (MIB // 2 - 10) + b"1]}"
BODIES: dict[str, bytes] = {
    "lines that are no JSON": b"{}\n" + b"x\n" * (MIB // 2 - 4),
    "blank lines": TICK + b"\n" * (MIB - 100),
    "carriage returns": TICK + b"\n" + b"x\r" * (MIB // 2 - 60),
    "lines of a day": (TICK + b"\n") * (MIB // (len(TICK) + 1)),
    "a thousand ticks": b"[" + b",".join([TICK] * 1000) + b"]",
    "a thousand ticks that are refused": b"[" + b",".join([b'{"symbol":"A!","x":1}'] * 1000) + b"]",
    "a thousand long lines that are refused": (b'{"symbol":"' + b"\\n" * 500 + b'"}\n') * 1000,
    "a wide array": b"[" + b"1," * (MIB // 2 - 4) + b"1]",
    "a wide member": WIDE,
    "as many members as are read": json.dumps({f"m{i}": 1.5 for i in range(980)}).encode(),
    "decimals": b"[" + b"1.5," * (MIB // 4 - 4) + b"1]",
    "as many decimals as are read": b'{"x":[' + b"1.500," * 980 + b"1.5]}",
    "deep arrays": b"[" * MIB,
    "deep objects": (b'{"a":' * MIB)[:MIB],
    "a huge integer": b'{"price":' + b"9" * (MIB - 20) + b"}",
    "a huge decimal": b'{"symbol":"A","price":1.' + b"9" * (MIB - 40) + b"}",
    "many long integers": b"[" + b",".join([b"9" * 300] * (MIB // 301)) + b"]",
    "a long string": b'{"name":"' + b"x" * (MIB - 20) + b'"}',
    "escapes": b'{"symbol":"' + b"\\n" * (MIB // 2 - 20) + b'","price":1}',
    "escaped surrogates": b'{"symbol":"' + b"\\ud83d\\ude00" * (MIB // 12 - 5) + b'"}',
    "a long name of a member": b'{"' + b"x" * (MIB - 20) + b'":1}',
    "UTF-16": (b"[" + b"1," * (MIB // 4 - 4) + b"1]").decode().encode("utf-16"),
    "nothing but spaces": b" " * MIB,
}


def make_bomb() -> bytes:
    """Half a gigabyte of zeros in half a megabyte, of which the end is missing."""
    packer = zlib.compressobj(9, wbits=-15)
    one = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + one * 512


BOMB = make_bomb()


async def commands(server: Rest) -> list[tuple[str, str]]:
    """Method and path of every call that takes a body, by the contract."""
    async with server.http.get(f"{server.url}/api/openapi.json") as response:
        paths = (await response.json())["paths"]
    return [
        (method.upper(), re.sub(r"{\w+}", "1", path))
        for path, operations in paths.items()
        for method in operations
        if method != "get"
    ]


@pytest.mark.quiet(4)
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("no_collector")
async def test_no_body_holds_the_loop(server: Rest) -> None:
    """Whatever comes within a MiB, packed or not: the loop turns every 20 ms.

    Judged by the processor time between two turns, which other programs do not use up;
    what went over, for example because a cache was cold, has to go over again and again.
    """
    await server.new_session()
    await server.open_trade(1)
    order = {"symbol": "NIFTY", "quantity": 1, "type": "LIMIT", "price": 1, "validity": "GTC"}
    await server.call("POST", "/sessions/1/orders", order)
    packed = {f"{name}, packed": gzip.compress(body, 6) for name, body in BODIES.items()}
    slow = {}
    for name, body in (BODIES | packed | {"a bomb": BOMB}).items():
        head = {"Idempotency-Key": "k"}
        if name.endswith("packed") or body is BOMB:
            head["Content-Encoding"] = "gzip"
        for method, path in await commands(server):
            request = _request(method, path, body, head)
            for _ in range(TRIES):
                if (gap_s := await longest_turn_s(server, request)) < MAX_GAP_S:
                    break
            else:
                slow[f"{method} {path}: {name}"] = gap_s
    assert not slow


async def longest_turn_s(server: Rest, request: bytes) -> float:
    """The longest that the loop worked at a stretch while it answered a request."""
    turns: list[float] = []

    async def tick() -> None:
        while True:
            before_s = time.thread_time()
            await asyncio.sleep(0.001)
            turns.append(time.thread_time() - before_s)

    ticking = asyncio.create_task(tick())
    # The client's work is the system's: one write, and an answer of which the head is read.
    async with raw_socket(server.url) as raw:
        await raw.send(request)
        status = await raw.head()
    assert status.split()[1] in {"200", "204", "400", "409", "413", "422"}, status
    await asyncio.sleep(0.002)
    ticking.cancel()
    return max(turns)


def _request(method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


async def test_a_bomb_at_any_path_costs_nothing(
    server_process: Callable[..., ServerProcess],
) -> None:
    """512 MiB in half a MiB, where a body is read, refused or not even looked at."""
    process = server_process("--feed", "ingest")
    url = await process.start()
    pid = process.process.pid
    async with aiohttp.ClientSession() as http:
        paths = await commands(Rest(url, http))
        paths += [("GET", "/"), ("POST", "/livez"), ("POST", "/nothing")]

        async def post(method: str, path: str) -> int:
            async with http.request(method, url + path, data=BOMB, headers=PACKED) as response:
                await response.read()
                return response.status

        before_s = cpu_s(pid)
        statuses = [await post(method, path) for method, path in paths]
        used_s = (cpu_s(pid) - before_s) / len(paths)
    assert set(statuses) <= {200, 204, 404, 405, 409, 413}, statuses
    assert used_s < 0.1, "to inflate it takes more than 0.3 s"


PACKED = {"Content-Encoding": "gzip", "Content-Type": "application/octet-stream"}


def cpu_s(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@asynccontextmanager
async def posted(
    server: Rest, path: str, body: bytes, **headers: str
) -> AsyncIterator[tuple[int, dict[str, Any], aiohttp.ClientResponse]]:
    """Status, JSON and answer of a POST of exactly these bytes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = server.http.post(f"{server.url}{API}{path}", data=BytesIO(body), headers=named)
    async with request as response:
        yield response.status, json.loads(await response.read()), response


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body, wbits=-15)),
        ("identity", bytes),
    ],
    ids=["gzip", "GZIP", "deflate", "deflate without a header", "identity"],
)
async def test_ticks_may_be_packed(
    server: Rest, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    lines = pack((TICK + b"\n") * 200)
    async with posted(server, "/ticks", lines, Content_Encoding=encoding) as (status, answer, _):
        assert (status, answer) == (200, {"accepted": 200, "rejected": []})


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"hello", "not"),
        (b"", "JSON"),
        (gzip.compress(TICK)[:-9], "ends too early"),
        (gzip.compress(TICK) + b"more", "follows its end"),
        (gzip.compress(TICK)[:-8] + bytes(8), "not"),
    ],
    ids=["no gzip", "nothing", "half of it", "more than it", "a wrong sum"],
)
async def test_a_body_that_is_no_gzip_is_refused_without_a_word_in_the_log(
    server: Rest, caplog: pytest.LogCaptureFixture, body: bytes, word: str
) -> None:
    async with posted(server, "/ticks", body, Content_Encoding="gzip") as (status, problem, _):
        assert status == 400
        assert word in problem["detail"]
    assert not caplog.records


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 100])
async def test_an_unknown_encoding_is_refused_and_the_known_ones_are_named(
    shared_server: Rest, encoding: str
) -> None:
    for path in ("/sessions", "/ticks"):
        async with posted(shared_server, path, b"x", Content_Encoding=encoding) as (
            status,
            problem,
            answer,
        ):
            assert (status, problem["field"]) == (415, "Content-Encoding")
            assert len(problem["detail"]) < 150
            assert answer.headers["Accept-Encoding"] == "gzip, deflate"


async def test_a_body_has_at_most_64_kib_and_ticks_a_mib_packed_or_not(server: Rest) -> None:
    session = b'{"startingCapital":1}'
    for path, body, limit in (("/sessions", session, 64 * 1024), ("/ticks", TICK, MIB)):
        for size, fits in ((limit, True), (limit + 1, False)):
            padded = body + b" " * (size - len(body))
            for data, encoding in ((padded, "identity"), (gzip.compress(padded), "gzip")):
                async with posted(server, path, data, Content_Encoding=encoding) as answer:
                    status, document, _ = answer
                    assert (status < 300) is fits, (path, size, encoding)
                    if not fits:
                        assert (status, document["code"]) == (413, "limit_exceeded")
                        assert f"{limit >> 10} KiB" in document["detail"]


async def test_a_body_without_a_length_is_cut_off_at_the_limit(server: Rest) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 64 * 1024
            yield bytes(64 * 1024)

    async with server.http.post(f"{server.url}{API}/sessions", data=endless()) as response:
        assert response.status == 413
    assert sent < 64 * MIB


async def test_a_thousand_ticks_take_turns_with_other_requests(tmp_path: Path) -> None:
    """A batch is not one piece of work: a probe that comes meanwhile is answered before."""
    async with serve_here(Settings(port=0, data_dir=tmp_path / "data")) as server:
        rows = json.dumps([{"symbol": "A!", "price": "x"}] * 1000).encode()
        order = []

        async def batch() -> None:
            async with posted(server, "/ticks", rows) as (status, _, _):
                order.append(("ticks", status))

        async def probe() -> None:
            async with server.http.get(f"{server.url}/livez") as response:
                order.append(("livez", response.status))

        await asyncio.gather(batch(), *(probe() for _ in range(3)))
        assert order[-1] == ("ticks", 422)
