"""The private names of aiohttp and wsproto that the handover leans on.

Each test fails with a sentence that says which name an upgrade broke and what
would go wrong with it. ``vyomo_rt/web/handover.py`` and ``vyomo_rt/web/inbound.py``
are the only users of these names.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp_sse import EventSourceResponse
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from tests.kit.frames import HANDSHAKE, frame, raw_socket, raw_websocket
from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching
from tests.kit.waiting import PATIENCE_S, until
from vyomo_rt.web import handover, handshake
from vyomo_rt.web.connection import Connection as StreamConnection
from vyomo_rt.web.handover import EventStreamHead

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
WEB = Path(handover.__file__).parent


@asynccontextmanager
async def aiohttp_alone(handler: Handler) -> AsyncIterator[str]:
    """A server that is all aiohttp, with one handler for everything."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    await web.SockSite(runner, sock).start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        await runner.cleanup()


async def holds(condition: Callable[[], object]) -> bool:
    """Whether a condition comes true within a while."""
    try:
        return bool(await until(condition))
    except TimeoutError:
        return False


class Taker(asyncio.Protocol):
    """A protocol in aiohttp's place."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost.set()


def test_no_other_file_leans_on_private_names_of_aiohttp_or_wsproto() -> None:
    private = re.compile(r"(?:protocol|request|parser|response|transport|writer)\._\w+")
    users = {path.name for path in WEB.glob("*.py") if private.search(path.read_text())}
    assert users <= {"handover.py", "inbound.py"}, "a new private name needs a test here"


async def test_frames_glued_to_the_handshake_wait_in_message_tail() -> None:
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        tail = getattr(request.protocol, "_message_tail", None)
        seen.append(tail)
        request.protocol._message_tail = b""
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        return ws

    glued = frame(b"glued")
    async with aiohttp_alone(handler) as url, raw_socket(url) as raw:
        await raw.send(HANDSHAKE.encode() + glued)
        assert "101" in await raw.head()
    assert seen == [glued], (
        "aiohttp no longer keeps what follows an upgrade in request.protocol._message_tail:"
        " a command sent right behind the handshake would be lost (handover.accept_websocket)"
    )


async def test_aiohttp_forgets_a_connection_whose_protocol_is_told_that_it_is_lost() -> None:
    notes: dict[str, Any] = {}
    taker: list[Taker] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        await web.WebSocketResponse(compress=False).prepare(request)
        transport, protocol = request.transport, request.protocol
        assert transport is not None
        server = protocol._manager
        assert server is not None
        notes["server"], notes["protocol"] = server, protocol
        notes["known before"] = protocol in server.connections
        taker.append(Taker())
        transport.set_protocol(taker[0])
        protocol.transport = None
        protocol.connection_lost(None)
        protocol.connection_lost(None)
        notes["closing"] = transport.is_closing()
        notes["tasks"] = protocol._task_handler
        notes["transport"] = transport
        return web.Response(text="must not be sent")

    async with aiohttp_alone(handler) as url, raw_websocket(url) as raw:
        assert notes["known before"], (
            "aiohttp's Server.connections no longer holds the protocols: how does it forget one?"
        )
        assert not notes["closing"], (
            "protocol.connection_lost(None) closes the socket although protocol.transport was"
            " set to None before: no stream would survive its handshake (handover.hand_over)"
        )
        forgotten = await holds(lambda: notes["protocol"] not in notes["server"].connections)
        assert forgotten, (
            "protocol.connection_lost(None) no longer makes aiohttp's server forget the connection"
            " once the handler has returned: its shutdown would cut off every stream (hand_over)"
        )
        assert notes["tasks"] is None, (
            "protocol.connection_lost(None) no longer lets go of the handler's task:"
            " each stream would keep aiohttp's task alive (handover.hand_over)"
        )
        await raw.send(b"now ours")
        assert await holds(lambda: taker[0].received == b"now ours"), (
            "transport.set_protocol does not redirect what a client sends (handover.hand_over)"
        )
        assert not notes["transport"].is_closing(), (
            "the end of aiohttp's handler closes a connection that was handed over"
        )
        notes["transport"].write(b"\x81\x02hi")
        assert await raw.next_frame() == (1, b"hi"), (
            "aiohttp writes the response that is returned after a handover: the client got it"
            " instead of its stream; return something that aiohttp writes nowhere (hand_over)"
        )
    await asyncio.wait_for(taker[0].lost.wait(), PATIENCE_S)


async def test_reading_goes_on_where_aiohttp_had_paused_it() -> None:
    """Because so much came right behind the handshake that aiohttp wanted no more."""
    taker = Taker()
    notes: dict[str, bool] = {}

    async def handler(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        notes["paused"] = await holds(lambda: not transport.is_reading())
        early = await handover.accept_websocket(request, handshake.accepting(request))
        response = handover.hand_over(request, cast(StreamConnection, taker))
        taker.received = early + taker.received
        return response

    flood = frame(b"x" * 60_000) * 20
    async with aiohttp_alone(handler) as url, raw_socket(url) as raw:
        sending = asyncio.create_task(raw.send(HANDSHAKE.encode() + flood))
        assert "101" in await raw.head()
        assert notes["paused"], (
            "aiohttp no longer pauses a connection whose handler is late: hand_over need not resume"
        )
        await sending
        assert await holds(lambda: len(taker.received) == len(flood)), (
            "a connection that aiohttp had paused is not read any more (handover.hand_over)"
        )
        assert taker.received == flood


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_aiohttp_keeps_nothing_of_a_connection_that_was_handed_over(
    server: Rest, transport: str
) -> None:
    """No task and no protocol of its own: a stream costs what the slim protocol costs."""
    before = len(asyncio.all_tasks())
    async with watching(transport, server.url, symbols=["A"]):
        assert await holds(lambda: len(asyncio.all_tasks()) <= before), (
            "aiohttp, or aiohttp-sse, keeps a task for a connection that was handed over"
        )
        assert await holds(lambda: not alive(RequestHandler)), (
            "aiohttp keeps its protocol of a connection that was handed over (hand_over)"
        )


async def test_nothing_stays_of_connections_that_have_ended(make_settings: MakeSettings) -> None:
    settings = make_settings(ping_interval_s=0.05, sse_keep_alive_s=0.05)
    async with serve_here(settings) as server:
        session_id = await server.new_session()
        about = {"sessionId": session_id, "symbols": ["A"]}
        for _ in range(5):
            for transport in ("ws", "sse"):
                async with watching(transport, server.url, **about):
                    assert alive(StreamConnection)
        assert await holds(lambda: not alive(StreamConnection))


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_a_connection_that_has_ended_is_freed_at_once_without_the_garbage_collector(
    server: Rest, transport: str
) -> None:
    """Nothing of it refers back to it, and the heartbeat does not keep it until its next turn."""
    async with watching(transport, server.url, symbols=["A"]):
        assert tracked(StreamConnection)
    assert await holds(lambda: not tracked(StreamConnection))


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_a_handshake_leaves_nothing_of_aiohttp_for_the_garbage_collector(
    server: Rest, transport: str
) -> None:
    async with watching(transport, server.url, symbols=["A"]):
        assert await holds(lambda: not tracked(RequestHandler)), (
            "something keeps what aiohttp had of a connection (handover.hand_over, and for SSE"
            " _ping_task of aiohttp-sse in handover.accept_event_stream)"
        )


def alive(type_: type) -> list[object]:
    gc.collect()
    return tracked(type_)


def tracked(type_: type) -> list[object]:
    """Also what only waits to be collected."""
    return [found for found in gc.get_objects() if isinstance(found, type_)]


def test_an_sse_response_without_length_check_leaves_the_body_to_us() -> None:
    assert hasattr(web.StreamResponse, "_length_check"), (
        "aiohttp's StreamResponse has no _length_check any more: for HTTP/1.0 it would promise"
        " to keep the connection open behind the stream (handover.EventStreamHead)"
    )
    assert web.WebSocketResponse._length_check is False, (
        "aiohttp itself no longer sets _length_check = False where bytes follow the headers"
    )
    assert EventStreamHead._length_check is False


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_the_headers_of_an_event_stream_are_sent_at_once_and_bytes_may_follow(
    version: str,
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = EventStreamHead(request.version)
        await response.prepare(request)
        assert request.transport is not None
        request.transport.write(b"data: raw\n\n")
        task = response._ping_task
        assert task is not None
        response.stop_streaming()
        await asyncio.wait([task], timeout=PATIENCE_S)
        assert task.cancelled(), (
            "EventSourceResponse.stop_streaming() no longer ends its ping task: aiohttp-sse would"
            " write pings of its own into every stream (handover.accept_event_stream)"
        )
        request.transport.close()
        return response

    async with aiohttp_alone(handler) as url, raw_socket(url) as raw:
        await raw.send(f"GET / HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())
        head = (await raw.head()).lower()
        assert head.startswith(f"http/{version} 200")
        assert head.count("transfer-encoding: chunked") == (version == "1.1"), (
            "aiohttp decides itself whether the body is chunked (handover.EventStreamHead)"
        )
        assert "content-length" not in head
        for own in ("cache-control: no-cache, no-transform", "connection: close"):
            assert own in head, (
                "aiohttp-sse overwrites headers that were set on the response object before"
                " prepare (handover.EventStreamHead)"
            )
        assert await raw.rest() == b"data: raw\n\n", (
            "aiohttp writes something behind the headers of an event stream (hand_over)"
        )


def test_aiohttp_sse_still_overwrites_a_cache_control_that_it_is_given() -> None:
    given = EventSourceResponse(headers={"Cache-Control": "no-cache, no-transform"})
    assert given.headers["Cache-Control"] == "no-cache", (
        "aiohttp-sse now keeps the Cache-Control that it is given: EventStreamHead may pass its"
        " headers to the constructor instead of setting them after it"
    )


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="not on this system")
async def test_what_a_client_does_not_read_fills_some_tens_of_kilobytes_and_not_megabytes(
    server: Rest,
) -> None:
    """TCP_NOTSENT_LOWAT and the transport's limit together make ``pause_writing`` fire early."""
    symbols = [f"S{number}" for number in range(500)]
    _, answer = await server.call("POST", "/ticks", [{"symbol": s, "price": 1} for s in symbols])
    assert answer["accepted"] == 500
    about = {"priceInterval": 100}
    async with (
        watching("ws", server.url, symbols=["S0"], **about) as other,
        raw_websocket(server.url, receive_buffer=4096) as raw,
    ):
        await raw.send_text('{"type":"unsubscribe_prices","id":1}')
        connection_id = (await raw.next("ack"))["connectionId"]
        command = {"type": "subscribe_prices", "symbols": symbols} | about
        await raw.send_text(json.dumps(command))
        for _ in range(10):
            await other.next("price_update")
        _, document = await server.call("GET", f"/connections/{connection_id}")
        assert document["pausedSince"]
        assert 0 < document["bytes"] < 500_000, "ten beats are 750 KB"


