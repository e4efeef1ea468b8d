"""A watcher counts messages however the bytes are cut, and looks into those that matter."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, Pong, TextMessage

from lab.crowd.counting import Tally
from lab.crowd.event_stream import EventStreamWatcher
from lab.crowd.plan import Plan
from lab.crowd.watcher import Watcher
from lab.crowd.websocket import WebSocketWatcher
from tests.scripts.plan import PLAN
from vyomo_rt.wire.frame import KEEP_ALIVE, LAST_CHUNK, Framing, chunk, make_frame, without_chunks

HEADS = {
    Framing.WS: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    Framing.SSE: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
}
STAMP = "2026-11-23T00:57:38.833Z"


class Recorder:
    """Takes what a watcher writes."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        self.written = b""
        self.aborted = False
        self.paused = False
        self._socket = sock

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def get_extra_info(self, _name: str) -> socket.socket | None:
        return self._socket


def watching(
    framing: Framing, data: list[bytes], plan: Plan = PLAN, *, measuring: bool = False
) -> tuple[Watcher, Recorder]:
    """A watcher after it got these pieces of a stream."""

    async def get() -> tuple[Watcher, Recorder]:
        watcher = (EventStreamWatcher if framing else WebSocketWatcher)(plan, Tally())
        watcher.tally.measuring = measuring
        recorder = Recorder()
        watcher.connection_made(cast("asyncio.Transport", recorder))
        for piece in data:
            watcher.data_received(piece)
        return watcher, recorder

    return asyncio.run(get())


def message(name: str, framing: Framing, **fields: object) -> bytes:
    text = msgspec.json.encode({"type": name} | fields)
    return make_frame(name, text, "6-1-e" if "seq" in fields else None).data[framing]


def acks(framing: Framing, seq: int = 0) -> bytes:
    """What the server acknowledges the subscriptions by; the types are not those of events."""
    result = {"sessionId": 6, "seq": seq, "types": ["trade_opened"], "unknown": []}
    each = message("ack", framing, result=result)
    return each if framing is Framing.SSE else each * 2


def event(seq: int, framing: Framing) -> bytes:
    """An event, every second one of a kind that the watcher does not know."""
    kind = "trade_opened" if seq % 2 else "margin_called"
    return message(kind, framing, data={"tradeId": seq, "timestamp": STAMP}, seq=seq)


def price(framing: Framing, padding: int = 0) -> bytes:
    data = {"symbol": "N" * padding, "price": 1, "timestamp": STAMP}
    return message("price_update", framing, data=data)


def noise(framing: Framing) -> bytes:
    """A keep-alive and other messages."""
    keep_alive = KEEP_ALIVE[framing] if framing else b"\x89\x02hi"
    data = {"status": "ACTIVE", "timestamp": STAMP}
    return keep_alive + message("session_update", framing, data=data, seq=1)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


@pytest.mark.parametrize("framing", Framing)
@given(
    st.lists(st.sampled_from(["event", "price", "long price", "noise"])),
    st.lists(st.integers(0, 1 << 20)),
)
def test_messages_and_events_are_counted_however_the_bytes_are_cut(
    framing: Framing, kinds: list[str], places: list[int]
) -> None:
    make: dict[str, Callable[[], bytes]] = {
        "price": lambda: price(framing),
        "long price": lambda: price(framing, 70_000),
        "noise": lambda: noise(framing),
    }
    data = HEADS[framing] + acks(framing, seq=40)
    seq = 40
    for kind in kinds:
        if kind == "event":
            seq += 1
            data += event(seq, framing)
        else:
            data += make[kind]()
    watcher, recorder = watching(framing, cut(data, places))

    tally = watcher.tally
    assert tally.messages == len(kinds) + (1 if framing else 2)
    assert tally.prices == kinds.count("price") + kinds.count("long price")
    assert len(tally.events) == kinds.count("event")
    assert tally.bytes == len(data)
    assert watcher.tail == b""
    assert watcher.seqs is not None
    assert (watcher.seqs.first_seq, watcher.seqs.next_seq) == (41, seq + 1)
    assert not watcher.seqs.missing
    assert watcher.started.done()
    assert not recorder.aborted
    if framing is Framing.WS:
        assert pongs_of(recorder.written) == kinds.count("noise")


