"""Server-Sent Events are read as the HTML standard says, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt_client.events import EventParser

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=8)
_NOT_DATA = st.one_of(
    _TEXT.map(lambda text: f":{text}"),
    _TEXT.map(lambda text: f"event: {text}"),
    _TEXT.map(lambda text: f"id: {text}"),
    st.sampled_from(["database: 1", "retry: soon", "retry: ²", " data: x"]),
)


class Written(NamedTuple):
    """A stream, and the data that it holds."""

    stream: bytes
    data: list[str]


@st.composite
def streams(draw: st.DrawFn) -> Written:
    """Any events, with any of the three line ends, comments, other fields, and a cut-off end."""
    lines: list[str] = []
    expected: list[str] = []
    for data in draw(st.lists(st.lists(_TEXT, max_size=3), max_size=5)):
        for value in data:
            lines += draw(st.lists(_NOT_DATA, max_size=2))
            space = " " if value.startswith(" ") or draw(st.booleans()) else ""
            lines.append(f"data:{space}{value}")
        lines += [*draw(st.lists(_NOT_DATA, max_size=1)), ""]
        if data:
            expected.append("\n".join(data))
    text = draw(st.sampled_from(["", "\ufeff"]))
    ends = ["\r\n", "\r", "\n"]
    end = "\n"
    for line in lines:
        # A lone CR and an empty line with LF would be one line's CRLF.
        allowed = ends[:2] if end == "\r" and not line else ends
        end = draw(st.sampled_from(allowed))
        text += line + end
    return Written((text + draw(st.sampled_from(["", "data: unfinished"]))).encode(), expected)


@given(written=streams(), cuts=st.lists(st.integers(0, 300)))
def test_any_cut_of_any_stream_gives_the_data_that_was_written(
    written: Written, cuts: list[int]
) -> None:
    parser = EventParser()
    bounds = [0, *sorted(cuts), len(written.stream)]
    pieces = [written.stream[a:b] for a, b in pairwise(bounds)]
    assert [data for piece in pieces for data in parser.feed(piece)] == written.data


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_is_there_with_its_last_byte(end: bytes) -> None:
    """Not with the first of the next one, which may be a minute away."""
    parser = EventParser()
    assert parser.feed(b"data: 1" + end) == []
    assert parser.feed(end) == ["1"]
    assert parser.feed(b"data: 2" + end + end) == ["2"]


def test_the_delay_that_the_server_names_is_kept() -> None:
    parser = EventParser()
    assert parser.retry_ms is None
    parser.feed(b"retry: 2500\nretry: soon\nretry:\n\n")
    assert parser.retry_ms == 2500
