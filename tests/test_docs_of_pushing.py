"""The programs and frames in the documents that push ticks over a WebSocket."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.kit.documents import PROTOCOL, ROOT, blocks
from tests.kit.rest import Rest
from tests.kit.waiting import PATIENCE_S

FEEDS = ROOT / "docs" / "feeds.md"
_ADDRESS = "localhost:4025"


async def test_the_program_that_pushes_over_a_websocket_is_told_what_was_accepted(
    server: Rest, tmp_path: Path
) -> None:
    (block,) = blocks(FEEDS, "python", "push")
    (tmp_path / "program.py").write_text(block.text.replace(_ADDRESS, _address_of(server)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "program.py"), cwd=tmp_path, stdout=subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        printed, _ = await process.communicate()
    assert printed.decode().splitlines() == ["2 accepted"] * 3
    _, listed = await server.call("GET", "/prices?symbols=NIFTY")
    assert listed["prices"][0]["price"] == 22149.95


_THREADS_LIBRARY = """
class FyersDataSocket:
    def __init__(self, token, on_connect, on_message):
        assert token == "token"
        self.on_connect, self.on_message = on_connect, on_message

    def subscribe(self, symbols, data_type):
        assert data_type == "SymbolUpdate"
        self.symbols = symbols

    def keep_running(self):
        pass

    def connect(self):
        self.on_connect()
        self.on_message({"type": "cn", "code": 200, "message": "Authentication done"})
        for symbol in self.symbols:
            self.on_message({"ltp": 100.05, "symbol": symbol, "type": "sf"})
        self.on_message({"ltp": 0, "symbol": "NSE:NONE-EQ", "type": "sf"})
"""
"""As far as the example uses it, as of version 3: a real one needs an account."""


async def test_the_program_for_a_library_with_threads_pushes_and_prints_refusals(
    server: Rest, tmp_path: Path
) -> None:
    (block,) = blocks(FEEDS, "python", "push-thread")
    (tmp_path / "program.py").write_text(block.text.replace(_ADDRESS, _address_of(server)))
    package = tmp_path / "fyers_apiv3" / "FyersWebsocket"
    package.mkdir(parents=True)
    (package / "data_ws.py").write_text(_THREADS_LIBRARY)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "program.py"),
        cwd=tmp_path,
        env=os.environ | {"FYERS_TOKEN": "token"},
        stdout=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert process.stdout is not None
            printed = (await process.stdout.readline()).decode()
    finally:
        process.kill()
        await process.wait()
    assert "tick of NSE:NONE-EQ refused: price: expected a number greater than 0" in printed
    _, listed = await server.call("GET", "/prices")
    assert {q["symbol"]: q["price"] for q in listed["prices"]} == {
        "NSE:NIFTY50-INDEX": 100.05,
        "NSE:SBIN-EQ": 100.05,
    }


async def test_the_frames_of_ticks_on_the_protocol_page_are_answered_as_it_says(
    server: Rest,
) -> None:
    (frames,) = blocks(PROTOCOL, "json", "ingest")
    (answers,) = blocks(PROTOCOL, "json", "ingest-answer")
    async with server.http.ws_connect(f"{server.url}/ws/ingest") as ws:
        # The example's moment is another day's.
        for line in frames.text.replace(',"ts":1795425458798', "").splitlines():
            await ws.send_str(line)
        async with asyncio.timeout(PATIENCE_S):
            assert [await ws.receive_str()] == answers.text.splitlines()


def _address_of(server: Rest) -> str:
    return server.url.removeprefix("http://")
