"""SIGTERM with a thousand open streams, some of which do not read, and commands in flight."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import Any, cast

import aiohttp
import pytest

from lab.site.machine import children_of
from tests.kit.frames import HANDSHAKE, frame
from tests.kit.machine import Strain, is_running
from tests.kit.messages import Message, read_events, read_frames
from tests.kit.rest import Rest
from tests.kit.server import MakeServer
from tests.kit.streams import query
from tests.kit.waiting import PATIENCE_S, until

EACH = 500
"""Open streams of each transport; the first of each do not read."""
STUCK = 10
SYMBOLS = [f"S{number}" for number in range(300)]
MOST_S = 2.0
WRITERS = 8


class Client(asyncio.Protocol):
    """Subscribes, and keeps every byte that it gets; one that is stuck reads only the beginning."""

    def __init__(self, transport: str, session_id: int, *, stuck: bool) -> None:
        self.is_sse = transport == "sse"
        self.got = bytearray()
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._session_id = session_id
        self._stuck = stuck
        self._symbols = SYMBOLS if stuck else SYMBOLS[:1]
        self._interval_ms = 100 if stuck else 60_000

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.is_sse:
            asked = query(
                sessionId=self._session_id, symbols=self._symbols, priceInterval=self._interval_ms
            )
            request = f"GET /sse/auto-trader?{asked} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        else:
            request = HANDSHAKE.encode() + self._command(
                "subscribe_prices", symbols=self._symbols, priceInterval=self._interval_ms
            )
            request += self._command("subscribe_session", sessionId=self._session_id, id=1)
        self.transport.write(request)

    def _command(self, type_: str, **fields: Any) -> bytes:
        return frame(json.dumps({"type": type_} | fields).encode())

    def data_received(self, data: bytes) -> None:
        self.got += data
        if not self.started.done() and b'"type":"session_update"' in self.got:
            self.started.set_result(None)
            if self._stuck:
                self.transport.pause_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.ended.set_result(None)

    def messages(self) -> tuple[list[Message], int | None]:
        """What it got after the handshake, and the code of the close frame at the end."""
        body = bytes(self.got.partition(b"\r\n\r\n")[2])
        if self.is_sse:
            return read_events(body), None
        body, close, code = body.rpartition(b"\x88\x11")  # 17 bytes: a code, "server shutdown"
        assert close, self.got[-100:]
        assert code[2:] == b"server shutdown"
        return read_frames(body), int.from_bytes(code[:2])


async def connected(url: str, transport: str, session_id: int, *, stuck: bool) -> Client:
    loop = asyncio.get_running_loop()
    client = Client(transport, session_id, stuck=stuck)
    sock = socket.socket()
    if stuck:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", int(url.rpartition(":")[2])))
    await loop.create_connection(lambda: client, sock=sock)
    async with asyncio.timeout(20):
        await client.started
    return client


async def writer(number: int, rest: Rest, session_id: int, answers: dict[str, int | None]) -> None:
    """Open trades until the server refuses or is gone; each key with the trade it made, or None."""
    for count in range(10_000):
        key = f"{number}-{count}"
        answers[key] = None
        order = {"symbol": "S0", "quantity": 1, "entryPrice": 100}
        try:
            status, trade = await rest.call(
                "POST", f"/sessions/{session_id}/trades", order, Idempotency_Key=key
            )
        except aiohttp.ClientError:
            return
        if status != 201:
            assert status == 503, trade
            return
        answers[key] = trade["tradeId"]


@pytest.mark.quiet(5)
async def test_a_thousand_streams_are_told_and_what_was_being_done_is_done_or_refused(
    server_process: MakeServer,
) -> None:
    process = server_process()
    url = await process.start()
    [store] = children_of(process.process.pid)
    async with aiohttp.ClientSession() as http:
        rest = Rest(url, http)
        session_id = await rest.new_session()
        ticks = [{"symbol": symbol, "price": 100} for symbol in SYMBOLS]
        assert (await rest.call("POST", "/ticks", ticks))[0] == 200
        clients: list[Client] = []
        for start in range(0, EACH, 100):
            clients += await asyncio.gather(
                *(
                    connected(url, transport, session_id, stuck=number < STUCK)
                    for transport in ("ws", "sse")
                    for number in range(start, start + 100)
                )
            )
        stuck = [client for client in clients if client._stuck]
        assert len(stuck) == 2 * STUCK

        async def are_stuck() -> bool:
            async with http.get(f"{url}/metrics") as response:
                return f"connections_paused {len(stuck)}.0" in await response.text()

        await until(are_stuck)

        answers: dict[str, int | None] = {}
        writing = [
            asyncio.create_task(writer(number, rest, session_id, answers))
            for number in range(WRITERS)
        ]
        await until(lambda: sum(made is not None for made in answers.values()) > WRITERS)
        started_s, strain = time.monotonic(), Strain()
        process.process.terminate()
        code = await process.process.wait()
        took_s, most_s = time.monotonic() - started_s, MOST_S * strain.factor()
        await asyncio.gather(*writing)
        for client in stuck:
            client.transport.resume_reading()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(client.ended for client in clients))

    assert code == 0
    assert took_s < most_s
    assert not is_running(store)
    assert not [line for line in process.output if "Traceback" in line or " ERROR " in line]

    times_ms, last_seqs = set(), set()
    for client in clients:
        if client._stuck:
            continue
        messages, close_code = client.messages()
        assert close_code == (None if client.is_sse else 4001)
        assert messages[-1].type == "server_shutdown", "the last word"
        times_ms.add(messages[-1].json["data"]["reconnectAfterMs"])
        seqs = [message.json["seq"] for message in messages if message.type == "trade_opened"]
        assert seqs == list(range(1, len(seqs) + 1))
        last_seqs.add(len(seqs))
    assert len(times_ms) == len(clients) - len(stuck), "each at a moment of its own"
    assert min(times_ms) >= 500
    assert max(times_ms) - min(times_ms) > 3000

    again = server_process()
    async with aiohttp.ClientSession() as http:
        rest = Rest(await again.start(), http)
        _, history = await rest.call("GET", f"/sessions/{session_id}/events?since=0")
        stored = {event["data"]["tradeId"]: event["seq"] for event in history["events"]}
        assert sorted(stored.values()) == list(range(1, len(stored) + 1))
        acknowledged = {made for made in answers.values() if made is not None}
        assert acknowledged <= stored.keys()
        assert len(stored) <= len(answers), "each key made one trade or none"
        assert len(stored) >= max(last_seqs), "nobody was told of what is not stored"
        for key, made in answers.items():
            order = {"symbol": "S0", "quantity": 1, "entryPrice": 100}
            if made is None:
                trade = await rest.call(
                    "POST", f"/sessions/{session_id}/trades", order, Idempotency_Key=key
                )
                assert trade[0] == 201
        _, session = await rest.call("GET", f"/sessions/{session_id}")
        assert session["totalTrades"] == session["openTrades"] == session["seq"] == len(answers)


@pytest.mark.quiet
async def test_a_second_signal_leaves_no_store_behind(
    server_process: MakeServer,
) -> None:
    process = server_process()
    url = await process.start()
    [store] = children_of(process.process.pid)
    async with aiohttp.ClientSession() as http:
        session_id = await Rest(url, http).new_session()
        client = await connected(url, "ws", session_id, stuck=False)
        process.process.terminate()  # its goodbye waits for the client's, which does not come
        await until(lambda: b"server_shutdown" in client.got)
        started_s, strain = time.monotonic(), Strain()
        process.process.terminate()
        assert await process.process.wait() == 130
        assert time.monotonic() - started_s < 1.5 * strain.factor()
        await until(lambda: not is_running(store))
        client.transport.abort()
