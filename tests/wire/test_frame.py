"""One JSON text, framed for both transports, read back by parsers of their own."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Ping, TextMessage

from tests.kit.messages import read_chunks
from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.wire.frame import (
    KEEP_ALIVE,
    KEEP_ALIVE_EVENT,
    LAST_CHUNK,
    Frame,
    Framing,
    chunk,
    make_frame,
    without_chunks,
    ws_text,
)
from vyomo_rt.wire.health import feed_status
from vyomo_rt.wire.position import spell_position
from vyomo_rt.wire.refusal import error_frame


def read_ws(data: bytes) -> str:
    """The one text message in the bytes, as a client reads it."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(data)
    texts = [event for event in client.events() if isinstance(event, TextMessage)]
    assert texts[-1].message_finished
    return "".join(event.data for event in texts)


def read_sse(chunks: bytes) -> tuple[str, str, str | None]:
    """Event, data and id of the one block in the one chunk, read as the HTML standard says."""
    [block] = read_chunks(chunks)
    text = block.decode()
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert lines[-2:] == ["", ""], "a block ends with one blank line"
    fields: dict[str, str] = {}
    for line in lines[:-2]:
        assert line, "a blank line inside would end the block"
        name, _, value = line.partition(":")
        assert name not in fields, "each field stands once"
        fields[name] = value.removeprefix(" ")
    assert fields.keys() <= {"event", "data", "id"}
    return fields["event"], fields["data"], fields.get("id")


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_the_header_is_the_shortest_for_the_size(size: int, header: bytes) -> None:
    payload = b"x" * size
    assert ws_text(payload) == header + payload


@given(st.integers(0, 70_000))
@example(125)
@example(126)
@example(65535)
@example(65536)
def test_a_client_reads_a_text_of_any_size(size: int) -> None:
    assert read_ws(ws_text(b"y" * size)) == "y" * size


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@example("\r\n\n\rdata: x\n\n")
@example('\u2028\u2029\x85\x00 ₹ 😀 " \\ ')
def test_both_transports_carry_the_very_same_text(words: str) -> None:
    frames = [
        error_frame(BadRequest(words), "id"),
        feed_status(FeedStatus("sim", FeedState.DOWN, words, since_ms=0)),
    ]
    for frame in frames:
        _, data, event_id = read_sse(frame.sse)
        assert data == read_ws(frame.ws)
        assert event_id is None


def test_an_event_id_stands_inside_the_block_with_the_data() -> None:
    frame = make_frame("trade_opened", b'{"a":1}', spell_position(6, 42, "k3vq"))
    [block] = read_chunks(frame.sse)
    assert block == b'event: trade_opened\nid: 6-42-k3vq\ndata: {"a":1}\n\n'
    assert read_sse(frame.sse) == ("trade_opened", '{"a":1}', "6-42-k3vq")


def test_without_an_event_id_there_is_no_id_line() -> None:
    assert make_frame("pong", b"{}").sse == b"16\r\nevent: pong\ndata: {}\n\n\r\n"


def test_the_time_to_wait_before_coming_back_stands_inside_the_block_with_the_data() -> None:
    [block] = read_chunks(make_frame("ack", b"{}", "6-1-e", retry_ms=2345).sse)
    assert block == b"retry: 2345\nevent: ack\nid: 6-1-e\ndata: {}\n\n"


def test_the_sse_keep_alive_is_one_comment_line_and_the_ws_one_an_empty_ping() -> None:
    assert read_chunks(KEEP_ALIVE[Framing.SSE]) == [b":\n"]
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(KEEP_ALIVE[Framing.WS])
    assert list(client.events()) == [Ping(payload=b"")]


def test_the_keep_alive_that_a_page_sees_is_an_event_of_its_own() -> None:
    assert read_sse(KEEP_ALIVE_EVENT) == ("keep_alive", "{}", None)


@given(st.lists(st.binary(min_size=1, max_size=300)))
@example([b"\r\n", b"0\r\n\r\n", b"a\r\n" * 100])
def test_chunks_are_read_by_another_parser_and_can_be_taken_off_again(parts: list[bytes]) -> None:
    joined = b"".join(chunk(part) for part in parts)
    assert read_chunks(joined + LAST_CHUNK) == [*parts, b""]
    assert without_chunks(joined) == b"".join(parts)


def test_a_frames_data_is_indexed_by_its_framing() -> None:
    frame = Frame("pong", (b"w", b"s"))
    assert (
        (frame.data[Framing.WS], frame.data[Framing.SSE]) == (frame.ws, frame.sse) == (b"w", b"s")
    )
