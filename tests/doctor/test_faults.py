"""What the doctor says of servers that are ill, full, old or somebody else's."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from lab.site.machine import children_of
from tests.doctor.looking import look
from tests.kit.machine import program
from tests.kit.rest import Rest
from tests.kit.server import MakeServer, MakeSettings, serve_here
from tests.kit.waiting import until

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server that is no HTTP server; it hangs up when ``talk`` returns."""
    open_now: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        await talk(reader, writer)
        writer.close()
        open_now.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await until(lambda: not open_now)


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The address of another server of aiohttp."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# --- nothing of ours is there


async def test_a_name_that_leads_nowhere() -> None:
    seen = await look("http://nowhere.invalid:4025")
    assert "✗ address     the name 'nowhere.invalid' has no address" in seen.lines[0]
    assert seen.lines[1:] == [
        "1 problem: address. Fix this first; the remaining checks depend on it."
    ]
    assert seen.code == 1


async def test_a_port_where_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    seen = await look(f"http://127.0.0.1:{port}")
    assert seen.lines[0] == (
        f"✗ address     nothing listens at 127.0.0.1:{port}: is it running, and on this port? "
        "If not, start it: `vyomo-rt serve`"
    )


async def test_another_web_server() -> None:
    with file_server() as port:
        seen = await look(f"http://127.0.0.1:{port}")
    assert "something other than vyomo-rt (SimpleHTTP/" in seen.of("http")
    assert "/livez gives 404, and no WebSocket opens" in seen.of("http")
    assert "is this the right port" in seen.of("http")


