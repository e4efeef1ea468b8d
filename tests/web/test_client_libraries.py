"""Client libraries that were not written here all see the same story.

What a library does wrong against any server stands in the docstring of its reader.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest
import requests
import sseclient
import urllib3
import websocket
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tests.kit.machine import missing, program
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import query, watching
from tests.kit.waiting import PATIENCE_S

Say = Callable[[str], None]
TRADES = 20
SOON_S = 0.02
TIMEOUT_S = 30
PROTOCOL = "vyomo-rt.v1"
JS = Path(__file__).parents[1] / "js"


def said(lines: Iterable[str], say: Say) -> None:
    """Hand on the data of SSE lines."""
    for line in lines:
        if line.startswith("data: "):
            say(line.removeprefix("data: ").rstrip("\n"))


def all_of(texts: Iterable[str | bytes], say: Say) -> None:
    for text in texts:
        say(str(text))


def requests_lines(url: str, _commands: list[str], say: Say) -> None:
    with requests.Session() as http, http.get(url, stream=True, timeout=TIMEOUT_S) as response:
        said(response.iter_lines(decode_unicode=True), say)


def requests_content(url: str, _commands: list[str], say: Say) -> None:
    with requests.Session() as http, http.get(url, stream=True, timeout=TIMEOUT_S) as response:
        for content in response.iter_content(None):
            said(content.decode().split("\n"), say)


def urllib3_stream(url: str, _commands: list[str], say: Say) -> None:
    with (
        urllib3.PoolManager() as pool,
        pool.request("GET", url, preload_content=False, timeout=TIMEOUT_S) as response,
    ):
        for content in response.stream():
            said(content.decode().split("\n"), say)


def urllib_lines(url: str, _commands: list[str], say: Say) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        said((line.decode() for line in response), say)


def sseclient_py(url: str, _commands: list[str], say: Say) -> None:
    """It takes the end of the stream in the midst of an event for an event."""
    with requests.Session() as http, http.get(url, stream=True, timeout=TIMEOUT_S) as response:
        for event in sseclient.SSEClient(response.iter_content(None)).events():
            say(event.data)


def httpx_sse_client(url: str, _commands: list[str], say: Say) -> None:
    with (
        httpx.Client(timeout=TIMEOUT_S) as http,
        httpx_sse.connect_sse(http, "GET", url) as source,
    ):
        for event in source.iter_sse():
            say(event.data)


def websocket_client(url: str, commands: list[str], say: Say) -> None:
    """Its `close` leaves the socket open where the server has closed first."""
    ws = websocket.create_connection(url, subprotocols=[PROTOCOL], timeout=TIMEOUT_S)
    try:
        for command in commands:
            ws.send(command)
        opcode, data = ws.recv_data()
        while opcode == websocket.ABNF.OPCODE_TEXT:
            say(data.decode())
            opcode, data = ws.recv_data()
        assert int.from_bytes(data[:2]) == 4001
    finally:
        ws.shutdown()  # type: ignore[no-untyped-call]


def websockets_client(url: str, commands: list[str], say: Say) -> None:
    """It raises an error for each code above 1001."""
    with connect(url, subprotocols=[PROTOCOL], compression=None) as ws:  # type: ignore[list-item]
        for command in commands:
            ws.send(command)
        with pytest.raises(ConnectionClosedError) as closed:
            all_of(ws, say)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001


IN_THREADS = {
    "requests, lines": requests_lines,
    "requests, content": requests_content,
    "urllib3": urllib3_stream,
    "urllib": urllib_lines,
    "sseclient-py": sseclient_py,
    "httpx-sse": httpx_sse_client,
    "websocket-client": websocket_client,
    "websockets": websockets_client,
}
OVER_WS = {"websocket-client", "websockets", "ws"}
PROGRAMS = ("curl", "ws", "eventsource", "fetch-event-source")


class Watch:
    """What a library has handed on, and when; ``ended`` fails if it took the end for a fault."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, dict[str, Any]]] = []
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.task: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        """Take a message, from whatever thread."""
        at_s = time.monotonic()
        self._loop.call_soon_threadsafe(self._take, at_s, json.loads(text))

    def _take(self, at_s: float, message: dict[str, Any]) -> None:
        self.seen.append((at_s, message))
        self._news.set()

    def end(self, error: BaseException | None) -> None:
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> float:
        """When the first such message was handed on."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for at_s, message in self.seen:
                    if wanted(message):
                        return at_s
                if self.ended.done():
                    self.ended.result()
                    raise AssertionError(f"it ended after {self.seen}")
                self._news.clear()
                await self._news.wait()


def in_thread(library: str, url: str, commands: list[str]) -> Watch:
    watch = Watch()
    loop = asyncio.get_running_loop()

    def run() -> None:
        error: BaseException | None = None
        try:
            IN_THREADS[library](url, commands, watch.say)
        except BaseException as raised:
            error = raised
        loop.call_soon_threadsafe(watch.end, error)

    threading.Thread(target=run, daemon=True).start()
    return watch


async def as_program(library: str, url: str, commands: list[str]) -> Watch:
    if library == "curl":
        command = [program("curl"), "-sSN", url]
    else:
        if not (JS / "node_modules" / "ws").exists():
            missing("tests/js/node_modules")
        command = [program("node"), str(JS / "libraries.mjs"), library, url, *commands]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    watch = Watch()

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            text = line.decode().strip()
            if library != "curl":
                watch.say(text)
            elif text.startswith("data: "):
                watch.say(text.removeprefix("data: "))
        code = await process.wait()
        watch.end(AssertionError(f"exit code {code}") if code else None)

    watch.task = asyncio.create_task(read())
    return watch


async def watch_by(library: str, server: Rest, session_id: int) -> Watch:
    session = {"sessionId": session_id, "updateInterval": 60_000}
    prices = {"symbols": ["NIFTY"], "priceInterval": 60_000}
    commands = []
    if library in OVER_WS:
        url = server.url.replace("http", "ws", 1) + "/ws/auto-trader"
        commands = [
            json.dumps({"type": "subscribe_prices", **prices}),
            json.dumps({"type": "subscribe_session", **session}),
        ]
    else:
        url = f"{server.url}/sse/auto-trader?{query(**session, **prices)}"
    if library in IN_THREADS:
        return in_thread(library, url, commands)
    return await as_program(library, url, commands)


@pytest.mark.parametrize("library", [*IN_THREADS, *PROGRAMS])
async def test_a_library_sees_snapshot_each_event_at_once_and_an_orderly_end(
    make_settings: MakeSettings, library: str
) -> None:
    async with serve_here(make_settings()) as server:
        session_id = await server.new_session()
        await server.tick("NIFTY", 22_150.5)
        watch = await watch_by(library, server, session_id)
        await watch.until(lambda m: m["type"] == "session_update")
        await watch.until(lambda m: m["type"] == "price_update" and m["data"]["price"] == 22_150.5)
        delays_s = []
        async with watching("sse", server.url, sessionId=session_id) as bare:
            for seq in range(1, TRADES + 1):
                await server.open_trade(session_id)
                await bare.until_seq(seq)
                reached_s = time.monotonic()
                seen_s = await watch.until(lambda m: m.get("seq") == seq)  # noqa: B023
                delays_s.append(seen_s - reached_s)
        # Later than a bare socket has it; a busy machine delays some of them.
        assert sorted(delays_s)[TRADES // 4] < SOON_S
    await watch.until(lambda m: m["type"] == "server_shutdown")
    async with asyncio.timeout(PATIENCE_S):
        await watch.ended
    events = [m["seq"] for _, m in watch.seen if m["type"] == "trade_opened"]
    assert events == list(range(1, TRADES + 1))