@example(in_chunks=[855038], places=[])  # between the last two line ends
@given(st.lists(st.integers(0, 1 << 20)), st.lists(st.integers(0, 1 << 20)))
def test_chunks_may_be_cut_anew_by_a_proxy(in_chunks: list[int], places: list[int]) -> None:
    sse = Framing.SSE
    body = acks(sse) + b"".join(event(seq, sse) + noise(sse) + price(sse) for seq in (1, 2, 3))
    anew = b"".join(map(chunk, filter(None, cut(without_chunks(body), in_chunks))))
    watcher, recorder = watching(sse, cut(HEADS[sse] + anew, places))
    tally = watcher.tally
    assert (tally.messages, tally.prices, len(tally.events)) == (10, 3, 3)
    assert watcher.tail == b""
    assert not recorder.aborted


def test_the_end_of_the_body_is_the_end_of_the_stream() -> None:
    watcher, _ = watching(Framing.SSE, [HEADS[Framing.SSE] + acks(Framing.SSE) + LAST_CHUNK])
    assert watcher.ended == "ended by the server"


@pytest.mark.parametrize("framing", Framing)
@given(
    st.lists(st.sampled_from(["event", "price", "noise"])),
    st.lists(st.integers(0, 1 << 20)),
)
def test_clients_that_get_the_same_bytes_are_each_counted(
    framing: Framing, kinds: list[str], places: list[int]
) -> None:
    """Only the first of them takes the bytes apart."""
    pieces = [HEADS[framing], acks(framing)]
    for seq, kind in enumerate(kinds, 1):
        new = event(seq, framing) if kind == "event" else b""
        pieces += cut(new or (price(framing) if kind == "price" else noise(framing)), places)

    async def watch() -> tuple[list[Watcher], list[Recorder], Tally]:
        tally = Tally()
        kind = EventStreamWatcher if framing else WebSocketWatcher
        watchers = [kind(msgspec.structs.replace(PLAN, sample_every=100), tally) for _ in "abc"]
        recorders = [Recorder() for _ in watchers]
        for watcher, recorder in zip(watchers, recorders, strict=True):
            watcher.connection_made(cast("asyncio.Transport", recorder))
        for piece in pieces:
            for watcher in watchers:
                watcher.data_received(piece)
        return [*watchers], recorders, tally

    watchers, recorders, tally = asyncio.run(watch())
    assert tally.messages == 3 * (len(kinds) + (1 if framing else 2))
    assert tally.prices == 3 * kinds.count("price")
    assert tally.bytes == 3 * len(b"".join(pieces))
    assert [each.receipts for each in tally.events.values()] == [3] * kinds.count("event")
    events = [seq for seq, kind in enumerate(kinds, 1) if kind == "event"]
    for watcher, recorder in zip(watchers, recorders, strict=True):
        assert watcher.seqs is not None
        assert watcher.seqs.next_seq == max(events, default=0) + 1
        assert not watcher.seqs.doubled
        if framing is Framing.WS:
            assert pongs_of(recorder.written) == kinds.count("noise")


@pytest.mark.parametrize("framing", Framing)
def test_the_figures_behind_an_event_tell_when_the_store_had_it(framing: Framing) -> None:
    """Those that come at their interval are later, and do not count."""
    stamps = [f"2026-11-23T00:57:{second}.000Z" for second in (38, 39, 40)]
    first, second, third = (
        message("session_update", framing, data={"timestamp": stamp}, seq=7) for stamp in stamps
    )
    data = [HEADS[framing] + acks(framing) + first, event(7, framing) + second, third]
    watcher, _ = watching(framing, data)
    announced_ms = datetime.fromisoformat(stamps[1]).timestamp() * 1000
    assert watcher.tally.announced_ms == {7: announced_ms}


@pytest.mark.parametrize("framing", Framing)
@pytest.mark.parametrize("what", ["session", "prices"])
def test_a_watcher_may_want_the_session_or_prices_only(framing: Framing, what: str) -> None:
    ack = message("ack", framing, result={"seq": 40, "unknown": []})
    if what == "session":
        plan = msgspec.structs.replace(PLAN, symbols=[])
    else:
        plan = msgspec.structs.replace(PLAN, session_id=0)
    watcher, recorder = watching(framing, [HEADS[framing] + ack], plan)
    assert watcher.started.done()
    wants = {"session": (b"sessionId", b"ubscribe_session"), "prices": (b"symbols", b"NIFTY")}
    for name, (in_query, in_command) in wants.items():
        wanted = in_query if framing is Framing.SSE else in_command
        assert (wanted in recorder.written) == (name == what)