async def test_a_server_that_has_moved_to_https_is_one_finding() -> None:
    async def move(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently(f"https://rt.test:8443{request.path}")

    app = web.Application()
    app.router.add_get("/{path:.*}", move)
    async with serving(app) as url:
        seen = await look(url)
    moved = "use that address, here and in the clients"
    assert seen.lines[1:] == [
        f"✗ http        {url} redirects to https://rt.test:8443: {moved}",
        "1 problem: http. Fix this first; the remaining checks depend on it.",
    ]
    assert seen.code == 1


@contextmanager
def file_server() -> Iterator[int]:
    """`python -m http.server`, in a thread."""
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield server.server_port
        server.shutdown()


async def test_a_server_that_speaks_no_http_cannot_steer_the_terminal() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-\x1b[31mOpenSSH\r\n")

    async with listening(talk) as port:
        seen = await look(f"http://127.0.0.1:{port}")
    assert "✗ http        what listens there does not speak HTTP" in seen.of("http")
    assert "\x1b" not in seen.of("http")


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vyomo_rt.doctor.server.ANSWER_WITHIN_S", 0.2)

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(talk) as port:
        seen = await look(f"http://127.0.0.1:{port}")
    assert "the connection is accepted, but no answer comes" in seen.of("http")


# --- TLS


async def test_https_on_a_plain_port(server: Rest) -> None:
    url = server.url.replace("http:", "https:")
    seen = await look(url)
    assert "does not speak TLS" in seen.of("tls")
    assert f"use {server.url}, or put a proxy with a certificate in front of it" in seen.of("tls")


async def test_http_on_a_tls_port_and_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        """Hang up."""

    async with listening(talk, certified(tmp_path, days=5)) as port:
        plain = await look(f"http://127.0.0.1:{port}")
        untrusted = await look(f"https://127.0.0.1:{port}")
    assert f"port {port} speaks TLS: use https://127.0.0.1:{port}" in plain.of("http")
    assert "browsers will not trust the certificate (self-signed" in untrusted.of("tls")


async def test_a_certificate_that_ends_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def livez(_: web.Request) -> web.Response:
        return web.Response(status=502, headers={"Server": "nginx"})

    context = certified(tmp_path, days=5)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    app = web.Application()
    app.router.add_get("/livez", livez)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    seen = await look(f"https://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()
    assert "! tls         the certificate ends in 5.0 days" in seen.of("tls")


def certified(folder: Path, days: int) -> ssl.SSLContext:
    """TLS for 127.0.0.1 with a certificate that is its own authority."""
    subprocess.run(
        [
            *(program("openssl"), "req", "-x509", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(days)),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


# --- a server of ours that is not well


async def test_a_new_server_without_prices_or_sessions_is_told_how_to_push_one(
    server: Rest,
) -> None:
    seen = await look(server.url)
    assert seen.code == 0
    assert seen.of("ready").startswith("! ready       the ingest feed is DEGRADED: waiting for")
    assert (
        f'curl {server.url}/api/auto-trader/ticks -d \'{{"symbol":"NIFTY","price":22150.5}}\''
    ) in seen.of("prices")
    assert seen.of("session") == "- session     there is none to watch yet"
    assert seen.of("resumption").startswith("- ")
    assert seen.lines[-1] == "No problems found. 2 things to look at (!)."


async def test_a_stale_price_and_an_unused_session(server: Rest) -> None:
    await server.tick("NIFTY", 22150.5, ts=int(time.time() * 1000) - 7_200_000)
    await server.new_session()
    seen = await look(server.url)
    assert "! prices      NIFTY 22150.5 is stale, 2 h old: no trade can be opened" in seen.of(
        "prices"
    )
    assert seen.of("session") == "✓ session     1 is ACTIVE, trade events so far: 0"
    assert "there are no events to replay yet" in seen.of("resumption")


async def test_a_symbol_and_a_session_that_do_not_exist(make_settings: MakeSettings) -> None:
    settings = make_settings(feed=("sim",))
    async with serve_here(settings) as rest:
        seen = await look(rest.url, symbol="nonsense", session=99)
    assert "there is no session 99" in seen.of("requests")
    assert "the feed has no NONSENSE; it has " in seen.of("prices")
    assert seen.lines[-1] == "2 problems: requests, prices."


async def test_clocks_that_differ(make_settings: MakeSettings) -> None:
    settings = make_settings()
    async with serve_here(settings, now=lambda: int(time.time() * 1000) - 60_000) as rest:
        seen = await look(rest.url)
    assert "! clock       the server's is 60.0 s behind this machine's" in seen.of("clock")
    assert "NTP" in seen.of("clock")


async def test_a_calendar_that_ends(make_settings: MakeSettings) -> None:
    december_ms = 1_797_768_000_000  # the 20th of 2026
    async with serve_here(make_settings(calendar=None), now=lambda: december_ms) as server:
        told = (await look(server.url)).of("market")
    assert told.startswith("! market      the calendar ends on 2026-12-31: every weekday")
    assert told.endswith("scripts/update_calendar.py makes a file for --calendar")


async def test_a_price_that_is_a_close_is_well(make_settings: MakeSettings) -> None:
    settings = make_settings(market_hours=True)
    evening_ms = 1_795_703_400_000  # 20:00 in Kolkata on the 26th of November 2026
    async with serve_here(settings, now=lambda: evening_ms) as server:
        await server.tick("NIFTY", 22150.5)
        told = (await look(server.url)).of("prices")
    assert told == "✓ prices      NIFTY 22150.5 is the last one before the market was CLOSED"


async def test_a_server_that_is_full(make_settings: MakeSettings) -> None:
    settings = make_settings(max_connections=1)
    async with serve_here(settings) as rest, rest.http.ws_connect(f"{rest.url}/ws/auto-trader"):
        seen = await look(rest.url)
    assert "the server is full (4504): raise VYOMO_RT_MAX_CONNECTIONS" in seen.of("websocket")
    assert "too many connections" in seen.of("sse")
    assert "VYOMO_RT_MAX_CONNECTIONS" in seen.of("sse")


async def test_a_store_that_is_frozen(server_process: MakeServer) -> None:
    process = server_process()
    async with aiohttp.ClientSession() as http_:
        rest = Rest(await process.start(), http_)
        await rest.new_session()
        (child,) = children_of(process.process.pid)
        os.kill(child, signal.SIGSTOP)
        try:
            # A write that fails says at once what the driver would notice later.
            assert (await rest.call("POST", "/sessions", {"startingCapital": 1}))[0] == 503
            seen = await look(rest.url)
        finally:
            os.kill(child, signal.SIGCONT)
    away, feed = (line for line in seen.ill if line[2:].startswith("ready"))
    assert "✗ ready       the store is away (503): trades can be neither opened nor closed" in away
    assert "VYOMO_RT_MONGO_URI" in away
    assert "DEGRADED" in feed


async def test_an_older_server_without_acks() -> None:
    async def livez(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def pongs(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for _ in ws:
            await ws.send_json({"type": "pong"})
        return ws

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/ws/auto-trader", pongs)
    async with serving(app) as url:
        seen = await look(url)
    assert "the server knows no `id` and no `ack`: it is older" in seen.of("websocket")
    assert "update it" in seen.of("websocket")


# --- something in between that no setting of nginx makes


class Relay:
    """Passes everything on to a server, with a fault.

    The WebSocket is compressed; SSE comes in bunches of ``bunch_s``, or is compressed with all of
    it held back. ``asked`` is what passed, to the server.
    """

    def __init__(self, url: str, *, bunch_s: float = 0.0, zipped: bool = False) -> None:
        self._url = url
        self._bunch_s = bunch_s
        self._zipped = zipped
        self.asked: list[str] = []
        self.app = web.Application()
        self.app.router.add_get("/ws/auto-trader", self._websocket)
        self.app.router.add_route("*", "/{path:.*}", self._http)

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        down = web.WebSocketResponse(compress=True)
        await down.prepare(request)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self._url + request.path_qs) as up,
        ):

            async def back() -> None:
                async for message in up:
                    await down.send_str(message.data)

            passing = asyncio.create_task(back())
            async for message in down:
                self.asked.append(message.json()["type"])
                await up.send_str(message.data)
            passing.cancel()
        return down

    async def _http(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.method)
        position = {n: v for n, v in request.headers.items() if n == "Last-Event-ID"}
        async with (
            aiohttp.ClientSession(headers=position) as session,
            session.request(request.method, self._url + request.path_qs) as up,
        ):
            response = web.StreamResponse(status=up.status)
            response.headers["Content-Type"] = up.headers["Content-Type"]
            response.headers["Cache-Control"] = up.headers.get("Cache-Control", "")
            if request.method == "GET" and "event-stream" in up.headers["Content-Type"]:
                await self._stream(request, response, up)
            else:
                body = await up.read()
                await response.prepare(request)
                await response.write(body)
            return response

    async def _stream(
        self, request: web.Request, response: web.StreamResponse, up: aiohttp.ClientResponse
    ) -> None:
        if self._zipped:
            response.headers["Content-Encoding"] = "gzip"
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while not self._zipped:
                await response.write(up.content.read_nowait() or await up.content.readany())
                await asyncio.sleep(self._bunch_s)
            await up.content.read()


async def test_beats_that_come_in_bunches_and_a_compressed_websocket(server: Rest) -> None:
    await server.tick("NIFTY", 22150.5)
    async with serving(Relay(server.url, bunch_s=0.5).app) as url:
        seen = await look(url, watch_s=1.0)
    assert "compresses it (permessage-deflate)" in seen.of("websocket")
    # How it is told depends on which beats fall into the second that is watched.
    assert "in bunches" in seen.of("sse")
    assert "something in between holds events back" in seen.of("sse")
    # Which proxy it is does not show, so that it names several.
    assert "in nginx: `proxy_buffering off;`" in seen.of("sse")
    assert "in Caddy: `flush_interval -1`" in seen.of("sse")


async def test_compression_that_holds_everything_back(
    server: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vyomo_rt.doctor.sse.ANSWER_WITHIN_S", 0.3)
    async with serving(Relay(server.url, zipped=True).app) as url:
        seen = await look(url)
    compressed, held_back = (line for line in seen.ill if line.startswith("✗ sse"))
    assert "(gzip)" in compressed
    assert "no event arrives within 0.3 s: something in between holds events back" in held_back
    assert seen.lines[-1].startswith("2 problems: sse.")


async def test_it_only_reads(server: Rest) -> None:
    await server.tick("NIFTY", 22150.5)
    session_id = await server.new_session()
    await server.open_trade(session_id)
    relay = Relay(server.url)
    async with serving(relay.app) as url:
        seen = await look(url)
    assert seen.of("resumption").startswith("✓")
    assert set(relay.asked) == {"GET", "HEAD", "ping", "subscribe_prices", "subscribe_session"}