# -- wsproto ---------------------------------------------------------------------------


def parser() -> Connection:
    return Connection(ConnectionType.SERVER)


def decoder(connection: Connection) -> Any:
    try:
        return connection._proto._frame_decoder
    except AttributeError as error:
        raise AssertionError(
            "wsproto's Connection._proto._frame_decoder is gone: inbound.Inbound.idle cannot tell"
            f" whether a frame is half received ({error})"
        ) from None


@pytest.mark.parametrize("cut", range(1, len(frame(b"hello"))))
def test_a_half_received_frame_shows_in_wsprotos_frame_decoder(cut: int) -> None:
    connection = parser()
    whole = frame(b"hello")
    connection.receive_data(whole[:cut])
    list(connection.events())
    frames = decoder(connection)
    held = frames.header is not None or bool(frames.buffer.buffer)
    assert held, (
        f"after {cut} of {len(whole)} bytes wsproto's frame decoder shows neither header nor"
        " buffer: Inbound.idle would drop a half received frame"
    )


def test_between_frames_wsprotos_frame_decoder_holds_nothing() -> None:
    connection = parser()
    connection.receive_data(frame(b"hello") + frame(b"", opcode=9))
    assert len(list(connection.events())) == 2
    frames = decoder(connection)
    assert frames.header is None, (
        "wsproto keeps the header of a frame that it has delivered: Inbound.idle would never be"
        " true, and every connection keep its parser"
    )
    assert not frames.buffer.buffer


def test_wsproto_reports_broken_rules_as_a_close_in_state_open() -> None:
    broken, closed = parser(), parser()
    broken.receive_data(frame(b"\xff"))
    closed.receive_data(frame((1000).to_bytes(2), opcode=8))
    [violation], [goodbye] = list(broken.events()), list(closed.events())
    assert isinstance(violation, CloseConnection)
    assert isinstance(goodbye, CloseConnection)
    assert violation.code == 1007
    assert (broken.state, closed.state) == (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING), (
        "wsproto no longer leaves the state OPEN when it reports broken rules as a close:"
        " inbound.receive would take them for the client's own close, and answer with its code"
    )


def test_wsproto_delivers_a_long_frame_in_parts_as_it_comes() -> None:
    connection = parser()
    connection.receive_data(frame(b"x" * 60_000)[:10_000])
    [part] = list(connection.events())
    assert isinstance(part, TextMessage)
    assert not part.message_finished, (
        "wsproto waits for whole frames now: the limit of a message's length would only hold"
        " once all of it is in memory (inbound._text)"
    )