@pytest.mark.parametrize("framing", Framing)
def test_a_stalled_client_stops_reading_once_it_is_subscribed(framing: Framing) -> None:
    async def stall() -> tuple[bool, bool]:
        kind = EventStreamWatcher if framing else WebSocketWatcher
        watcher = kind(PLAN, Tally(), stalls=True)
        with socket.socket() as unconnected:
            recorder = Recorder(unconnected)
            watcher.connection_made(cast("asyncio.Transport", recorder))
        watcher.data_received(HEADS[framing])
        before = recorder.paused
        watcher.data_received(acks(framing))
        return before, recorder.paused

    assert asyncio.run(stall()) == (False, True)


def pongs_of(written: bytes) -> int:
    """What the server understands of a watcher's bytes: two commands, then pongs."""
    server = Connection(ConnectionType.SERVER)
    server.receive_data(written.partition(b"\r\n\r\n")[2])
    session, prices, *rest = server.events()
    assert isinstance(session, TextMessage)
    assert isinstance(prices, TextMessage)
    assert msgspec.json.decode(session.data)["type"] == "subscribe_session"
    assert msgspec.json.decode(prices.data)["symbols"] == ["NIFTY"]
    assert all(isinstance(pong, Pong) and pong.payload == b"hi" for pong in rest)
    return len(rest)


@pytest.mark.parametrize("framing", Framing)
def test_a_delay_is_counted_by_the_clock_of_the_server(framing: Framing) -> None:
    """The server's clock is an hour ahead, and the message was sent two seconds ago."""
    sent = datetime.fromtimestamp(time.time() + 3600 - 2, UTC).isoformat()
    update = message("price_update", framing, data={"symbol": "N", "price": 1, "timestamp": sent})
    plan = msgspec.structs.replace(PLAN, clock_offset_ms=3_600_000.0)
    watcher, _ = watching(framing, [HEADS[framing] + acks(framing), update], plan, measuring=True)
    assert watcher.tally.price_delays.percentile_ms(50) == pytest.approx(2000, abs=1000)


@pytest.mark.parametrize("framing", Framing)
def test_a_refused_handshake_is_named(framing: Framing) -> None:
    watcher, recorder = watching(framing, [b"HTTP/1.1 421 Misdirected Request\r\n\r\nwrong"])
    assert recorder.aborted
    assert watcher.ended == "the server answered HTTP/1.1 421 Misdirected Request"


@pytest.mark.parametrize("framing", Framing)
def test_an_error_in_place_of_an_ack_is_named(framing: Framing) -> None:
    error = message("error", framing, message="session 6 not found", code="not_found")
    watcher, _ = watching(framing, [HEADS[framing] + error])
    assert watcher.ended == "the server refused: session 6 not found"


@pytest.mark.parametrize("framing", Framing)
def test_a_symbol_that_the_server_does_not_know_is_named(framing: Framing) -> None:
    ack = message("ack", framing, result={"seq": 0, "unknown": ["NIFTY"]})
    watcher, _ = watching(framing, [HEADS[framing] + ack])
    assert watcher.ended == "unknown to the server: NIFTY"


def server_frames(*events: CloseConnection | Ping | TextMessage) -> bytes:
    server = Connection(ConnectionType.SERVER)
    return b"".join(server.send(each) for each in events)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (server_frames(CloseConnection(4008, "too slow")), "closed with 4008 too slow"),
        (server_frames(TextMessage("{", message_finished=False)), "never sends: 0x01"),
        (b"\x82\x01x", "never sends: 0x82"),
        (b"\x81\x81abcdx", "a masked frame"),
    ],
    ids=["a close", "a fragment", "binary", "masked"],
)
def test_what_ends_a_websocket_is_named(data: bytes, why: str) -> None:
    watcher, _ = watching(Framing.WS, [HEADS[Framing.WS] + acks(Framing.WS) + data])
    assert why in watcher.ended
