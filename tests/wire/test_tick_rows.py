"""Batches of ticks, and that the quick way to read one finds what the thorough way finds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vyomo_rt.domain.errors import BadJson, BadRequest, VyomoError
from vyomo_rt.wire import decoding
from vyomo_rt.wire.tick import quick_tick, read_row, to_tick
from vyomo_rt.wire.tick_rows import parse_frame, parse_ticks, split_frame

TICK = '{"symbol":"A","price":1}'
_NUMBERS = st.one_of(
    st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,8})?([eE][-+]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["NaN", "Infinity", "1e999999", "-0", "01", "1.", "100.00000000000000000001"]),
)
_TEXTS = st.text(max_size=12).map(json.dumps) | st.sampled_from(
    ['"NIFTY"', '" nifty "', '"\\"price"', '"2026-11-22T10:00:00Z"', '"1.5"', '"A\\u0042"', '"é"']
)
_VALUES = _NUMBERS | _TEXTS | st.sampled_from(["null", "true", "[]", '{"price":1}'])
_NAMES = st.sampled_from(['"symbol"', '"price"', '"ts"', '"s\\u0079mbol"', '"Symbol"'])
_ROWS = st.lists(st.tuples(_NAMES, _VALUES), max_size=5).map(
    lambda members: "{" + ",".join(f"{name}: {value}" for name, value in members) + "}"
)


def thorough(row: Any) -> Any:
    """What a row is, by way of Python's JSON: a tick or the reason against it."""
    try:
        return to_tick(read_row(row), "test")
    except VyomoError as error:
        return str(error)


@given(row=_ROWS | st.text(max_size=20))
@example(row='{"symbol":"A","symbol":"B","price":1}')
@example(row='{"symbol":"A","price":"1"}')
@example(row='{"symbol":"A","price":100.00000000000000000000000000000000000001}')
@example(row='{"symbol":"A","price":1,"ts":1795341600123}')
@example(row='{"symbol":"A","price":1,"ts":1795341600}')
@example(row='{"symbol":"A","price":1e-30}')
def test_a_row_read_at_once_is_the_tick_that_it_is_or_left_to_the_thorough_way(row: str) -> None:
    text = row.encode("utf-8", "replace")
    quick = quick_tick(text, "test")
    assert quick is None or quick == thorough(text)


def test_plain_rows_are_read_at_once() -> None:
    for row in (
        TICK,
        '{"price": 22150.5, "symbol": "nifty 50", "ts": 1795341600123}',
        '{"symbol":"NSE:NIFTY","price":1e2,"ts":"2026-11-22T15:30:00.123+05:30"}',
    ):
        quick = quick_tick(row.encode(), "test")
        assert quick is not None
        assert quick == thorough(row.encode())


def seen(frame: Any) -> tuple[Any, Any]:
    """The ticks of a frame, or the error, and its id."""
    if isinstance(frame.rows, VyomoError):
        return (type(frame.rows), str(frame.rows)), frame.id
    return [thorough(row) for row in frame.rows], frame.id


@pytest.mark.parametrize(
    ("text", "ticks", "id_"),
    [
        (TICK, 1, None),
        (f"[{TICK}]", 1, None),
        ("[]", 0, None),
        (f"{TICK}\n{TICK}\r\n\n", 2, None),
        (json.dumps({"symbol": "A", "price": 1}, indent=2), 1, None),
        (f'{{"ticks":[{TICK},{TICK}],"id":"x"}}', 2, "x"),
        (f'{{"id":7, "ticks" : [ {TICK} ]}}', 1, 7),
        (f'{{"ticks":[{TICK}]}}', 1, None),
        ('{"ticks":[],"id":null}', 0, None),
    ],
)
def test_a_frame_is_one_tick_a_list_lines_or_ticks_with_an_id(
    text: str, ticks: int, id_: str | int | None
) -> None:
    frame = split_frame(text.encode())
    assert frame is not None
    assert (len(frame.rows), frame.id) == (ticks, id_)  # type: ignore[arg-type]
    assert seen(frame) == seen(parse_frame(text.encode()))


@pytest.mark.parametrize(
    ("text", "error", "words", "id_"),
    [
        ("{oops", BadJson, "not valid JSON", None),
        ("", BadJson, "not valid JSON", None),
        ("5", BadRequest, "expected a tick or a list of ticks, got a number", None),
        ("[1", BadJson, "not valid JSON", None),
        (f"[{TICK}] [{TICK}]", BadJson, "more text follows its end", None),
        ('{"ticks":5,"id":1}', BadRequest, "ticks: expected an array", 1),
        ('{"ticks":[],"id":1,"symbols":[]}', BadRequest, "symbols: unknown", 1),
        ('{"ticks":[],"id":1.5}', BadRequest, "id: expected", None),
        ('{"ticks":[],"ticks":[],"id":1}', BadRequest, "ticks: given twice", None),
        ('{"ticks":[' + f"{TICK}," * 5000 + TICK + '],"id":1}', BadRequest, "at most 5000", 1),
        ("[" + "1," * 40_001 + "1]", BadRequest, "at most 5000", None),
        (f"{TICK}\n" * 5001, BadRequest, "at most 5000", None),
    ],
)
def test_a_frame_of_something_else_is_refused_as_a_whole(
    text: str, error: type[VyomoError], words: str, id_: int | None
) -> None:
    frame = split_frame(text.encode()) or parse_frame(text.encode())
    assert isinstance(frame.rows, error)
    assert words in str(frame.rows)
    assert frame.id == id_


def test_a_line_or_an_element_that_is_no_tick_is_one_row() -> None:
    for text in (
        f"{TICK}\n{{oops\n{TICK}",
        f"{{oops\n{TICK}\n{TICK}",
        f"oops\n{TICK}\n{TICK}",
        f'[{TICK},{{"symbol":"A","price":NaN}},{TICK}]',
        f'[{TICK},{{"symbol":"A","price":1,"price":2}},{TICK}]',
        f'{{"ticks":[{TICK},5,{TICK}],"id":1}}',
    ):
        frame = split_frame(text.encode()) or parse_frame(text.encode())
        rows, _ = seen(frame)
        assert sum(isinstance(row, str) for row in rows) == 1, text
        assert len(rows) == 3


def test_a_body_in_another_encoding_or_with_a_mark_of_its_encoding_is_read() -> None:
    for encoding in ("utf-8-sig", "utf-16", "utf-32-le"):
        rows = parse_ticks(f"[{TICK}]".encode(encoding), 1000)
        assert rows == [decoding.parse_json(TICK)]
